"""What the simulated model says, and how its tokens are counted. Pure and deterministic.

A token is a run of at most 12 word characters with the single space before it, a punctuation mark with the single
space before it, or any other single white-space character. Joining a text's tokens gives the text back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

TOKEN = re.compile(r" ?\w{1,12}| ?[^\w\s]|\s")
FRAGMENT_CHARACTERS = 5
MAX_SCHEMA_DEPTH = 6

_STRING_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def tokenize(text: str) -> tuple[str, ...]:
    """The tokens of `text`, in order."""
    return tuple(TOKEN.findall(text))


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return sum(1 for _ in TOKEN.finditer(text))


def answer_to(prompt: str, tool_results: tuple[str, ...] = ()) -> str:
    """The answer to the last user message, with the results of the tools it asked for where there are any."""
    said = f"You said: {prompt}"
    return f"{said}\nThe tools said: {'; '.join(tool_results)}" if tool_results else said


def numbered_words(count: int) -> tuple[str, ...]:
    """`count` pieces of one token each: `w0`, ` w1`, ` w2`, …"""
    return tuple(f" w{index}" if index else "w0" for index in range(count))


def fragments(text: str) -> tuple[str, ...]:
    """`text` cut into the short pieces in which the arguments of a tool call are streamed."""
    return tuple(text[at : at + FRAGMENT_CHARACTERS] for at in range(0, len(text), FRAGMENT_CHARACTERS))


def compact(value: Any) -> str:
    """`value` as JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def example_of(schema: Any) -> Any:
    """The simplest value that matches a JSON schema of the plain kind that tools and structured outputs use.

    Understood: type, properties, items, prefixItems, enum, const, anyOf, oneOf, allOf, local $ref, bounds of numbers
    and lengths, common string formats. Patterns are not: a string with one gets the sample word.
    """
    return _example(schema, schema, 0)


def _example(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return {}
    schema = _resolved(schema, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return _example(_alternative(alternatives, depth), root, depth + 1)
    kind = _kind(schema, depth)
    if kind == "object":
        return {name: _example(value, root, depth + 1) for name, value in _members(schema, depth)}
    if kind == "array":
        return _example_array(schema, root, depth)
    return _scalar(kind, schema)


def _resolved(schema: Mapping[str, Any], root: Any) -> Mapping[str, Any]:
    """The schema with its reference followed and its `allOf` folded in."""
    hops = 0
    while "$ref" in schema and hops < MAX_SCHEMA_DEPTH:
        target = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else ():
            target = target[step.replace("~1", "/").replace("~0", "~")]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        hops += 1
    if "allOf" not in schema:
        return schema
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in _resolved(part, root).items():
            if isinstance(value, dict):
                merged[key] = {**merged.get(key, {}), **value}
            elif isinstance(value, list) and key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _alternative(alternatives: list[Any], depth: int) -> Any:
    """The first alternative, or null once a recursive schema has been followed far enough."""
    nulls = [each for each in alternatives if isinstance(each, Mapping) and each.get("type") == "null"]
    return nulls[0] if nulls and depth >= MAX_SCHEMA_DEPTH else alternatives[0]


def _kind(schema: Mapping[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" if "null" in kind and depth >= MAX_SCHEMA_DEPTH else kind[0]
    return kind or ("object" if "properties" in schema else "array" if "items" in schema else "string")


def _members(schema: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        if depth < MAX_SCHEMA_DEPTH or name in required:
            yield name, value


def _example_array(schema: Mapping[str, Any], root: Any, depth: int) -> list[Any]:
    if "prefixItems" in schema:
        return [_example(item, root, depth + 1) for item in schema["prefixItems"]]
    least = schema.get("minItems", 1 if depth < MAX_SCHEMA_DEPTH else 0)
    return [_example(schema.get("items", {"type": "string"}), root, depth + 1) for _ in range(least)]


def _scalar(kind: str, schema: Mapping[str, Any]) -> Any:
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if kind in ("integer", "number"):
        return _number(kind, schema)
    word = _STRING_FORMATS.get(schema.get("format", ""), "sample")
    return word.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _number(kind: str, schema: Mapping[str, Any]) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf", 1 if kind == "integer" else 0.5)
    value = low if low is not None else min(1, high) if high is not None else 1
    value = -(-value // step) * step
    if value == schema.get("exclusiveMinimum") or (high is not None and value == schema.get("exclusiveMaximum")):
        value += step if low is not None else -step
    return int(value) if kind == "integer" else float(value)
