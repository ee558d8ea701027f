"""Reading other people's JSON: a member of the wrong kind is as good as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_COUNT = 10**12
_NOTHING: Mapping[str, Any] = {}


def count(values: Mapping[str, Any], name: str) -> int:
    """A number of tokens or calls; 0 where there is none, or none that can be one."""
    value = values.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value <= _MAX_COUNT else 0


def member(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object's member that is an object itself; an empty one where it is not."""
    value = values.get(name)
    return value if isinstance(value, dict) else _NOTHING


def string(value: Any) -> str | None:
    """The value, if it is text."""
    return value if isinstance(value, str) else None
