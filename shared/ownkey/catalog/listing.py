"""The content of models.json: which models each provider lists, and the facts of each, read line by line.

A model stands on a line of its own, `"<id>":<row>`, between the lines of its provider. A request needs one or two of
thousands: they are found in the bytes, and nothing else is parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

_OPENS = ',"models":{'
_BLOCKS = "blocks"
_ID = re.compile(rb'\n("[^"\n]*"):')


class Listing:
    """Rows by provider and model. Immutable."""

    __slots__ = ("_blocks", "_text", "as_of", "version")

    def __init__(self, text: bytes) -> None:
        """Of the bytes of models.json."""
        self._text = text
        first = text.index(b"\n")
        head = json.loads(text[:first].removesuffix(_OPENS.encode()) + b"}")
        self.version: str = head["version"]
        self.as_of = date.fromisoformat(head["as_of"])
        """The day the prices were taken from their source."""
        self._blocks: dict[str, tuple[int, int]] = {
            provider_id: (first + start, first + end) for provider_id, (start, end) in head[_BLOCKS].items()
        }

    def rows(self, provider_id: str) -> dict[str, Mapping[str, Any]]:
        """All models of a provider; none where they are not known."""
        if provider_id not in self._blocks:
            return {}
        start, end = self._blocks[provider_id]
        rows = json.loads(b"{" + self._text[start:end] + b"}")
        return {model_id: rows[row] if isinstance(row, str) else row for model_id, row in rows.items()}

    def ids(self, provider_id: str) -> list[str]:
        """The ids of a provider's models, their rows unread."""
        start, end = self._blocks.get(provider_id, (0, 0))
        return [json.loads(each) for each in _ID.findall(self._text, start, end)]

    def lists(self, provider_id: str, model_id: str) -> bool:
        """Whether the very id is there."""
        return self._found(provider_id, model_id) is not None

    def row(self, provider_id: str, model_id: str) -> Mapping[str, Any] | None:
        """The facts of a model; those of another one, where they are the same."""
        found = self._found(provider_id, model_id)
        if found is None:
            return None
        end = self._text.index(b"\n", found)
        row = json.loads(self._text[found:end].rstrip(b","))
        return self.row(provider_id, row) if isinstance(row, str) else row

    def _found(self, provider_id: str, model_id: str) -> int | None:
        """Where a model's row begins."""
        block = self._blocks.get(provider_id)
        if block is None:
            return None
        before = f"\n{json.dumps(model_id)}:".encode()
        at = self._text.find(before, *block)
        return None if at < 0 else at + len(before)


def encoded(content: Mapping[str, Any]) -> str:
    """The text of models.json: a line for each model, so that a change of price is a change of one line.

    Args:
        content: `version`, `as_of`, whatever else, and `models`: provider → model → row, or the id of another model.
    """
    parts, blocks, at = [], {}, 0
    for provider_id, rows in content["models"].items():
        lines = ",\n".join(f"{json.dumps(model_id)}:{_compact(row)}" for model_id, row in rows.items())
        opening = f"\n{json.dumps(provider_id)}:{{"
        start = at + len(opening.encode())
        at = start + 1 + len(lines.encode())
        blocks[provider_id] = (start, at)
        parts.append(f"{opening}\n{lines}\n}},")
        at += len("\n},")
    head = {name: value for name, value in content.items() if name not in ("models", _BLOCKS)} | {_BLOCKS: blocks}
    return f"{_compact(head)[:-1]}{_OPENS}{''.join(parts).removesuffix(',')}\n}}}}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
