"""Caching a whole prompt where only marks on single parts are taken: at Bedrock and Vertex AI."""

from __future__ import annotations

from dataclasses import replace

from ownkey.providers.crossing import CacheMark, Document, Image, Role, Text, ToolResult, Turn


def marked_at_the_end(turns: tuple[Turn, ...], mark: CacheMark) -> tuple[Turn, ...]:
    """The turns with the mark on the last part that the user gave, where it has none and can have one."""
    for at in reversed(range(len(turns))):
        parts = turns[at].parts
        if turns[at].role is Role.USER and parts:
            last = parts[-1]
            if isinstance(last, Text | Image | Document | ToolResult) and last.cache is None:
                turn = replace(turns[at], parts=(*parts[:-1], replace(last, cache=mark)))
                return (*turns[:at], turn, *turns[at + 1 :])
            break
    return turns
