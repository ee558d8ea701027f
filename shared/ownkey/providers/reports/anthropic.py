"""Anthropic's usage and cost reports, with an admin key.

Facts from platform.claude.com/docs, Admin API (usage_report/messages, cost_report, api_keys): buckets of a day, `limit`
up to 31, pages by `next_page`; `amount` is a decimal string of cents; lists by `after_id`. The bill tells no keys
apart, and leaves the priority tier out.

```
usage_report/messages ─▶ cost_report ─▶ api_keys
```
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

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
    nanousd,
    next_of,
    only_usd,
    page_of,
    rows_of,
    text_of,
)

_CENT = Decimal("0.01")
_BUCKETS = 31
_LISTED = 100
_PATHS = {"messages": "/organizations/usage_report/messages", "costs": "/organizations/cost_report"}
_GROUPS = {"messages": ("api_key_id", "model"), "costs": ("description",)}
_AFTER: dict[str, Place] = {"messages": {"part": "costs"}, "costs": {"part": "keys"}}


class AnthropicReport:
    """The report."""

    first: Mapping[str, Any] = MappingProxyType({"part": "messages"})

    def question(self, place: Place, period: Period) -> Question:
        """A page of a part."""
        part = place["part"]
        if part == "keys":
            after: list[tuple[str, str | int]] = [("after_id", place["after"])] if place.get("after") else []
            return Question.get("/organizations/api_keys", [("limit", _LISTED), *after])
        query: list[tuple[str, str | int]] = [
            ("starting_at", f"{period.start:%Y-%m-%dT%H:%M:%SZ}"),
            ("ending_at", f"{period.end:%Y-%m-%dT%H:%M:%SZ}"),
            ("bucket_width", "1d"),
            *(("group_by[]", name) for name in _GROUPS[part]),
            ("limit", _BUCKETS),
        ]
        return Question.get(_PATHS[part], query + ([("page", place["page"])] if "page" in place else []))

    def read(self, place: Place, body: bytes) -> Answered:
        """A page of a part."""
        page, part = page_of(body), place["part"]
        if part == "keys":
            keys = tuple(_key(row) for row in rows_of(page, "data"))
            return Answered(keys=keys, place=_next_keys(page, place))
        buckets = [(_day(bucket), bucket) for bucket in rows_of(page, "data")]
        results = [(day, row) for day, bucket in buckets for row in rows_of(bucket, "results")]
        following = next_of(page, place, _AFTER[part])
        if part == "costs":
            return Answered(charges=tuple(_charge(day, row) for day, row in results), place=following)
        return Answered(lines=tuple(_line(day, row) for day, row in results), place=following)


def _line(day: str, row: Json) -> ReportLine:
    """Buckets that are disjoint already, as in the usage of a message."""
    written = member(row, "cache_creation")
    usage = Usage(
        input=count(row, "uncached_input_tokens"),
        cache_read=count(row, "cache_read_input_tokens"),
        cache_write_5m=count(written, "ephemeral_5m_input_tokens"),
        cache_write_1h=count(written, "ephemeral_1h_input_tokens"),
        output=count(row, "output_tokens"),
        web_searches=count(member(row, "server_tool_use"), "web_search_requests"),
    )
    return ReportLine(day, text_of(row.get("api_key_id")), text_of(row.get("model")), usage)


def _charge(day: str, row: Json) -> Charge:
    only_usd(row.get("currency"))
    return Charge(day, None, nanousd(row.get("amount"), _CENT), text_of(row.get("description")))


def _key(row: Json) -> ProviderKey:
    found = text_of(row.get("id"))
    if found is None:
        raise UnreadableReport("a key of the list has no id")
    return ProviderKey(found, text_of(row.get("partial_key_hint")) or "", text_of(row.get("name")) or "")


def _next_keys(page: Json, place: Place) -> Place | None:
    if not page.get("has_more"):
        return None
    last = text_of(page.get("last_id"))
    if last is None or last == place.get("after"):
        raise UnreadableReport("the list of keys has more, and no last_id")
    return {"part": "keys", "after": last}


def _day(bucket: Json) -> str:
    start = text_of(bucket.get("starting_at"))
    if start is None or len(start) < len("2026-11-21T00:00"):
        raise UnreadableReport("a bucket of the report has no start")
    return start[:10]
