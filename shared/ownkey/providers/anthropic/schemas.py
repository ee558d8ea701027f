"""JSON Schemas as Claude is held to them: a part of the standard, with every object closed.

anthropic-sdk-python 2.11: `lib/_parse/_transform.py`. What the API has no word for is told to the model in the
description, as the SDK does: it may yet follow it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_KEPT = ("$ref", "title", "enum", "const", "default")
_DEFINITIONS = ("$defs", "definitions")
_OUTSIDE = frozenset({"$schema", "$id", "$comment", "examples"})
"""Says nothing about values."""


class NotClosed(ValueError):
    """The schema lets in members that it does not name."""


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the API's part of the standard.

    Raises:
        NotClosed: an object may have members of any name, which the API does not grant.
    """
    made: dict[str, Any] = {name: schema[name] for name in _KEPT if name in schema}
    rest = {name: value for name, value in schema.items() if name not in made and name not in _OUTSIDE}
    for name in _DEFINITIONS:
        if isinstance(rest.get(name), dict):
            made[name] = {each: _closed(value) for each, value in rest.pop(name).items()}
    if "type" in rest:
        made["type"] = rest.pop("type")
    for name, as_name in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if isinstance(rest.get(name), list) and as_name not in made:
            made[as_name] = [_closed(each) for each in rest.pop(name)]
    if _is(made, "object") or "properties" in rest:
        _close(made, rest)
    if isinstance(rest.get("items"), dict):
        made["items"] = _closed(rest.pop("items"))
    if rest.get("minItems") in (0, 1):
        made["minItems"] = rest.pop("minItems")
    if isinstance(rest.get("format"), str) and rest["format"] in _FORMATS:
        made["format"] = rest.pop("format")
    _describe(made, rest)
    return made


def _close(made: dict[str, Any], rest: dict[str, Any]) -> None:
    others = rest.pop("additionalProperties", not rest.get("properties"))
    if others is not False and not (others is True and rest.get("properties")):
        raise NotClosed
    properties = rest.pop("properties", None)
    named = properties.items() if isinstance(properties, dict) else ()
    made["properties"] = {name: _closed(each) for name, each in named}
    made["additionalProperties"] = False
    if "required" in rest:
        made["required"] = rest.pop("required")


def _describe(made: dict[str, Any], rest: dict[str, Any]) -> None:
    description = rest.pop("description", None)
    told = [description] if isinstance(description, str) else []
    if rest:
        told.append(json.dumps(rest, ensure_ascii=False))
    if told:
        made["description"] = "\n\n".join(told)


def _closed(value: Any) -> Any:
    return closed(value) if isinstance(value, dict) else value


def _is(made: Mapping[str, Any], kind: str) -> bool:
    stated = made.get("type")
    return stated == kind or (isinstance(stated, list) and kind in stated)
