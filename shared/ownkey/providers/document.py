"""A JSON object as it came over the wire: parsed once, and changed without touching what is not meant.

Dialects grow fields faster than any gateway learns of them. So a body is never rebuilt from what was understood of it:
every top-level member keeps its own text, and a change replaces single members.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

MAX_PARAM_CHARS = 64
"""Of a member's name in an error: names come from outside."""

REMOVED: Final = object()
"""As a change: the member is left out."""
_KEPT: Final = object()

Members = dict[str, tuple[int, int, int]]
"""Name → where its member starts, its value starts, its value ends."""


class InvalidDocument(ValueError):
    """Not a JSON object. `param` names the member at fault, where one is."""

    def __init__(self, reason: str, param: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param[:MAX_PARAM_CHARS] if param else None


class Document:
    """A JSON object: `values` as Python has them, `raw` as it came."""

    __slots__ = ("_members", "_text", "raw", "values")

    def __init__(self, raw: bytes, text: str, values: dict[str, Any], members: Members) -> None:
        self.raw = raw
        self.values = values
        self._text = text
        self._members = members

    @staticmethod
    def parse(raw: bytes, *, unique: bool = False) -> Document:
        """Reads UTF-8 JSON, strictly: no NaN, no control characters in strings, nothing after the object.

        Args:
            unique: Refuses two top-level members of one name: two readers might each take another one.

        Raises:
            InvalidDocument: not such an object.
        """
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise InvalidDocument("it is not UTF-8") from None
        values: dict[str, Any] = {}
        members: Members = {}
        try:
            end = _scan_object(text, values, members, unique=unique)
        except RecursionError:
            raise InvalidDocument("it is nested too deeply") from None
        except InvalidDocument:
            raise
        except (ValueError, IndexError):
            # `from None`: a JSON error carries the whole text.
            raise InvalidDocument("it is not valid JSON") from None
        if end != len(text):
            raise InvalidDocument("something stands after the JSON object")
        return Document(raw, text, values, members)

    def edited(self, changes: Mapping[str, Any]) -> bytes:
        """The object with the members in `changes` replaced, added or (`REMOVED`) left out; the others unchanged."""
        parts = []
        for name, (start, value_start, end) in self._members.items():
            change = changes.get(name, _KEPT)
            if change is _KEPT:
                parts.append(self._text[start:end])
            elif change is not REMOVED:
                parts.append(self._text[start:value_start] + _dumps(change))
        for name, change in changes.items():
            if name not in self._members and change is not REMOVED:
                parts.append(f"{_dumps(name)}:{_dumps(change)}")
        return f"{{{','.join(parts)}}}".encode()


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidDocument("NaN and Infinity are not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_skip = re.compile(r"[ \t\n\r]*").match


def _scan_object(text: str, values: dict[str, Any], members: Members, *, unique: bool) -> int:
    """Fills `values` and `members` from the object that is the whole text; returns where it and what follows ends."""
    at = _after_space(text, 0)
    if text[at] != "{":
        raise InvalidDocument("it is not a JSON object")
    at = _after_space(text, at + 1)
    if text[at] == "}":
        return _after_space(text, at + 1)
    while True:
        start = at
        if text[at] != '"':
            raise InvalidDocument("it is not valid JSON")
        name, at = _decode(text, at)
        if unique and name in values:
            raise InvalidDocument("the field is given twice", name)
        at = _after_space(text, at)
        if text[at] != ":":
            raise InvalidDocument("it is not valid JSON")
        value_start = _after_space(text, at + 1)
        values[name], end = _decode(text, value_start)
        members[name] = (start, value_start, end)
        at = _after_space(text, end)
        if text[at] == "}":
            return _after_space(text, at + 1)
        if text[at] != ",":
            raise InvalidDocument("it is not valid JSON")
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _skip(text, at)
    assert match is not None
    return match.end()
