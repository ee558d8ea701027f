"""Reranking in the shape of Cohere's v2, which Jina, Voyage and Together are near to.

They bill search units (`meta.billed_units.search_units`) or tokens (`usage.total_tokens`). Voyage's list of results is
named `data`, and the number wanted `top_k` (its row says so).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.media.billed import SEARCH, is_by
from ownkey.providers.media.embeddings import tokens_in
from ownkey.providers.media.passing import Passing
from ownkey.providers.translator import Annotate, Call, Reading


class Rerank(Passing):
    """`rerank` to providers with that endpoint below their base URL."""

    path = "rerank"

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """Search units where they are billed, else tokens."""
        billed = member(member(values, "meta"), "billed_units")
        if units := count(billed, "search_units"):
            return Usage(search_units=units)
        if is_by(call.model, SEARCH, "input"):
            return None
        return tokens_in(member(values, "usage")) or tokens_in(billed) or tokens_in(member(values, "meta"))

    def annotated(self, document: Document, reading: Reading, annotate: Annotate) -> dict[str, Any]:
        """Cohere's answers have no `usage`: they get one, with the cost in it."""
        values = document.values
        changes: dict[str, Any] = {}
        if "results" not in values and isinstance(values.get("data"), list):
            changes = {"results": values["data"], "data": REMOVED}
        if reading.usage is not None:
            changes["usage"] = {**member(values, "usage"), **annotate(reading.usage, reading.terms)}
        return changes
