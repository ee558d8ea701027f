"""Signatures of thinking on their way through a dialect that is not their own: `ownkey:<format>:<signature>`.

A client gives back what it was given. So what one format has signed travels in another's field under its format's name,
and is told apart from the field's own signatures when it comes back.
"""

from __future__ import annotations

from typing import NamedTuple

_PREFIX = "ownkey:"


class Signed(NamedTuple):
    """A signature (or encrypted thinking), and whose it is."""

    signature: str
    format: str


def wrapped(signature: str, of: str, within: str) -> str:
    """A signature as it stands in a field of the format `within`: untouched where that is its own."""
    return signature if of == within else f"{_PREFIX}{of}:{signature}"


def unwrapped(value: str, within: str) -> Signed:
    """The inverse: what a field of the format `within` holds."""
    if value.startswith(_PREFIX):
        of, found, signature = value[len(_PREFIX) :].partition(":")
        if found and of:
            return Signed(signature, of)
    return Signed(value, within)
