"""OpenAI's organization usage and costs, with an admin key.

Facts from openai-python 3.52: `types/admin/organization/usage_*`, `projects/project_api_key.py`; buckets of a day,
`limit` up to 31 for usage and 180 for costs, pages by `next_page`; lists by `after` and `has_more`.

```
usage/completions ─▶ usage/embeddings ─▶ costs ─▶ projects ⇄ projects/{id}/api_keys
```
Usage of other endpoints (images, audio, moderations) is counted in other units: it shows in the costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from ownkey.domain.reconciliation import Charge, ProviderKey, ReportLine
from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member
from ownkey.providers.reports.report import (
    Answered,
    Json,
    Period,
    Place,
    Question,
    UnreadableReport,
    day_of,
    nanousd,
    next_of,
    only_usd,
    page_of,
    rows_of,
    text_of,
)

_BUCKETS = 31
_LISTED = 100
_PATHS = {
    "completions": "/organization/usage/completions",
    "embeddings": "/organization/usage/embeddings",
    "costs": "/organization/costs",
}
_GROUPS = {
    "completions": ("api_key_id", "model"),
    "embeddings": ("api_key_id", "model"),
    "costs": ("api_key_id", "line_item"),
}
_AFTER: dict[str, Place] = {
    "completions": {"part": "embeddings"},
    "embeddings": {"part": "costs"},
    "costs": {"part": "projects"},
}


class OpenAiReport:
    """The report."""

    first: Mapping[str, Any] = MappingProxyType({"part": "completions"})

    def question(self, place: Place, period: Period) -> Question:
        """A page of a part."""
        part = place["part"]
        if part in _PATHS:
            query: list[tuple[str, str | int]] = [
                ("start_time", int(period.start.timestamp())),
                ("end_time", int(period.end.timestamp())),
                ("bucket_width", "1d"),
                *(("group_by", name) for name in _GROUPS[part]),
                ("limit", _BUCKETS),
            ]
            return Question.get(_PATHS[part], query + ([("page", place["page"])] if "page" in place else []))
        after: list[tuple[str, str | int]] = [("limit", _LISTED)]
        after += [("after", place["after"])] if place.get("after") else []
        if part == "projects":
            return Question.get("/organization/projects", [*after, ("include_archived", "true")])
        project = quote(place["projects"][0], safe="")
        return Question.get(f"/organization/projects/{project}/api_keys", [*after, ("owner_project_access", "any")])

    def read(self, place: Place, body: bytes) -> Answered:
        """A page of a part."""
        page, part = page_of(body), place["part"]
        if part == "projects":
            return Answered(place=_from_projects(page))
        if part == "keys":
            keys = tuple(
                ProviderKey(_id(row), text_of(row.get("redacted_value")) or "", text_of(row.get("name")) or "")
                for row in rows_of(page, "data")
            )
            return Answered(keys=keys, place=_from_keys(page, place))
        buckets = [(day_of(bucket.get("start_time")), bucket) for bucket in rows_of(page, "data")]
        results = [(day, row) for day, bucket in buckets for row in rows_of(bucket, "results")]
        following = next_of(page, place, _AFTER[part])
        if part == "costs":
            return Answered(charges=tuple(_charge(day, row) for day, row in results), place=following)
        return Answered(lines=tuple(_line(day, row) for day, row in results), place=following)


def _line(day: str, row: Json) -> ReportLine:
    """`input_tokens` is the total of text, audio and images, those read from and written to caches among them; as in
    the usage of a completion, and `Usage` has disjoint buckets."""
    cached, audio = count(row, "input_cached_tokens"), count(row, "input_audio_tokens")
    images = count(row, "input_image_tokens")
    longer = count(row, "input_cache_write_12h_tokens")
    written = max(count(row, "input_cache_write_tokens"), longer + count(row, "input_cache_write_30m_tokens")) - longer
    # Cached audio and images are among the cached: counted there once.
    audio -= min(audio, count(row, "input_cached_audio_tokens"))
    images -= min(images, count(row, "input_cached_image_tokens"))
    audio_out, image_out = count(row, "output_audio_tokens"), count(row, "output_image_tokens")
    usage = Usage(
        input=max(0, count(row, "input_tokens") - cached - written - longer - audio - images),
        cache_read=cached,
        cache_write_5m=written,
        cache_write_1h=longer,
        audio_input=audio,
        image_input=images,
        output=max(0, count(row, "output_tokens") - audio_out - image_out),
        audio_output=audio_out,
        image_output=image_out,
    )
    key, model = text_of(row.get("api_key_id")), text_of(row.get("model"))
    return ReportLine(day, key, model, usage, count(row, "num_model_requests"))


def _charge(day: str, row: Json) -> Charge:
    amount = member(row, "amount")
    if not amount:
        return Charge(day, text_of(row.get("api_key_id")), 0)
    only_usd(amount.get("currency"))
    about = text_of(row.get("line_item"))
    return Charge(day, text_of(row.get("api_key_id")), nanousd(amount.get("value")), about)


def _from_projects(page: Json) -> Place | None:
    projects = [_id(row) for row in rows_of(page, "data")]
    more = _last(page) if page.get("has_more") else None
    if projects:
        return {"part": "keys", "projects": projects, "more": more}
    return None


def _from_keys(page: Json, place: Place) -> Place | None:
    """The project's next keys, else the next project's, else the next projects."""
    if page.get("has_more"):
        last = _last(page)
        if last == place.get("after"):
            raise UnreadableReport("the list of keys does not end")
        return {**place, "after": last}
    left = place["projects"][1:]
    if left:
        return {"part": "keys", "projects": left, "more": place["more"]}
    return {"part": "projects", "after": place["more"]} if place["more"] else None


def _last(page: Json) -> str:
    last = text_of(page.get("last_id"))
    if last is None:
        raise UnreadableReport("the list has more, and no last_id")
    return last


def _id(row: Json) -> str:
    found = text_of(row.get("id"))
    if found is None:
        raise UnreadableReport("an element of a list has no id")
    return found
