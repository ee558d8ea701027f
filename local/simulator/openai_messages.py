"""OpenAI's dialect, the messages of a request: what the vendor refuses in them, and in tools and schemas.

The shapes are those of openai-python 3.52 (`types/chat/*_message_param.py`, `*_content_part_*.py`); that calls must be
answered one by one, and how long an id may be, is what the API says when they are not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.simulator.refusals import Refusal, Refused

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
PARTS: Mapping[str, frozenset[str]] = {
    "developer": frozenset({"text"}),
    "system": frozenset({"text"}),
    "user": frozenset({"text", "image_url", "input_audio", "file"}),
    "assistant": frozenset({"text", "refusal"}),
    "tool": frozenset({"text"}),
}
"""Role → the types of its content's parts."""
COMPATIBLE_PARTS = frozenset({"thinking"})
"""What an assistant's content may have besides at compatible providers."""
PART_MEMBERS: Mapping[str, tuple[str, type, str]] = {
    "text": ("text", str, "a string"),
    "refusal": ("refusal", str, "a string"),
    "image_url": ("image_url", dict, "an object"),
    "input_audio": ("input_audio", dict, "an object"),
    "file": ("file", dict, "an object"),
}
_PART_EXTRAS = frozenset({"type", "prompt_cache_breakpoint"})
_MEMBERS: Mapping[str, frozenset[str]] = {
    "developer": frozenset({"content", "role", "name"}),
    "system": frozenset({"content", "role", "name"}),
    "user": frozenset({"content", "role", "name"}),
    "assistant": frozenset({
        "content", "role", "name", "audio", "function_call", "refusal", "tool_calls", "annotations"
    }),
    "tool": frozenset({"content", "role", "tool_call_id"}),
    "function": frozenset({"content", "role", "name"}),
}  # fmt: skip
MAX_ID_CHARS = 40
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IMAGE_URL = re.compile(r"https?://.+|data:image/(png|jpe?g|gif|webp);base64,[A-Za-z0-9+/]+=*")


def refused(message: str, param: str | None, code: str | None) -> Refused:
    """A 400 in the dialect's form."""
    return Refused(Refusal(400, "invalid_request_error", message, code, param))


def missing(where: str) -> Refused:
    """The refusal for a member that has to be there."""
    return refused(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")


def check_messages(messages: list[Any], *, strict: bool) -> None:
    """Raise Refused for messages that the vendor would refuse."""
    open_calls: list[str] = []
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        role = each.get("role")
        if strict and role in _MEMBERS:
            for name in each:
                if name not in _MEMBERS[role]:
                    raise refused(f"Unknown parameter: '{where}.{name}'.", f"{where}.{name}", "unknown_parameter")
        open_calls = _answered(each, where, open_calls)
        _check_content(each, where, strict=strict)
        open_calls += _calls(each, where)
    if open_calls:
        raise _unanswered(open_calls)


def check_tools(tools: list[Any], *, strict: bool) -> None:
    """Raise Refused for tools that the vendor would refuse."""
    for index, tool in enumerate(tools):
        kind = tool.get("type") if isinstance(tool, dict) else None
        stated = tool.get(kind, {}) if kind in ("function", "custom") else {}
        where = f"tools[{index}].{kind or 'function'}"
        if "name" not in stated:
            raise missing(f"tools[{index}].function.name")
        if not isinstance(stated["name"], str) or not _TOOL_NAME.fullmatch(stated["name"]):
            raise refused(f"Invalid '{where}.name': it does not match the pattern.", f"{where}.name", "invalid_value")
        parameters = stated.get("parameters")
        if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type") != "object"):
            message = f"Invalid schema for function '{stated['name']}': schema must be of type 'object'."
            raise refused(message, f"{where}.parameters", "invalid_function_parameters")
        if strict and parameters is not None:
            check_whole(parameters, stated["name"], f"{where}.parameters")
        if strict and stated.get("strict") and parameters is not None:
            check_strict(parameters, f"{where}.parameters", "invalid_function_parameters")


def check_whole(schema: Any, name: str, where: str, context: tuple[str, ...] = ()) -> None:
    """Raise Refused where a function's schema leaves out what the vendor wants said."""
    if not isinstance(schema, dict):
        return
    lacks = {"object": "properties", "array": "items"}.get(str(schema.get("type")))
    if lacks and lacks not in schema and (lacks == "items" or not context):
        message = (
            f"Invalid schema for function '{name}': In context={context}, {schema['type']} schema missing {lacks}."
        )
        raise refused(message, where, "invalid_function_parameters")
    for member, each in schema.get("properties", {}).items():
        check_whole(each, name, where, (*context, "properties", member))


def check_format(wanted: Mapping[str, Any], *, strict: bool) -> None:
    """Raise Refused for a form of answer that the vendor would refuse."""
    if wanted.get("type") != "json_schema":
        return
    stated = wanted.get("json_schema")
    if not isinstance(stated, dict) or "name" not in stated:
        raise missing("response_format.json_schema.name")
    if strict and stated.get("strict"):
        check_strict(stated.get("schema") or {}, "response_format", "invalid_json_schema")


def check_strict(schema: Any, where: str, code: str) -> None:
    """Raise Refused where a schema's objects are open, or have members that may be left out."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            message = f"Invalid schema for {where}: 'additionalProperties' is required to be supplied and to be false."
            raise refused(message, where, code)
        if set(schema.get("required", ())) != set(schema.get("properties", {})):
            message = f"Invalid schema for {where}: 'required' must include every key in properties."
            raise refused(message, where, code)
    for each in [*schema.get("properties", {}).values(), schema.get("items")]:
        check_strict(each, where, code)


def _answered(message: dict[str, Any], where: str, open_calls: list[str]) -> list[str]:
    """The calls that are still open after a message."""
    if message.get("role") != "tool":
        if open_calls:
            raise _unanswered(open_calls)
        return []
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str):
        raise missing(f"{where}.tool_call_id")
    if call_id not in open_calls:
        message_ = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise refused(f"Invalid parameter: {message_}", f"{where}.role", None)
    return [each for each in open_calls if each != call_id]


def _unanswered(open_calls: list[str]) -> Refused:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
    )
    return refused(message, "messages", None)


def _check_content(message: dict[str, Any], where: str, *, strict: bool) -> None:
    role, content = message.get("role"), message.get("content")
    says = content is not None or message.get("tool_calls") or message.get("function_call") or message.get("refusal")
    if role != "function" and not (says if role == "assistant" else content is not None):
        raise refused(f"Invalid value for 'content': expected a string, got null. ({where})", f"{where}.content", None)
    if not isinstance(content, list):
        return
    allowed = PARTS.get(str(role), frozenset()) | (frozenset() if strict or role != "assistant" else COMPATIBLE_PARTS)
    for index, part in enumerate(content):
        at = f"{where}.content[{index}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            words = ", ".join(f"'{each}'" for each in sorted(allowed))
            raise refused(
                f"Invalid value: '{kind}'. Supported values are: {words}.", f"{at}.type", "invalid_value"
            )  # fmt: skip
        _check_part(part, at, strict=strict)


def _check_part(part: dict[str, Any], at: str, *, strict: bool) -> None:
    kind = part["type"]
    if kind not in PART_MEMBERS:
        return
    name, type_, word = PART_MEMBERS[kind]
    if not isinstance(part.get(name), type_):
        raise refused(f"Invalid type for '{at}.{name}': expected {word}.", f"{at}.{name}", "invalid_type")
    for other in part if strict else ():
        if other != name and other not in _PART_EXTRAS:
            raise refused(f"Unknown parameter: '{at}.{other}'.", f"{at}.{other}", "unknown_parameter")
    if kind == "image_url" and not _IMAGE_URL.fullmatch(str(part["image_url"].get("url"))):
        raise refused(f"Invalid image URL at '{at}'.", f"{at}.image_url.url", "invalid_image_url")
    if kind == "input_audio" and part["input_audio"].get("format") not in ("wav", "mp3"):
        raise refused(f"Invalid value at '{at}': use wav or mp3.", f"{at}.input_audio.format", "invalid_value")
    file = part.get("file", {})
    if kind == "file" and not ("file_id" in file or {"filename", "file_data"} <= file.keys()):
        raise missing(f"{at}.file.file_id")


def _calls(message: dict[str, Any], where: str) -> list[str]:
    """The ids of a message's calls."""
    ids: list[str] = []
    for index, call in enumerate(message.get("tool_calls") or ()):
        at = f"{where}.tool_calls[{index}]"
        kind = call.get("type")
        if kind not in ("function", "custom") or not isinstance(call.get("id"), str):
            raise missing(f"{at}.type" if kind is None else f"{at}.id")
        if len(call["id"]) > MAX_ID_CHARS:
            message_ = f"Invalid '{at}.id': string too long. Expected a string with maximum length {MAX_ID_CHARS}."
            raise refused(message_, f"{at}.id", "string_above_max_length")
        member = "input" if kind == "custom" else "arguments"
        if not isinstance(call.get(kind, {}).get(member), str):
            raise refused(
                f"Invalid type for '{at}.{kind}.{member}': expected a string.", f"{at}.{kind}.{member}", "invalid_type"
            )  # fmt: skip
        ids.append(call["id"])
    return ids
