"""Reading other people's JSON: a member of the wrong kind is as good as absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from ownkey.domain.errors import ProviderInvalidResponse

_MAX_COUNT = 10**12
_NOTHING: Mapping[str, Any] = {}


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def parsed(data: bytes, what: str) -> dict[str, Any]:
    """The object that the data is. Costs a third of a `Document`, which can be changed.

    Args:
        what: Begins the sentence: "The provider's answer".

    Raises:
        ProviderInvalidResponse: it is none.
    """
    try:
        values = _decode(data.decode())
    except (ValueError, RecursionError):  # a UnicodeDecodeError among them
        raise ProviderInvalidResponse(f"{what} cannot be read: it is not valid JSON.") from None
    if not isinstance(values, dict):
        raise ProviderInvalidResponse(f"{what} cannot be read: it is not a JSON object.")
    return values


def count(values: Mapping[str, Any], name: str) -> int:
    """A number of tokens or calls; 0 where there is none, or none that can be one."""
    value = values.get(name, 0)
    return int(value) if _is_count(value) else 0


def tells(values: Mapping[str, Any], *names: str) -> bool:
    """Whether these counts can be leaned on: at least one is above 0, and none is something that is no count.

    A provider that reports zeros, or words, for an answer that has come reports nothing: its tokens are then estimated,
    not free.
    """
    given = [values[name] for name in names if values.get(name) is not None]
    return all(map(_is_count, given)) and any(given)


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT


def member(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object's member that is an object itself; an empty one where it is not."""
    value = values.get(name)
    return value if isinstance(value, dict) else _NOTHING


def string(value: Any) -> str | None:
    """The value, if it is text."""
    return value if isinstance(value, str) else None
