"""What a request wants of the answer: tools, `toolConfig`, `generationConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from ownkey.catalog import Model
from ownkey.providers.crossing import FREE_FORM_SCHEMA, Conversation, Drops, HostedTool, Tool
from ownkey.providers.gemini.names import sent_name
from ownkey.providers.gemini.thinking import of_third_generation, thinking_config

Json = dict[str, Any]

MAX_STOPS = 5
MAX_TOP_LOGPROBS = 20
_HIGHEST_PENALTY = 1.99
"""Penalties go from -2 up to, and not including, 2 (Vertex AI's reference of `GenerationConfig`)."""
_SEED_BITS = 31
_SEARCHES = ("web_search", "web_search_preview")
_NARROWED_BY = ("allowed_domains", "blocked_domains", "filters")
"""What decides where a search may look: not to be left out."""
_DIALECT_OF_A_SCHEMA = "$schema"
_TUNABLE = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed")
_ORDINARY_TIERS = (None, "auto", "default", "standard_only")
_TIERS = ("flex", "priority")
"""Google's `ServiceTier`s, by the names that clients have for them."""


def tools_of(conversation: Conversation, drops: Drops) -> list[Json]:
    """`tools`.

    Raises:
        UnsupportedParameter: one cannot be had.
    """
    functions = [each for each in conversation.tools if isinstance(each, Tool)]
    hosted = [each for each in conversation.tools if isinstance(each, HostedTool)]
    if functions and hosted:
        raise drops.refusal("tools", "it does not search and call functions in one request")
    if hosted:
        return [_search(each, drops) for each in hosted][:1]
    return [{"functionDeclarations": [_declaration(each, drops) for each in functions]}] if functions else []


def tool_config(conversation: Conversation, drops: Drops) -> Json | None:
    """`toolConfig`; None: the model decides.

    Raises:
        UnsupportedParameter: a tool of Google's own is to be forced.
    """
    functions = [each for each in conversation.tools if isinstance(each, Tool)]
    choice = conversation.tool_choice
    if conversation.tools and conversation.parallel_tool_calls is False:
        drops.drop("parallel_tool_calls")
    if not functions:
        if choice and choice.mode in ("required", "named"):
            raise drops.refusal("tool_choice", "it has no function to call")
        return None
    config: Json = {}
    match choice.mode if choice else "auto":
        case "none":
            config["mode"] = "NONE"
        case "required" | "named":
            config["mode"] = "ANY"
        case _ if (choice and choice.names) or any(each.strict for each in functions):
            config["mode"] = "VALIDATED"  # as AUTO, and held to the schemas and to the names below
    if choice and choice.names:
        config["allowedFunctionNames"] = [*map(sent_name, choice.names)]
    return {"functionCallingConfig": config} if config else None


def generation_config(conversation: Conversation, model_id: str, model: Model | None, drops: Drops) -> Json:
    """`generationConfig`.

    Raises:
        UnsupportedParameter: something that changes what the answer is cannot be asked for.
    """
    if len(conversation.stop) > MAX_STOPS:
        raise drops.refusal("stop", f"it takes {MAX_STOPS} stop sequences at most")
    wanted = {
        "maxOutputTokens": conversation.max_output_tokens,
        "temperature": _within(conversation.temperature, 0, 2),
        "topP": _within(conversation.top_p, 0, 1),
        "topK": conversation.top_k or None,
        "presencePenalty": _within(conversation.presence_penalty, -2, _HIGHEST_PENALTY),
        "frequencyPenalty": _within(conversation.frequency_penalty, -2, _HIGHEST_PENALTY),
        "seed": None if conversation.seed is None else conversation.seed % (1 << _SEED_BITS),
        "stopSequences": list(conversation.stop) or None,
        **_logprobs(conversation, drops),
        **_output(conversation, model_id, drops),
        "thinkingConfig": thinking_config(conversation, model_id, model, drops),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def without_what_it_lacks(conversation: Conversation, unsupported: Set[str], drops: Drops) -> Conversation:
    """Drops what only tunes an answer and has no name here, or is not supported by the model.

    Args:
        unsupported: `Parameters.unsupported`.

    Raises:
        UnsupportedParameter: more than one answer is asked for.
    """
    if (conversation.choices or 1) > 1:
        raise drops.refusal("choices", "it gives one answer")
    drops.drop_given(
        {
            "logit_bias": conversation.logit_bias,
            "verbosity": conversation.verbosity,
            "user": conversation.user,
            "metadata": conversation.metadata,
            "cache_key": conversation.cache_key,
            "cache": conversation.cache,
            **conversation.others,
        }
    )
    lacking: dict[str, Any] = {name: None for name in _TUNABLE if name in unsupported}
    drops.drop_given({name: getattr(conversation, name) for name in lacking})
    return replace(conversation, **lacking) if lacking else conversation


def service_tier(conversation: Conversation, model: Model | None, drops: Drops, *, had: bool) -> str | None:
    """`serviceTier`; None: the ordinary one. One that the model's known prices do not have is not asked for: its cost
    would be told, and charged, wrongly.

    Args:
        had: Whether tiers are asked for by the request.
    """
    stated = conversation.service_tier
    if stated in _ORDINARY_TIERS:
        return None
    prices = model.prices if model else None
    if had and stated in _TIERS and (prices is None or stated in prices.service_tiers):
        return stated
    drops.drop("service_tier")
    return None


def _declaration(tool: Tool, drops: Drops) -> Json:
    if tool.cache:
        drops.drop("cache_control")
    if tool.grammar is not None:
        drops.drop("tools.grammar")
    schema = FREE_FORM_SCHEMA if tool.free_form else tool.schema
    declaration: Json = {"name": sent_name(tool.name)}
    if tool.description:
        declaration["description"] = tool.description
    if schema:
        declaration["parametersJsonSchema"] = {"type": "object", **_plain(schema)}
    return declaration


def _search(tool: HostedTool, drops: Drops) -> Json:
    if tool.kind not in _SEARCHES:
        raise drops.refusal("tools", f"it has no tool of the type {tool.kind[:64]}")
    if any(tool.values.get(name) for name in _NARROWED_BY):
        raise drops.refusal("tools", "its search is of the whole web")
    for name in tool.values:
        if name not in ("type", "name", *_NARROWED_BY):
            drops.drop(f"tools.{name}")
    return {"googleSearch": {}}


def _logprobs(conversation: Conversation, drops: Drops) -> Json:
    if not conversation.logprobs:
        return {}
    top = conversation.top_logprobs
    return {"responseLogprobs": True, "logprobs": min(top, MAX_TOP_LOGPROBS) if top else None}


def _output(conversation: Conversation, model_id: str, drops: Drops) -> Json:
    output = conversation.output
    if output is None:
        return {}
    choice = conversation.tool_choice
    if conversation.tools and (choice is None or choice.mode != "none") and not of_third_generation(model_id):
        raise drops.refusal("output", "before Gemini 3 it does not answer in JSON where there are tools")
    wanted: Json = {"responseMimeType": "application/json"}
    if output.schema is not None:
        described = {"description": output.description} if output.description else {}
        wanted["responseJsonSchema"] = {**described, **_plain(output.schema)}
    return wanted


def _plain(schema: Mapping[str, Any]) -> Json:
    """The schema without the name of its own dialect: that is no keyword here."""
    return {name: value for name, value in schema.items() if name != _DIALECT_OF_A_SCHEMA}


def _within(value: float | None, low: float, high: float) -> float | None:
    return None if value is None else min(max(value, low), high)
