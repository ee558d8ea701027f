"""Signatures of thinking on their way through a dialect that is not their own: `ownkey:<format>:<signature>`.

A client gives back what it was given. So what one format has signed travels in another's field under its format's name,
and is told apart from the field's own signatures when it comes back. Where the part has an id that its API wants back
(OpenAI's reasoning items), it stands after the format: `ownkey:<format>#<id>:<signature>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

from ownkey.providers.crossing.conversation import Format, Part, RedactedThinking, ToolUse
from ownkey.providers.passthrough import FOREIGN


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
    return signature if of == within else f"{FOREIGN}{of}{f'#{id}' if id else ''}:{signature}"


def unwrapped(value: str, within: str) -> Signed:
    """The inverse: what a field of the format `within` holds."""
    if value.startswith(FOREIGN):
        of, found, signature = value[len(FOREIGN) :].partition(":")
        of, _, id = of.partition("#")
        if found and of:
            return Signed(signature, of, id or None)
    return Signed(value, within)


def with_calls_named(parts: Sequence[Part]) -> Iterator[Part]:
    """Gemini signs a call by what stands right before it: the call's id is not in what a client gives back."""
    for part, after in zip_longest(parts, parts[1:]):
        signs = isinstance(part, RedactedThinking) and part.format == Format.GEMINI and isinstance(after, ToolUse)
        if signs and isinstance(part, RedactedThinking) and isinstance(after, ToolUse):
            part = replace(part, tool_use_id=after.id)
        yield part
