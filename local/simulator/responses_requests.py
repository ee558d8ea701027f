"""OpenAI's Responses, the way in: what a request must look like, and what it asks.

Facts from openai-python 3.52: `types/responses/response_create_params.py`, `response_input_item_param.py`,
`tool_param.py`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from local.simulator.behaviour import split_directives
from local.simulator.brain import IMAGE_TOKENS, MESSAGE_TOKENS, Prompt, Segment, Tool
from local.simulator.openai_requests import EFFORT_TOKENS, PRIMER_TOKENS, Bounds, check_number, refused, wrong_type
from local.simulator.refusals import OPENAI, Refused
from local.simulator.text import compact, count_tokens
from ownkey.catalog import ResponsesSubset

# fmt: off
PARAMETERS = frozenset({
    "access_programs", "background", "client_metadata", "context_management", "conversation", "image", "include",
    "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation",
    "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text",
    "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
})
COUNTED = frozenset({
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id",
    "reasoning", "text", "tool_choice", "tools", "truncation",
})
ROLES = ("user", "assistant", "system", "developer")
ITEMS: dict[str, tuple[str, ...]] = {
    "message": ("content", "role"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("id", "summary"),
    "web_search_call": ("id", "status"),
}
# fmt: on
"""The items that this program knows, and the members they cannot be without."""
CONTENT = {
    "input": ("input_text", "input_image", "input_file"),
    "output": ("output_text", "refusal", "input_text", "input_image"),
}
HOSTED = ("web_search", "web_search_preview")
UNUSED = (
    *("apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search", "image_generation"),
    *("local_shell", "mcp", "programmatic_tool_calling", "shell", "tool_search"),
)
"""Tools that this program takes, and never uses."""
_NUMBERS = {
    "temperature": Bounds("decimal", 0, 2),
    "top_p": Bounds("decimal", 0, 1),
    "top_logprobs": Bounds("integer", 0, 20),
    "max_output_tokens": Bounds("integer", 16),
    "max_tool_calls": Bounds("integer", 1),
}
_SHAPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "input": ((str, list), "a string or an array of input items"),
    "instructions": (str, "a string"),
    "stream": (bool, "a boolean"),
    "store": (bool, "a boolean"),
    "parallel_tool_calls": (bool, "a boolean"),
    "stream_options": (dict, "an object"),
    "text": (dict, "an object"),
    "reasoning": (dict, "an object"),
    "tools": (list, "an array of objects"),
    "include": (list, "an array of strings"),
    "metadata": (dict, "an object"),
}
_FORMATS: dict[str, tuple[str, ...]] = {"text": (), "json_object": (), "json_schema": ("name", "schema")}


def check_part(body: dict[str, Any], has: ResponsesSubset) -> None:
    """Raise Refused for what a provider that has a part of Responses refuses."""
    for at, tool in enumerate(body.get("tools") or ()):
        if tool["type"] not in has.tools:
            raise refused(f"Unknown variant `{tool['type']}`.", f"tools[{at}].type", "invalid-argument")
        if strange := sorted(tool.keys() & has.refused_of_tools):
            raise refused(f"Argument not supported: {strange[0]}", f"tools[{at}]", "invalid-argument")
    for at, item in enumerate(body["input"] if isinstance(body.get("input"), list) else ()):
        if item.get("type", "message") not in has.items or None in item.values():
            message = "The data did not match any variant of untagged enum ModelInput."
            raise refused(message, f"input[{at}]", "invalid-argument")


def check(body: Any, *, counting: bool = False) -> None:
    """Raise Refused for a body that OpenAI would refuse; `counting`: to have its tokens counted, no more."""
    if not isinstance(body, dict):
        raise Refused(OPENAI["invalid_json"])
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise _missing("model")
    for name in body:
        if name not in (COUNTED if counting else PARAMETERS):
            raise refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    for name, (types, word) in _SHAPES.items():
        if body.get(name) is not None and not isinstance(body[name], types):
            raise wrong_type(name, word, body[name])
    for name, bounds in _NUMBERS.items():
        check_number(name, body.get(name), bounds)
    if body.get("previous_response_id") is not None:
        message = f"Previous response with id '{body['previous_response_id']}' not found."
        raise refused(message, "previous_response_id", "previous_response_not_found")
    if body.get("input") is None:
        raise _missing("input")
    _check_items(body["input"])
    _check_tools(body)
    _check_format((body.get("text") or {}).get("format"))


def check_for_model(body: dict[str, Any], model: dict[str, Any]) -> None:
    """Raise Refused for what this model does not take."""
    if model.get("reasoning"):
        return
    if (body.get("reasoning") or {}).get("effort") not in (None, "none"):
        message = "Unsupported parameter: 'reasoning.effort' is not supported with this model."
        raise refused(message, "reasoning.effort", "unsupported_parameter")
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        raise refused("Encrypted content is not supported with this model.", "include", None)


def encrypted(thought: str) -> str:
    """Reasoning that only this program reads: the proof that it is its own stands in it."""
    proof = hashlib.sha256(f"simulated reasoning: {thought}".encode()).digest()
    return "gAAAA" + base64.urlsafe_b64encode(proof + thought.encode()).decode()


def _check_items(items: str | list[Any]) -> None:
    asked: set[str] = set()
    answered: set[str] = set()
    for index, item in enumerate(items if isinstance(items, list) else ()):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise wrong_type(where, "an object", item)
        kind = item.get("type", "message")
        if kind == "item_reference":
            raise refused(f"Item with id '{item.get('id')}' not found.", "input", None)
        if kind not in ITEMS:
            allowed = ", ".join(f"'{name}'" for name in ITEMS)
            raise refused(f"Invalid value: '{kind}'. Supported values are: {allowed}.", where, "invalid_value")
        for name in ITEMS[kind]:
            if item.get(name) is None:
                raise _missing(f"{where}.{name}")
        if kind == "message":
            _check_message(item, where)
        elif kind == "reasoning":
            _check_reasoning(item, where)
        elif kind.endswith("_call_output"):
            answered.add(item["call_id"])
            if item["call_id"] not in asked:
                message = f"No tool call found for {kind.replace('_', ' ')} with call_id {item['call_id']}."
                raise refused(message, "input", None)
        elif "call_id" in ITEMS[kind]:
            asked.add(item["call_id"])
    for call_id in sorted(asked - answered):
        raise refused(f"No tool output found for function call {call_id}.", "input", None)


def _check_message(item: dict[str, Any], where: str) -> None:
    if item["role"] not in ROLES:
        allowed = ", ".join(f"'{name}'" for name in ROLES)
        message = f"Invalid value: '{item['role']}'. Supported values are: {allowed}."
        raise refused(message, f"{where}.role", "invalid_value")
    known = CONTENT["output" if item["role"] == "assistant" else "input"]
    for index, part in enumerate(item["content"] if isinstance(item["content"], list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in known:
            allowed = ", ".join(f"'{name}'" for name in known)
            message = f"Invalid value: '{kind}'. Supported values are: {allowed}."
            raise refused(message, f"{where}.content[{index}]", "invalid_value")
        if kind == "input_image" and not (part.get("image_url") or part.get("file_id")):
            raise _missing(f"{where}.content[{index}].image_url")


def _check_reasoning(item: dict[str, Any], where: str) -> None:
    """OpenAI decrypts what it is given back; without it, it looks for what it stored, which here is nothing."""
    content = item.get("encrypted_content")
    if content is None:
        message = f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false."
        raise refused(message, "input", None)
    try:
        thought = base64.urlsafe_b64decode(str(content).removeprefix("gAAAA"))[32:].decode()
    except ValueError:
        thought = ""
    if content != encrypted(thought):
        message = f"The encrypted content for item {item['id']} could not be verified."
        raise refused(message, where, "invalid_encrypted_content")


def _check_tools(body: dict[str, Any]) -> None:
    for index, tool in enumerate(body.get("tools") or ()):
        where = f"tools[{index}]"
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in ("function", "custom", "namespace", *HOSTED, *UNUSED):
            raise refused(f"Invalid value: '{kind}'.", f"{where}.type", "invalid_value")
        if kind not in (*HOSTED, *UNUSED) and not tool.get("name"):
            raise _missing(f"{where}.name")
        if kind == "function" and tool.get("strict"):
            _check_strict(tool.get("parameters"), f"function '{tool['name']}'", f"{where}.parameters")
    if body.get("tool_choice") not in (None, "auto", "none") and not body.get("tools"):
        message = "Tool choices other than 'auto' or 'none' need 'tools' to be specified."
        raise refused(message, "tool_choice", None)


def _check_format(wanted: Any) -> None:
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in _FORMATS:
        raise refused(f"Invalid value: '{kind}'.", "text.format.type", "invalid_value")
    for name in _FORMATS[kind]:
        if wanted.get(name) is None:
            raise _missing(f"text.format.{name}")
    if wanted.get("strict"):
        _check_strict(wanted["schema"], f"response_format '{wanted['name']}'", "text.format.schema")


def _check_strict(schema: Any, whose: str, param: str) -> None:
    """Of the rules for strict schemas the one that is broken most."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        message = f"Invalid schema for {whose}: 'additionalProperties' is required to be supplied and to be false."
        raise refused(message, param, "invalid_json_schema")
    for each in (schema.get("properties") or {}).values():
        _check_strict(each, whose, param)
    _check_strict(schema.get("items"), whose, param)


def _missing(name: str) -> Refused:
    return refused(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def read(body: dict[str, Any]) -> Prompt:
    """What a checked request asks."""
    given = body["input"]
    items = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given
    text, knobs = split_directives(_last_user_text(items))
    tools, mode = _tools(body)
    return Prompt(
        text=text,
        segments=tuple(_segments(body, items)),
        knobs=knobs,
        tool_results=_tool_results(items),
        tools=tools,
        tool_mode=mode,
        parallel=body.get("parallel_tool_calls", True) is not False,
        max_tokens=body.get("max_output_tokens"),
        schema=_schema((body.get("text") or {}).get("format") or {}),
        reasoning_tokens=EFFORT_TOKENS.get((body.get("reasoning") or {}).get("effort") or "none", 0),
    )


def _segments(body: dict[str, Any], items: list[dict[str, Any]]) -> Iterator[Segment]:
    for offered in (body.get("tools"), body.get("instructions")):
        if offered:
            yield Segment(compact(offered), count_tokens(compact(offered)))
    for item in items:
        yield Segment(compact(item), MESSAGE_TOKENS + _tokens(item))
    yield Segment("", PRIMER_TOKENS)


def _tokens(item: dict[str, Any]) -> int:
    content = item.get("content", item.get("output"))
    if isinstance(content, str):
        return count_tokens(content)
    if isinstance(content, list):
        return sum(IMAGE_TOKENS if part["type"] == "input_image" else count_tokens(_words(part)) for part in content)
    return count_tokens(compact(item))


def _words(part: dict[str, Any]) -> str:
    return str(part.get("text") or part.get("refusal") or compact(part))


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content or ""


def _last_user_text(items: list[dict[str, Any]]) -> str:
    return next((_text_of(each["content"]) for each in reversed(items) if each.get("role") == "user"), "")


def _tool_results(items: list[dict[str, Any]]) -> tuple[str, ...]:
    """The results that end the conversation: those the model has not answered to yet."""
    results: list[str] = []
    for item in reversed(items):
        if not str(item.get("type")).endswith("_call_output"):
            break
        results.append(_text_of(item["output"]))
    return tuple(reversed(results))


def _tools(body: dict[str, Any]) -> tuple[tuple[Tool, ...], str]:
    """The client's tools the model may call, and whether it must."""
    tools = tuple(_tool(each) for each in body.get("tools") or () if each["type"] in ("function", "custom"))
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return tools, choice
    if choice.get("type") == "allowed_tools":
        names = [each.get("name") for each in choice.get("tools", ())]
        return tuple(tool for tool in tools if tool.name in names), choice.get("mode", "auto")
    wanted = tuple(tool for tool in tools if tool.name == choice.get("name"))
    if not wanted and choice.get("type") not in HOSTED:
        raise refused(f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.", "tool_choice", None)
    return wanted, "named"


def _tool(each: dict[str, Any]) -> Tool:
    return Tool(each["name"], None if each["type"] == "custom" else each.get("parameters") or {"type": "object"})


def searches(body: dict[str, Any], prompt: Prompt) -> bool:
    """Whether the model looks something up in the web: where it may, and is told to."""
    return any(each["type"] in HOSTED for each in body.get("tools") or ()) and "web_search" in prompt.text


def _schema(wanted: dict[str, Any]) -> Any:
    if wanted.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    return wanted.get("schema")
