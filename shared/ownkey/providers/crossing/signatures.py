"""Signatures of thinking on their way through a dialect that is not their own: `ownkey:<format>:<signature>`.

A client gives back what it was given. So what one format has signed travels in another's field under its format's name,
and is told apart from the field's own signatures when it comes back. Where the part has an id that its API wants back
(OpenAI's reasoning items), it stands after the format: `ownkey:<format>#<id>:<signature>`.
"""

from __future__ import annotations

from typing import NamedTuple

_PREFIX = "ownkey:"


class Signed(NamedTuple):
    """A signature (or encrypted thinking), whose it is, and the id of the part it came with."""

    signature: str
    format: str
    id: str | None = None


def wrapped(signature: str, of: str, within: str, id: str | None = None) -> str:
    """A signature as it stands in a field of the format `within`: untouched where that is its own.

    Args:
        id: Without `:`.
    """
    return signature if of == within else f"{_PREFIX}{of}{f'#{id}' if id else ''}:{signature}"


def unwrapped(value: str, within: str) -> Signed:
    """The inverse: what a field of the format `within` holds."""
    if value.startswith(_PREFIX):
        of, found, signature = value[len(_PREFIX) :].partition(":")
        of, _, id = of.partition("#")
        if found and of:
            return Signed(signature, of, id or None)
    return Signed(value, within)
