"""`GET /api/activity`: single attempts, filtered, newest first, in pages of bounded work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord, Outcome
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.management import Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOON)
        yield running


async def made(api: Management, at: datetime = NOON, **more: Any) -> AttemptRecord:
    record = attempt(at=at, **more)
    assert record.end is not None
    await api.records.end(record.start, record.end)
    return record


async def listed(api: Management, query: str, pages: int = 40) -> list[str]:
    """The request ids of all pages."""
    found, cursor = [], ""
    for _ in range(pages):
        page = await api.ok("GET", f"/api/activity?{query}{cursor}")
        found += [row["request_id"] for row in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "query",
    [
        "model=gpt-5.4",
        "model=openai/gpt-5.4",
        "model=best",
        "provider=groq",
        "gateway_key=gk_2",
        "source=platform",
        "outcome=broken",
        "user=ann",
        "app=https://app.example",
        "tag=team%23a",
        "user=ann&tag=team%23a&source=platform&outcome=broken&model=best&provider=groq",
    ],
)
async def test_attempts_are_filtered_by_what_is_recorded_of_them(api: Management, query: str, limit: int) -> None:
    named = {
        "gateway_key_id": "gk_2",
        "requested_model": "best",
        "user": "ann",
        "app": "https://app.example",
        "tags": ("team#a", "b"),
    }
    wanted = []
    for days in (0, 3, 4, 20):
        at = NOON - timedelta(days=days)
        await made(api, at)
        ours = {"request": named, "charge": 5, "hold": 5, "outcome": Outcome.BROKEN, "model_id": "gpt-5.4"}
        provider = "openai" if query == "model=openai/gpt-5.4" else "groq"
        wanted.append(await made(api, at + timedelta(seconds=1), provider_id=provider, **ours))
        await made(api, at + timedelta(seconds=2), request={"tags": ("team",), "user": "anna"})
    assert await listed(api, f"{query}&limit={limit}") == [each.start.request.request_id for each in wanted]


async def test_a_filter_that_finds_little_is_answered_in_bounded_steps(
    api: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ownkey.ledger.activity._ITEMS_A_QUERY", 2)
    monkeypatch.setattr("ownkey.ledger.activity._QUERIES_A_PAGE", 3)
    records = [await made(api, NOON - timedelta(minutes=n), request={"user": f"u{n}"}) for n in range(20)]
    first = await api.ok("GET", "/api/activity?user=u19")
    assert (first["data"], first["next_cursor"] is None) == ([], False)
    assert await listed(api, "user=u19") == [records[19].start.request.request_id]


class TestRanges:
    async def test_days_include_both_ends(self, api: Management) -> None:
        records = [await made(api, NOON - timedelta(days=n)) for n in range(5)]
        ids = [each.start.request.request_id for each in records]
        assert await listed(api, "from=2026-11-18&to=2026-11-20") == ids[1:4]
        assert await listed(api, "from=2026-11-19&limit=1") == ids[:3]
        assert await listed(api, "to=2026-11-18") == ids[3:]

    async def test_times_cut_within_a_day(self, api: Management) -> None:
        records = [await made(api, NOON + timedelta(hours=n)) for n in range(4)]
        ids = [each.start.request.request_id for each in reversed(records)]
        assert await listed(api, "from=2026-11-21T13:00:00Z&to=2026-11-21T14:00:00Z") == ids[1:3]
        assert await listed(api, "from=2026-11-21T15:00:00%2B01:00") == ids[:2]

    async def test_a_filter_without_a_beginning_reaches_back_a_month_and_a_list_without_one_to_its_end(
        self, api: Management
    ) -> None:
        old, new = await made(api, NOON - timedelta(days=40)), await made(api, NOON - timedelta(days=20))
        assert await listed(api, "provider=openai") == [new.start.request.request_id]
        assert await listed(api, "provider=openai&from=2026-01-01") == [
            new.start.request.request_id,
            old.start.request.request_id,
        ]
        assert len(await listed(api, "")) == 2

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("from=yesterday", "from"),
            ("from=2026-11-21T12:00:00", "from"),
            ("to=2026-13-01", "to"),
            ("from=2026-11-22&to=2026-11-21", "from"),
            ("source=mine", "source"),
            ("outcome=good", "outcome"),
            ("user=", "user"),
            ("cursor=MjAyNi0xMS0yMSN6eno", "cursor"),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_named(self, api: Management, query: str, param: str) -> None:
        status, error = await api.refused("GET", f"/api/activity?{query}")
        assert (status, error["param"]) == (400, param)


async def test_it_is_the_accounts_own(api: Management) -> None:
    record = await made(api, account_id="other", request={"user": "ann"})
    assert await listed(api, "user=ann") == []
    (row,) = (await api.ok("GET", "/api/activity?user=ann", by="oz"))["data"]
    assert row["request_id"] == record.start.request.request_id
