"""OpenAI's dialect, the way in: what a chat completion request must look like, and what it asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.simulator.behaviour import split_directives
from local.simulator.brain import MESSAGE_TOKENS, Prompt, Segment, Tool, content_tokens
from local.simulator.openai_messages import ROLES, check_format, check_messages, check_tools, refused
from local.simulator.refusals import OPENAI, Refusal, Refused
from local.simulator.text import compact, count_tokens

# fmt: off
PARAMETERS = frozenset({
    "messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias",
    "logprobs", "max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
    "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})
# fmt: on
EFFORT_TOKENS = {"minimal": 8, "low": 16, "medium": 32, "high": 64, "xhigh": 128, "max": 256}
LABELS = ("user", "safety_identifier", "prompt_cache_key")
MAX_LABEL_CHARS = 64
MAX_STOPS = 4
PRIMER_TOKENS = 3  # what opens the answer


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a number; `word` is how the vendor's errors call its type."""

    word: str
    low: float | None = None
    high: float | None = None


NUMBERS = {
    "temperature": Bounds("decimal", 0, 2),
    "top_p": Bounds("decimal", 0, 1),
    "frequency_penalty": Bounds("decimal", -2, 2),
    "presence_penalty": Bounds("decimal", -2, 2),
    "n": Bounds("integer", 1, 128),
    "top_logprobs": Bounds("integer", 0, 20),
    "max_tokens": Bounds("integer", 1),
    "max_completion_tokens": Bounds("integer", 1),
    "seed": Bounds("integer"),
}
SHAPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "stream": (bool, "a boolean"),
    "logprobs": (bool, "a boolean"),
    "stream_options": (dict, "an object"),
    "tools": (list, "an array of objects"),
    "response_format": (dict, "an object"),
    "stop": ((str, list), "a string or an array of strings"),
    "reasoning_effort": (str, "a string"),
}
_WORDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
}


def check(body: Any, *, strict: bool) -> None:
    """Raise Refused for a body the vendor would refuse. `strict` refuses parameters that do not exist, as OpenAI does;
    compatible providers let them pass."""
    if not isinstance(body, dict):
        raise Refused(OPENAI["invalid_json"])
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise refused("you must provide a model parameter", None, None)
    for name in body if strict else ():
        if name not in PARAMETERS:
            raise refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    _check_messages(body, strict=strict)
    for name in LABELS if strict else ():
        if len(body.get(name) or "") > MAX_LABEL_CHARS:
            message = f"Invalid '{name}': string too long. Expected a string with maximum length {MAX_LABEL_CHARS}."
            raise refused(message, name, "string_above_max_length")
    if strict and isinstance(body.get("stop"), list) and len(body["stop"]) > MAX_STOPS:
        message = f"Invalid 'stop': array too long. Expected an array with maximum length {MAX_STOPS}."
        raise refused(message, "stop", "array_above_max_length")
    for name, (types, word) in SHAPES.items():
        if body.get(name) is not None and not isinstance(body[name], types):
            raise wrong_type(name, word, body[name])
    for name, bounds in NUMBERS.items():
        check_number(name, body.get(name), bounds)
    check_tools(body.get("tools") or [], strict=strict)
    check_format(body.get("response_format") or {}, strict=strict)
    _check_combinations(body)


def check_for_model(body: dict[str, Any], model: dict[str, Any]) -> None:
    """Raise Refused for what this model does not take."""
    if model.get("responses_only"):
        message = "This model is served by v1/responses alone, not by v1/chat/completions."
        raise Refused(Refusal(404, "invalid_request_error", message, None, "model"))
    if model.get("reasoning") and body.get("max_tokens") is not None:
        message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        raise refused(message, "max_tokens", "unsupported_parameter")
    if model.get("reasoning") is False and body.get("reasoning_effort") is not None:
        message = "Unsupported parameter: 'reasoning_effort' is not supported with this model."
        raise refused(message, "reasoning_effort", "unsupported_parameter")


def _check_messages(body: dict[str, Any], *, strict: bool) -> None:
    messages = body.get("messages")
    if messages is None:
        raise refused("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise refused(message, "messages", "empty_array")
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(each, dict):
            raise wrong_type(where, "an object", each)
        role = each.get("role")
        if role is None:
            raise refused(f"Missing required parameter: '{where}.role'.", f"{where}.role", "missing_required_parameter")
        if role not in ROLES:
            allowed = ", ".join(f"'{name}'" for name in ROLES)
            message = f"Invalid value: '{role}'. Supported values are: {allowed}."
            raise refused(message, f"{where}.role", "invalid_value")
        if not isinstance(each.get("content", ""), str | list | None):
            raise wrong_type(f"{where}.content", "a string or an array of objects", each["content"])
    check_messages(messages, strict=strict)


def check_number(name: str, value: Any, bounds: Bounds) -> None:
    """Raise Refused for a number that is none, or out of its bounds."""
    if value is None:
        return
    types = int if bounds.word == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, types):
        raise wrong_type(name, f"{'an' if bounds.word == 'integer' else 'a'} {bounds.word}", value)
    for limit, beyond, sign, code in (
        (bounds.low, bounds.low is not None and value < bounds.low, ">=", "below_min"),
        (bounds.high, bounds.high is not None and value > bounds.high, "<=", "above_max"),
    ):
        if beyond:
            place = "below minimum" if code == "below_min" else "above maximum"
            message = (
                f"Invalid '{name}': {bounds.word} {place} value. Expected a value {sign} {limit}, but got {value}."
            )
            raise refused(message, name, f"{bounds.word}_{code}_value")


def _check_combinations(body: dict[str, Any]) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise refused(message, "stream_options", None)
    if body.get("tool_choice") is not None and not body.get("tools"):
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise refused(message, "tool_choice", None)
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise refused("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs", None)
    if body.get("parallel_tool_calls") is not None and not body.get("tools"):
        message = "'parallel_tool_calls' is only allowed when 'tools' are specified."
        raise refused(message, "parallel_tool_calls", None)


def wrong_type(name: str, expected: str, value: Any) -> Refused:
    """The refusal of a value that is not of its type."""
    got = _WORDS.get(type(value), "null")
    message = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return refused(message, name, "invalid_type")


def read(body: dict[str, Any]) -> Prompt:
    """What a checked request asks."""
    messages = body["messages"]
    text, knobs = split_directives(_last_user_text(messages))
    tools, mode = _tools(body)
    stops = body.get("stop") or ()
    return Prompt(
        text=text,
        segments=tuple(_segments(body)),
        knobs=knobs,
        tool_results=_tool_results(messages),
        tools=tools,
        tool_mode=mode,
        parallel=body.get("parallel_tool_calls", True) is not False and "functions" not in body,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stops=(stops,) if isinstance(stops, str) else tuple(stops),
        schema=_schema(body.get("response_format") or {}),
        reasoning_tokens=_thinking_tokens(body),
        choices=body.get("n") or 1,
    )


def _thinking_tokens(body: dict[str, Any]) -> int:
    """By OpenAI's effort, or by OpenRouter's `reasoning`, which compatible providers take."""
    asked = body.get("reasoning") or {}
    if asked.get("enabled") is False:
        return 0
    effort = body.get("reasoning_effort") or asked.get("effort") or ("medium" if asked.get("enabled") else "none")
    return int(asked.get("max_tokens") or EFFORT_TOKENS.get(effort, 0))


def _segments(body: dict[str, Any]) -> Iterator[Segment]:
    offered = [*(body.get("tools") or ()), *(body.get("functions") or ())]
    if offered:
        yield Segment(compact(offered), count_tokens(compact(offered)))
    for message in body["messages"]:
        calls = message.get("tool_calls")
        tokens = MESSAGE_TOKENS + content_tokens(message.get("content"))
        yield Segment(compact(message), tokens + (count_tokens(compact(calls)) if calls else 0))
    yield Segment("", PRIMER_TOKENS)


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict) and "text" in part)
    return content or ""


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    return next((_text_of(each.get("content")) for each in reversed(messages) if each["role"] == "user"), "")


def _tool_results(messages: list[dict[str, Any]]) -> tuple[str, ...]:
    """The results that end the conversation: those the model has not answered to yet."""
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        results.append(_text_of(message.get("content")))
    return tuple(reversed(results))


def _tools(body: dict[str, Any]) -> tuple[tuple[Tool, ...], str]:
    """The tools the model may call, and whether it must."""
    tools = tuple(_tool(each) for each in body.get("tools") or ())
    tools += tuple(Tool(each["name"], each.get("parameters", {})) for each in body.get("functions") or ())
    choice = body.get("tool_choice") or body.get("function_call") or "auto"
    if isinstance(choice, str):
        return tools, choice
    if "allowed_tools" in choice:
        allowed = choice["allowed_tools"]
        names = [_name_in(each) for each in allowed.get("tools", ())]
        return tuple(tool for tool in tools if tool.name in names), allowed.get("mode", "auto")
    wanted = tuple(tool for tool in tools if tool.name == _name_in(choice))
    if not wanted:
        message = f"Tool choice '{_name_in(choice)}' not found in 'tools' parameter."
        raise refused(message, "tool_choice", None)
    return wanted, "named"


def _tool(each: dict[str, Any]) -> Tool:
    if each["type"] == "custom":
        return Tool(each["custom"]["name"])
    return Tool(each["function"]["name"], each["function"].get("parameters") or {"type": "object"})


def _name_in(choice: dict[str, Any]) -> Any:
    return (choice.get("function") or choice.get("custom") or choice).get("name")


def _schema(response_format: dict[str, Any]) -> Any:
    kind = response_format.get("type")
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    return response_format.get("json_schema", {}).get("schema", {}) if kind == "json_schema" else None
