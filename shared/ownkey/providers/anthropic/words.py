"""Anthropic's words and ours, both ways: why an answer ended, where a text is from.

anthropic-sdk-python 2.11: `types/stop_reason.py`, `types/text_citation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.counts import string
from ownkey.providers.crossing import Citation, Finish

FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.END,
    "max_tokens": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOL_USE,
    "pause_turn": Finish.PAUSE,
    "refusal": Finish.REFUSAL,
    "model_context_window_exceeded": Finish.CONTEXT_WINDOW,
}
"""Anthropic's word → ours; any other word is `OTHER`."""

STOP_REASONS: Mapping[Finish, str] = {
    **{finish: word for word, finish in FINISHES.items()},
    Finish.CONTENT_FILTER: "refusal",
    Finish.OTHER: "end_turn",
}

_URL = "web_search_result_location"
_DOCUMENT_PLACES = frozenset(
    {"char_location", "page_location", "content_block_location", "search_result_location"},
)
_PLACES = _DOCUMENT_PLACES | {_URL}


def read_citation(values: Mapping[str, Any]) -> Citation | None:
    """A citation; None: of a kind that is not known. It is for the whole text block it stands at."""
    kind, index = string(values.get("type")), values.get("document_index")
    if kind not in _PLACES:
        return None
    return Citation(
        kind="url" if kind == _URL else "document",
        url=string(values.get("url")),
        title=string(values.get("title")) or string(values.get("document_title")),
        quote=string(values.get("cited_text")),
        document_index=index if isinstance(index, int) and not isinstance(index, bool) else None,
        place=values,
    )


def write_citation(citation: Citation) -> dict[str, Any]:
    """A citation, of any provider's. A document's place that another API tells in its own way is the whole of it."""
    if string(citation.place.get("type")) in _PLACES:
        return dict(citation.place)
    if citation.kind == "url":
        return {
            "type": _URL,
            "url": citation.url or "",
            "title": citation.title,
            "cited_text": citation.quote or "",
            "encrypted_index": "",
        }
    return {
        "type": "content_block_location",
        "cited_text": citation.quote or "",
        "document_index": citation.document_index or 0,
        "document_title": citation.title,
        "start_block_index": 0,
        "end_block_index": 1,
    }
