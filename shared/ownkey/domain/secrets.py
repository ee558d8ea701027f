"""Secrets that do not print themselves, and the masks people see instead."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

_MASK_TAIL_CHARS = 4
_MASK_HEAD_CHARS = 4
_MASK_MIN_CHARS = 20


class Secret:
    """A secret string. `repr`, `str`, f-strings, JSON and pickling never show it; `reveal()` does.

    Compares in constant time; is not hashable, so that it cannot become a dictionary key by accident.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain text. Call it at the last moment, where the request to the provider is built."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not to be pickled or copied out of the process")

    def __deepcopy__(self, _memo: dict[int, Any]) -> Secret:
        return self


def mask(secret: str) -> str:
    """What people may see of a provider key: `sk-…AbCd`.

    The head is shown only up to the key's first `-` or `_` (at most 4 characters), the tail is 4 characters, and
    a key under 20 characters shows nothing: at most 8 of its characters ever leave the vault.
    """
    if len(secret) < _MASK_MIN_CHARS:
        return "…"
    head = ""
    for position, char in enumerate(secret[:_MASK_HEAD_CHARS]):
        if char in "-_":
            head = secret[: position + 1]
            break
    return f"{head}…{secret[-_MASK_TAIL_CHARS:]}"
