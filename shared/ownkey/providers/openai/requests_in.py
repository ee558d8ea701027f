"""A chat completion request, read to the neutral form.

Facts from openai-python 3.52, `types/chat/completion_create_params.py`. Beyond OpenAI's own members: `reasoning`,
`include_reasoning`, `top_k` and `cache_control` as OpenRouter documents them, `thinking` as Anthropic's and several
compatible providers' APIs have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.crossing.conversation import (
    EFFORTS,
    Conversation,
    HostedTool,
    OutputFormat,
    Reasoning,
    Tool,
    ToolChoice,
    free_form_names,
)
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.openai.departures import is_nothing
from ownkey.providers.openai.messages_in import Messages
from ownkey.providers.openai.parts_in import no_audio, read_cache
from ownkey.providers.passthrough import GATEWAY_FIELDS

NAMES: Mapping[str, str] = {
    "choices": "n",
    "output": "response_format",
    "tools.grammar": "tools.custom.format",
    "output.strict": "response_format.json_schema.strict",
    "cache_key": "prompt_cache_key",
    "cache": "cache_control",
}
"""Fields of a conversation that chat completions name otherwise, in every request."""

_READ = frozenset({
    *GATEWAY_FIELDS, "model", "messages", "stream", "stream_options", "tools", "functions", "tool_choice",
    "function_call", "parallel_tool_calls", "response_format", "reasoning", "reasoning_effort", "include_reasoning",
    "thinking", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "top_k", "seed",
    "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "verbosity", "service_tier",
    "user", "safety_identifier", "metadata", "prompt_cache_key", "cache_control", "modalities", "web_search_options",
})  # fmt: skip


def read_request(values: Mapping[str, Any]) -> Conversation:
    """The conversation.

    Raises:
        InvalidParameter: a member is not as it must be.
        UnsupportedParameter: sound is wanted, which no other API gives.
    """
    request, names = Fields(values), dict(NAMES)
    if "audio" in (request.items("modalities") or ()):
        raise no_audio("modalities")
    tools, legacy = _tools(request)
    messages = Messages(free_form_names(tools))
    messages.read(request)
    if legacy:
        names |= {"tools": "functions", "tool_choice": "function_call", "parallel_tool_calls": "functions"}
    names["max_output_tokens"] = _first(values, "max_completion_tokens", "max_tokens")
    names["reasoning"] = _first(values, "reasoning", "reasoning_effort", "thinking", "include_reasoning")
    names["user"] = _first(values, "safety_identifier", "user")
    options = request.member("stream_options")
    return Conversation(
        system=tuple(messages.system),
        turns=tuple(messages.turns),
        tools=tools,
        tool_choice=_choice(request, tools),
        parallel_tool_calls=False if legacy else request.flag("parallel_tool_calls"),
        output=_output(request),
        reasoning=_reasoning(request),
        max_output_tokens=request.integer(names["max_output_tokens"], least=1),
        stop=request.texts("stop"),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        top_k=request.integer("top_k"),
        seed=request.integer("seed"),
        presence_penalty=request.number("presence_penalty"),
        frequency_penalty=request.number("frequency_penalty"),
        logit_bias=_values(request, "logit_bias"),
        logprobs=request.flag("logprobs") or False,
        top_logprobs=request.integer("top_logprobs", least=0),
        choices=request.integer("n", least=1),
        verbosity=request.text("verbosity"),
        service_tier=request.text("service_tier"),
        user=request.text(names["user"]),
        metadata=_values(request, "metadata"),
        cache_key=request.text("prompt_cache_key"),
        cache=read_cache(Fields({"cache_control": values.get("cache_control")})),
        stream=request.flag("stream") or False,
        include_usage=bool(options and options.flag("include_usage")),
        others={name: value for name, value in values.items() if name not in _READ and not is_nothing(value)},
        names={field: name for field, name in names.items() if name != field},
    )


def _first(values: Mapping[str, Any], *names: str) -> str:
    """The first of the names that the request has; the last one where it has none."""
    return next((name for name in names if values.get(name) is not None), names[-1])


def _values(request: Fields, name: str) -> Mapping[str, Any] | None:
    found = request.member(name)
    return found.values if found else None


def _tools(request: Fields) -> tuple[tuple[Tool | HostedTool, ...], bool]:
    """The tools, and whether they are functions of the old form."""
    tools: list[Tool | HostedTool] = [_tool(each) for each in request.members("tools")]
    legacy = not tools and bool(request.values.get("functions"))
    if legacy:
        tools += [_function(each) for each in request.members("functions")]
    search = request.member("web_search_options")
    if search is not None:
        tools.append(HostedTool("web_search", search.values))
    return tuple(tools), legacy


def _tool(tool: Fields) -> Tool:
    kind = tool.word("type", ("function", "custom"))
    if kind is None:
        raise tool.wrong("type", "is missing")
    cache = read_cache(tool)
    if kind == "function":
        return _function(tool.needed_member("function"), cache=cache)
    custom = tool.needed_member("custom")
    form = custom.member("format")
    grammar = form.values if form and form.text("type") == "grammar" else None
    return Tool(
        custom.needed_text("name"), custom.text("description"), free_form=True, grammar=grammar, cache=cache
    )  # fmt: skip


def _function(function: Fields, cache: Any = None) -> Tool:
    parameters = function.member("parameters")
    return Tool(
        function.needed_text("name"),
        function.text("description"),
        parameters.values if parameters else None,
        function.flag("strict"),
        cache=cache or read_cache(function),
    )


def _choice(request: Fields, tools: tuple[Tool | HostedTool, ...]) -> ToolChoice | None:
    name = "tool_choice" if request.values.get("tool_choice") is not None else "function_call"
    value = request.values.get(name)
    if value is None:
        return None
    known = {tool.name for tool in tools if isinstance(tool, Tool)}
    if isinstance(value, str):
        if value not in ("auto", "none", "required"):
            raise request.wrong(name, "is none of auto, none, required")
        if value == "required" and not known:
            raise request.wrong(name, "needs tools")
        return ToolChoice(value)  # type: ignore[arg-type]  # one of the three
    choice = request.needed_member(name)
    if name == "tool_choice" and choice.word("type", ("function", "custom", "allowed_tools")) == "allowed_tools":
        allowed = choice.needed_member("allowed_tools")
        mode = allowed.word("mode", ("auto", "required"))
        names = tuple(_named(each, known) for each in allowed.members("tools"))
        return ToolChoice("required" if mode == "required" else "auto", names)
    return ToolChoice("named", (_named(choice, known),))


def _named(choice: Fields, known: set[str]) -> str:
    """The tool that is named, in a member of its type or directly."""
    inner = choice.member("function") or choice.member("custom") or choice
    name = inner.needed_text("name")
    if name not in known:
        raise inner.wrong("name", "names no tool of the request")
    return name


def _output(request: Fields) -> OutputFormat | None:
    wanted = request.member("response_format")
    if wanted is None:
        return None
    kind = wanted.word("type", ("text", "json_object", "json_schema"))
    if kind is None:
        raise wanted.wrong("type", "is missing")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    stated = wanted.needed_member("json_schema")
    schema = stated.member("schema")
    return OutputFormat(
        schema.values if schema else {},
        stated.needed_text("name"),
        stated.text("description"),
        stated.flag("strict"),
    )


def _reasoning(request: Fields) -> Reasoning | None:
    """`reasoning` and `reasoning_effort` are joined; `thinking` stands for itself."""
    effort = request.word("reasoning_effort", EFFORTS)
    asked, thinking = request.member("reasoning"), request.member("thinking")
    visible = request.flag("include_reasoning")
    if thinking is not None and asked is None:
        return _thinking(thinking, effort, visible)
    if asked is None:
        return None if effort is None and visible is None else Reasoning(effort, visible=visible)
    effort = asked.word("effort", EFFORTS) or effort
    budget = asked.integer("max_tokens", least=0)
    enabled, exclude = asked.flag("enabled"), asked.flag("exclude")
    if enabled is False:
        effort, budget = "none", None
    summary = asked.text("summary")
    visible = not exclude if exclude is not None else visible
    return Reasoning(effort, budget, visible=visible, summary=summary)


def _thinking(thinking: Fields, effort: str | None, visible: bool | None) -> Reasoning:
    kind = thinking.word("type", ("enabled", "disabled", "adaptive"))
    if kind == "disabled":
        return Reasoning("none", visible=visible)
    return Reasoning(effort, thinking.integer("budget_tokens", least=0), kind == "adaptive", visible)
