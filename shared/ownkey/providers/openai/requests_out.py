"""A conversation as a chat completion request.

Rules of its own, beside those of `messages_out`:

- a free-form tool is a function of `FREE_FORM_SCHEMA`, its grammar left out: few compatible providers have the others;
- a schema of a function is completed by what OpenAI misses in it; a strict one that OpenAI would refuse goes without
  its strictness, and that is told;
- where only some of the tools may be called the others are not sent: the same to every provider, and none refuses it;
- a schema that the provider cannot be held to is a function that has to be called, where the client has no tools of its
  own; its arguments are the answer's text (`AS_TEXT`);
- the API has four stop sequences: further ones are looked for in what comes;
- a gateway whose answers have `reasoning` takes OpenRouter's `reasoning`; all others take `reasoning_effort`, a budget
  as the effort nearest to it. A model that is known not to reason is not asked to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import Parameters
from ownkey.providers.crossing.conversation import (
    EFFORTS,
    FREE_FORM_SCHEMA,
    Conversation,
    HostedTool,
    OutputFormat,
    Reasoning,
    Tool,
    ToolChoice,
)
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.crossing.effort import effort_of, room_of
from ownkey.providers.document import REMOVED
from ownkey.providers.openai.departures import departed
from ownkey.providers.openai.identifiers import sent_name, sent_user
from ownkey.providers.openai.messages_out import Style, Thoughts, messages_of
from ownkey.providers.openai.schemas import completed, fits_strict
from ownkey.providers.translator import Call

AS_TEXT = "openai.as_text"
"""In `Call.kept`: the name of the tool whose arguments are the answer's text."""
NAMES = "openai.names"
"""In `Call.kept`: names of tools as they were sent → as the client has them."""
LATER_STOPS = "openai.stops"
"""In `Call.kept`: stop sequences beyond `_MAX_STOPS`; where the first of them begins the answer is cut."""
_MAX_STOPS = 4
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}

FIELDS: Mapping[str, str] = {
    "max_completion_tokens": "max_output_tokens",
    "n": "choices",
    "response_format": "output",
    "reasoning_effort": "reasoning",
    "prompt_cache_key": "cache_key",
}
"""OpenAI's members whose field of a conversation has another name."""


def members_of(call: Call, conversation: Conversation, drops: Drops) -> dict[str, Any]:
    """The members of the request's body, the provider's departures made, but for what its address adds.

    Raises:
        UnsupportedParameter: something cannot be said to this provider, and may not be left out.
    """
    parameters = call.provider.parameters_of(call.model_id)
    style = Style.of(call.provider, parameters)
    members: dict[str, Any] = {"messages": messages_of(conversation, style, drops)}
    members |= _tools(call, conversation, drops)
    members |= _output(call, conversation, parameters, drops)
    members |= _reasoning(call, conversation, parameters, style, drops)
    members |= _wishes(conversation, drops)
    call.kept[LATER_STOPS] = conversation.stop[_MAX_STOPS:]
    if conversation.stream:
        members["stream"] = True
        if "no_stream_options" not in call.provider.quirks:
            members["stream_options"] = {"include_usage": True}
    names = {name: conversation.names.get(FIELDS.get(name, name), FIELDS.get(name, name)) for name in members}
    changes, dropped = departed(members, parameters, call.provider.display_name, names)
    for name in dropped:
        drops.drop(FIELDS.get(name, name))
    return {name: value for name, value in {**members, **changes}.items() if value is not REMOVED}


def _wishes(conversation: Conversation, drops: Drops) -> dict[str, Any]:
    """What tunes the answer."""
    given: dict[str, Any] = {
        "max_completion_tokens": conversation.max_output_tokens,
        "stop": list(conversation.stop[:_MAX_STOPS]) or None,
        "temperature": _clamped(conversation.temperature, 0, 2),
        "top_p": _clamped(conversation.top_p, 0, 1),
        "presence_penalty": _clamped(conversation.presence_penalty, -2, 2),
        "frequency_penalty": _clamped(conversation.frequency_penalty, -2, 2),
        "seed": conversation.seed,
        "logit_bias": conversation.logit_bias,
        "logprobs": conversation.logprobs or None,
        "top_logprobs": conversation.top_logprobs if conversation.logprobs else None,
        "verbosity": conversation.verbosity,
        "service_tier": conversation.service_tier if conversation.service_tier in _TIERS else None,
        "user": sent_user(conversation.user) if conversation.user is not None else None,
        "prompt_cache_key": conversation.cache_key,
    }
    if conversation.choices is not None and conversation.choices > 1:
        raise drops.refusal("choices", "only one answer can cross")
    drops.drop_given({
        "top_k": conversation.top_k,
        "service_tier": conversation.service_tier if conversation.service_tier not in _TIERS else None,
        "metadata": conversation.metadata,
        "cache": conversation.cache,
        **conversation.others,
    })  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def _clamped(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(max(value, low), high)


def _tools(call: Call, conversation: Conversation, drops: Drops) -> dict[str, Any]:
    choice = conversation.tool_choice
    members: dict[str, Any] = {}
    functions = []
    for tool in conversation.tools:
        if isinstance(tool, HostedTool):
            members |= _hosted(call, tool, drops)
        elif not (choice and choice.mode in ("auto", "required") and choice.names and tool.name not in choice.names):
            functions.append(_function(tool, drops))
    if not functions:
        return members
    members["tools"] = functions
    call.kept[NAMES] = {sent_name(tool.name): tool.name for tool in conversation.tools if isinstance(tool, Tool)}
    if choice is not None:
        members["tool_choice"] = _choice(choice)
    if conversation.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = conversation.parallel_tool_calls
    return members


def _hosted(call: Call, tool: HostedTool, drops: Drops) -> dict[str, Any]:
    """A search of the web, by the models that have it; nothing else is run by providers of this API."""
    if tool.kind == "web_search" and call.model is not None and "web_search" in call.model.capabilities:
        names = ("search_context_size", "user_location")
        return {"web_search_options": {name: tool.values[name] for name in names if tool.values.get(name)}}
    raise drops.refusal("tools", f"it has no tool `{tool.kind}` of its own for this model")


def _function(tool: Tool, drops: Drops) -> dict[str, Any]:
    if tool.grammar is not None:
        drops.drop("tools.grammar")
    if tool.cache is not None:
        drops.drop("cache_control")
    function: dict[str, Any] = {"name": sent_name(tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    schema = FREE_FORM_SCHEMA if tool.free_form else tool.schema
    function["parameters"] = completed(schema) if schema is not None else _NO_PARAMETERS
    if tool.strict and not fits_strict(function["parameters"]):
        drops.drop("tools.strict")
    elif tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> Any:
    return _named(choice.names[0]) if choice.mode == "named" else choice.mode


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": sent_name(name)}}


def _output(call: Call, conversation: Conversation, parameters: Parameters, drops: Drops) -> dict[str, Any]:
    wanted = conversation.output
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"response_format": {"type": "json_object"}}
    if "response_format=json_schema" in parameters.unsupported:
        if conversation.tools:
            raise drops.refusal("output", "it cannot be held to a schema while there are tools")
        return _forced(call, wanted)
    strict = wanted.strict
    if strict and not fits_strict(wanted.schema):  # refused as a strict one, followed as any other
        drops.drop("output.strict")
        strict = None
    stated = {"name": wanted.name, "description": wanted.description, "schema": wanted.schema, "strict": strict}
    schema = {name: value for name, value in stated.items() if value is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _forced(call: Call, wanted: OutputFormat) -> dict[str, Any]:
    """A function that has to be called, in place of a schema."""
    call.kept[AS_TEXT] = sent_name(wanted.name)
    described = wanted.description or "Gives the answer."
    function = {"name": sent_name(wanted.name), "description": described, "parameters": wanted.schema}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": _named(wanted.name)}


def _reasoning(
    call: Call, conversation: Conversation, parameters: Parameters, style: Style, drops: Drops
) -> dict[str, Any]:
    wanted = conversation.reasoning
    if wanted is None:
        return {}
    if style.thoughts is Thoughts.DETAILS:
        return {"reasoning": _gateways(wanted)}
    if call.model is not None and "reasoning" not in call.model.capabilities:
        if not wanted.off and wanted != Reasoning(visible=wanted.visible):
            drops.drop("reasoning")
        return {}
    known = [effort for effort in EFFORTS if f"reasoning_effort={effort}" not in parameters.unsupported]
    effort = effort_of(wanted, room_of(conversation, call.model), known) if known else None
    return {} if effort is None else {"reasoning_effort": effort}


def _gateways(wanted: Reasoning) -> dict[str, Any]:
    """OpenRouter's `reasoning`: an effort or a budget, not both."""
    asked: dict[str, Any] = {}
    if wanted.off:
        asked["enabled"] = False
    elif wanted.budget_tokens is not None:
        asked["max_tokens"] = wanted.budget_tokens
    elif wanted.effort is not None:
        asked["effort"] = wanted.effort
    elif wanted.visible is not False:
        asked["enabled"] = True
    return asked | ({"exclude": not wanted.visible} if wanted.visible is not None else {})
