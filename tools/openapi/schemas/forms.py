"""The words that schemas are written in: types, and how they are put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.credentials import PoolStrategy

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC."}
USD: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$", "description": "Dollars, exact."}
DATE: Schema = {"type": "string", "format": "date"}
STRINGS: Schema = {"type": "array", "items": STRING}
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "$ref" in schema or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def one_of(values: Any) -> Schema:
    """One of a few words."""
    return {"type": "string", "enum": [str(value) for value in values]}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def several(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def record(description: str, properties: Mapping[str, Schema], *, sometimes: tuple[str, ...] = ()) -> Schema:
    """An object whose fields are all there, but for those that are there `sometimes`."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": dict(properties),
        "required": [name for name in properties if name not in sometimes],
    }


def page(name: str, **more: Schema) -> Schema:
    """A page of a list, and what else is said of it."""
    fields = {"data": several(ref(name)), "next_cursor": nullable(STRING), **more}
    return record("A page: `next_cursor`, sent as `cursor`, continues it; null at the end.", fields)


STRATEGY = one_of(PoolStrategy)
REQUEST = record("A request to send.", {"method": STRING, "path": STRING, "body": {"type": "object"}})
