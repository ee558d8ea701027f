"""Responses' words and ours, both ways: why an answer ended, where a text is from, how likely its tokens were.

openai-python 3.52: `types/responses/response.py`, `response_output_text.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.counts import string
from ownkey.providers.crossing import Citation, Finish, Logprob

LOGPROBS = "message.output_text.logprobs"
"""To be included: how likely the text's tokens were."""
INCOMPLETE: Mapping[str, Finish] = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}
"""Why a response is incomplete → why it ended; any other word is `OTHER`."""
REASONS: Mapping[Finish, str] = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTEXT_WINDOW: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
}
"""The other way; for any other reason a response is complete."""
_ANNOTATIONS = frozenset({"url_citation", "file_citation", "container_file_citation", "file_path"})


def read_citation(values: Mapping[str, Any]) -> Citation | None:
    """An annotation; None: of a kind that is not known."""
    kind = string(values.get("type"))
    if kind not in _ANNOTATIONS:
        return None
    return Citation(
        kind="url" if kind == "url_citation" else "document",
        url=string(values.get("url")),
        title=string(values.get("title")) or string(values.get("filename")),
        start=_count(values.get("start_index")),
        end=_count(values.get("end_index")),
        place=values,
    )


def write_citation(citation: Citation, text: str) -> dict[str, Any]:
    """An annotation of a text. A citation that does not say where it stands is of all of it."""
    if string(citation.place.get("type")) in _ANNOTATIONS:
        return dict(citation.place)
    if citation.kind == "url":
        return {
            "type": "url_citation",
            "url": citation.url or "",
            "title": citation.title or "",
            "start_index": citation.start or 0,
            "end_index": len(text) if citation.end is None else citation.end,
        }
    return {
        "type": "file_citation",
        "file_id": f"document_{citation.document_index or 0}",
        "filename": citation.title or "",
        "index": len(text) if citation.end is None else citation.end,
    }


def read_logprobs(values: Any) -> tuple[Logprob, ...]:
    """Those of a list that say a token and a number."""
    found = (_logprob(each) for each in values) if isinstance(values, list) else ()
    return tuple(each for each in found if each is not None)


def write_logprobs(logprobs: tuple[Logprob, ...]) -> list[dict[str, Any]]:
    """As a list of theirs, each with the likeliest in its place."""
    return [_written(each) | {"top_logprobs": [_written(top) for top in each.top]} for each in logprobs]


def _logprob(values: Any) -> Logprob | None:
    if not isinstance(values, dict):
        return None
    token, logprob, spelt = values.get("token"), values.get("logprob"), values.get("bytes")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    whole = tuple(spelt) if isinstance(spelt, list) and all(isinstance(byte, int) for byte in spelt) else None
    return Logprob(token, logprob, whole, read_logprobs(values.get("top_logprobs")))


def _written(logprob: Logprob) -> dict[str, Any]:
    spelt = logprob.bytes if logprob.bytes is not None else tuple(logprob.token.encode("utf-8", "replace"))
    return {"token": logprob.token, "logprob": logprob.logprob, "bytes": list(spelt)}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
