"""Whether OpenAI takes a JSON Schema as a strict one.

Its guide to structured outputs: every object closed (`additionalProperties: false`), every property demanded.
openai-python 3.52, `lib/_pydantic.py`, makes schemas so.
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
