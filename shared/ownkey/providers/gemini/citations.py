"""What an answer's text rests on: `groundingMetadata` (a search) and `citationMetadata` (recitation).

Google counts in bytes of a part's UTF-8, `Citation` in characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.providers.counts import member, string
from ownkey.providers.crossing import Citation

Json = Mapping[str, Any]


def citations_in(candidate: Json, text: str) -> Iterator[Citation]:
    """The citations of one chunk's candidate.

    Args:
        text: The text part they are of, as far as it has come.
    """
    raw = text.encode("utf-8", "surrogatepass")
    grounding = member(candidate, "groundingMetadata")
    chunks = objects(grounding, "groundingChunks")
    for support in objects(grounding, "groundingSupports"):
        segment = member(support, "segment")
        start, end = _within(raw, segment.get("startIndex", 0), segment.get("endIndex"))
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if isinstance(index, int) and 0 <= index < len(chunks):
                web = member(chunks[index], "web")
                if url := string(web.get("uri")):
                    yield Citation("url", url, string(web.get("title")), start=start, end=end)
    recited = member(candidate, "citationMetadata")
    for source in objects(recited, "citationSources") or objects(recited, "citations"):
        if url := string(source.get("uri")):
            start, end = _within(raw, source.get("startIndex", 0), source.get("endIndex"))
            yield Citation("url", url, string(source.get("title")), start=start, end=end)


def searches_in(candidate: Json) -> int:
    """How many queries were put to the search."""
    queries = member(candidate, "groundingMetadata").get("webSearchQueries")
    return len(queries) if isinstance(queries, list) else 0


def _within(raw: bytes, start: Any, end: Any) -> tuple[int | None, int | None]:
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(raw)):
        return None, None
    return tuple(len(raw[:at].decode("utf-8", "ignore")) for at in (start, end))  # type: ignore[return-value]


def objects(values: Json, name: str) -> list[Json]:
    """The objects of a list; none where there is no list."""
    rows = values.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
