"""JSON Schemas as OpenAI takes them.

A function's are refused where an object has no `properties` or an array no `items` ("object schema missing properties",
"array schema missing items"), which other vendors and MCP servers do without. Strict ones, by its guide to structured
outputs: every object closed (`additionalProperties: false`), every property demanded. openai-python 3.52,
`lib/_pydantic.py`, makes schemas so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 64
_OF_ONE = ("items", "not", "if", "then", "else")
_OF_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_OF_NAMED = ("properties", "$defs", "definitions")


def fits_strict(schema: Any, depth: int = 0) -> bool:
    """Whether every object in it is closed and demands all it has."""
    if depth > _MAX_DEPTH:
        return False
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties"), schema.get("required")
        names = set(properties) if isinstance(properties, Mapping) else set()
        demanded = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or names - demanded:
            return False
    within = [schema[name] for name in _OF_ONE if name in schema]
    for name in _OF_MANY:
        within += schema[name] if isinstance(schema.get(name), list) else []
    for name in _OF_NAMED:
        within += schema[name].values() if isinstance(schema.get(name), Mapping) else []
    return all(fits_strict(each, depth + 1) for each in within)


def completed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A function's schema with what it says by leaving it out: no properties, items of any kind."""
    if schema.get("type") == "object" and "properties" not in schema:
        schema = {**schema, "properties": {}}
    made: Mapping[str, Any] = _completed(schema, 0)
    return made


def _completed(schema: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return schema
    changed: dict[str, Any] = {}
    for name in _OF_ONE:
        if name in schema:
            changed[name] = _completed(schema[name], depth + 1)
    for name in _OF_MANY:
        if isinstance(schema.get(name), list):
            changed[name] = [_completed(each, depth + 1) for each in schema[name]]
    for name in _OF_NAMED:
        if isinstance(schema.get(name), Mapping):
            changed[name] = {each: _completed(value, depth + 1) for each, value in schema[name].items()}
    if schema.get("type") == "array" and "items" not in schema and "prefixItems" not in schema:
        changed["items"] = {}
    return {**schema, **changed} if changed else schema
