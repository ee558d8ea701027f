"""docs/compatibility.md: the matrix as it was seen, between words that people write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
_BEGIN, _END = "<!-- the matrix: written by `make matrix` -->\n", "<!-- end of the matrix -->\n"
_SEEN: pytest.StashKey[Matrix] = pytest.StashKey()


class Matrix:
    """Collects cells."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], str | None] = {}
        """(family, surface, column) → what is otherwise, and after a colon why; None: it works."""

    @staticmethod
    def of(config: pytest.Config) -> Matrix:
        """The one of this run."""
        return config.stash.setdefault(_SEEN, Matrix())

    def saw(self, family: str, surface: str, column: str, lacks: str | None) -> None:
        """One cell, whole or streamed, held."""
        self._seen[family, surface, column] = lacks

    def complete(self, families: Sequence[Any], surfaces: Sequence[Any], columns: Iterable[str]) -> bool:
        """Whether each cell was seen."""
        wanted = {(f.name, s.name, column) for column in columns for f in families for s in surfaces}
        return wanted == self._seen.keys()

    def table(self) -> str:
        """Markdown: a row for each family and surface, a column for each thing that was asked."""
        columns = list(dict.fromkeys(column for _, _, column in self._seen))
        rows = list(dict.fromkeys((family, surface) for family, surface, _ in self._seen))
        notes: dict[str, int] = {}
        lines = [
            "| provider's API | surface | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
            "|---" * (2 + len(columns)) + "|",
        ]
        for family, surface in rows:
            cells = []
            for column in columns:
                lacks = self._seen[family, surface, column]
                number = None if lacks is None else notes.setdefault(lacks, len(notes) + 1)
                word = (lacks or "yes").partition(":")[0]
                cells.append(word if number is None else f"{word} ({number})")
            lines.append(f"| {family} | {surface} | " + " | ".join(cells) + " |")
        lines += ["", *(f"{number}. {lacks.partition(': ')[2]}" for lacks, number in notes.items())]
        return "\n".join(lines).rstrip() + "\n"

    def page(self) -> str:
        """The whole page with the table as it was seen."""
        before, _, rest = PAGE.read_text().partition(_BEGIN)
        _, _, after = rest.partition(_END)
        return f"{before}{_BEGIN}\n{self.table()}\n{_END}{after}"
