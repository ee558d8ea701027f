"""Reranking in the shape of Cohere's v2, which Jina, Voyage and Together are near to.

They bill search units (`meta.billed_units.search_units`) or tokens (`usage.total_tokens`). Voyage's list of results is
named `data`, and the number wanted `top_k` (its row says so).

A document is a text to all of them; the objects `{text}` of Cohere's v1 go on as that. `return_documents` is of its
v1, and the others have it: in a result that lacks its document it is put from the request, a text always as `{text}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.media.billed import SEARCH, is_by
from ownkey.providers.media.embeddings import tokens_in
from ownkey.providers.media.passing import Passing
from ownkey.providers.translator import Annotate, Call, Encoded, Reading

_RETURN = "return_documents"


class Rerank(Passing):
    """`rerank` to providers with that endpoint below their base URL."""

    path = "rerank"

    def encode_request(self, call: Call) -> Encoded:
        """Where a provider does not return documents, they are returned here: nothing is lost."""
        encoded = super().encode_request(call)
        return replace(encoded, dropped=tuple(name for name in encoded.dropped if name != _RETURN))

    def changes(self, call: Call) -> dict[str, Any]:
        """Texts instead of objects that are nothing else."""
        given = call.body.values["documents"]
        plain = [_plain(each) for each in given]
        return {} if plain == given else {"documents": plain}

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """Search units where they are billed, else tokens."""
        billed = member(member(values, "meta"), "billed_units")
        if units := count(billed, "search_units"):
            return Usage(search_units=units)
        if is_by(call.model, SEARCH, "input"):
            return None
        return tokens_in(member(values, "usage")) or tokens_in(billed) or tokens_in(member(values, "meta"))

    def annotated(self, call: Call, document: Document, reading: Reading, annotate: Annotate) -> dict[str, Any]:
        """Cohere's answers have no `usage`: they get one, with the cost in it."""
        values = document.values
        named = "results" if "results" in values else "data"
        results, changes = values.get(named), dict[str, Any]()
        if isinstance(results, list):
            wanted = call.body.values["documents"] if call.body.values.get(_RETURN) is True else ()
            shown = [_with_document(each, wanted) for each in results]
            if shown != results or named == "data":
                changes = {"results": shown} | ({"data": REMOVED} if named == "data" else {})
        if reading.usage is not None:
            changes["usage"] = {**member(values, "usage"), **annotate(reading.usage, reading.terms)}
        return changes


def _plain(document: Any) -> Any:
    if isinstance(document, dict) and document.keys() == {"text"} and isinstance(document["text"], str):
        return document["text"]
    return document


def _with_document(result: Any, wanted: Sequence[Any]) -> Any:
    """A result with its document as an object: the provider's own, or the one of the request that it is of."""
    if not isinstance(result, dict):
        return result
    document, at = result.get("document"), result.get("index")
    if document is None and isinstance(at, int) and 0 <= at < len(wanted):
        document = wanted[at]
    if isinstance(document, str):
        document = {"text": document}
    return result if document is None else {**result, "document": document}
