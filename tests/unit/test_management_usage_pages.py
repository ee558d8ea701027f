"""`GET /api/usage`: every dimension by hour, day and month; filtered, in pages, as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord
from ownkey.ledger.rollups import Dimension, buckets, updates
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.management import Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOON)
        yield running


async def count(api: Management, *records: AttemptRecord) -> None:
    for update in updates(records, api.tables.rollups):
        await api.tables.db.write(update)


def used(model: str = "openai/gpt-4o", at: datetime = NOON, **more: Any) -> AttemptRecord:
    provider_id, _, model_id = model.partition("/")
    return attempt(at=at, **{"provider_id": provider_id, "model_id": model_id} | more)


async def rows(api: Management, query: str) -> list[tuple[str, str, int, str]]:
    answer = await api.ok("GET", f"/api/usage?{query}")
    return [(row["time"], row["value"], row["requests"], row["cost_byok_usd"]) for row in answer["data"]]


MODELS = ("anthropic/claude-haiku-4-5", "openai/gpt-4o", "openai/gpt-4o-mini")


class TestDimensions:
    async def test_providers_are_the_sums_of_their_models(self, api: Management) -> None:
        await count(api, *(used(model, cost=10**9) for model in MODELS))
        assert await rows(api, "dimension=provider") == [
            ("2026-11-21", "anthropic", 1, "1"),
            ("2026-11-21", "openai", 2, "2"),
        ]

    async def test_sources_are_the_parts_of_the_total(self, api: Management) -> None:
        await count(api, used(cost=5), used(cost=7, charge=8, hold=8), used(cost=5))
        by_source = (await api.ok("GET", "/api/usage?dimension=source"))["data"]
        (total,) = (await api.ok("GET", "/api/usage"))["data"]
        assert [(row["value"], row["requests"], row["charge_usd"]) for row in by_source] == [
            ("byok", 2, "0"),
            ("platform", 1, "0.000000008"),
        ]
        assert (total["value"], total["requests"], total["cost_byok_usd"]) == ("", 3, "0.00000001")
        assert total["usage"]["input"] == sum(row["usage"]["input"] for row in by_source)

    @pytest.mark.parametrize("dimension", [each for each in Dimension if each not in (Dimension.APP, Dimension.USER)])
    async def test_a_year_is_twelve_months_of_every_dimension(self, api: Management, dimension: Dimension) -> None:
        days = [datetime(2026, month, day, 12, tzinfo=UTC) for month in range(1, 11) for day in (1, 28)]
        await count(api, *(used(at=day, cost=10**9, request={"tags": ("feature=a",)}) for day in days))
        found = await rows(api, f"dimension={dimension}&granularity=month")
        assert [(time, requests, cost) for time, _, requests, cost in found] == [
            (f"2026-{month:02}", 2, "2") for month in range(1, 11)
        ]

    async def test_hours_are_there_by_source(self, api: Management) -> None:
        await count(api, used(), used(at=NOON.replace(hour=13)))
        found = await rows(api, "dimension=source&granularity=hour&from=2026-11-21&to=2026-11-21")
        assert [time for time, *_ in found] == ["2026-11-21T12", "2026-11-21T13"]


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "values"),
        [
            ("model=openai/gpt-4o", ["openai/gpt-4o"]),
            ("model=gpt-4o", ["openai/gpt-4o"]),
            ("provider=openai", ["openai"]),
            ("dimension=model&provider=openai", ["openai/gpt-4o", "openai/gpt-4o-mini"]),
            ("dimension=provider&model=gpt-4o", ["openai"]),
            ("credential=cred_1", ["cred_1@1", "cred_1@2"]),
            ("credential=cred_1@2", ["cred_1@2"]),
            ("gateway_key=gk_2", ["gk_2"]),
            ("user=ann", ["ann"]),
            ("app=https://app.example", ["https://app.example"]),
            ("tag=team%23a", ["team#a"]),
            ("dimension=feature", ["chat"]),
            ("feature=chat", ["chat"]),
            ("dimension=tag&feature=chat", ["feature=chat"]),
            ("dimension=feature&tag=team", []),
            ("source=platform", ["platform"]),
            ("source=byok&dimension=total", [""]),
            ("model=nobody", []),
        ],
    )
    async def test_a_dimension_is_filtered_by_its_values(self, api: Management, query: str, values: list[str]) -> None:
        named = {"user": "ann", "app": "https://app.example", "tags": ("team#a", "feature=chat", "team")}
        await count(
            api,
            *(used(model) for model in MODELS),
            used(credential_version=2, request={"gateway_key_id": "gk_2"}),
            used(request=named),
            used(charge=5, hold=5, request={"user": "bob"}),
        )
        answer = await api.ok("GET", f"/api/usage?{query}")
        assert [row["value"] for row in answer["data"]] == values
        assert answer["totals"]["requests"] == sum(row["requests"] for row in answer["data"])

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("model=a&user=b", "user"),
            ("dimension=user&model=a", "model"),
            ("dimension=total&model=a", "model"),
            ("source=mine", "source"),
            ("model=", "model"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("format=xlsx", "format"),
            ("cursor=bm9uc2Vuc2U", "cursor"),
            ("cursor=RCMyMDAw", "cursor"),
        ],
    )
    async def test_what_aggregates_cannot_say_is_refused(self, api: Management, query: str, param: str) -> None:
        status, error = await api.refused("GET", f"/api/usage?{query}")
        assert (status, error["param"]) == (400, param)


class TestPages:
    @pytest.mark.parametrize("dimension", ["total", "source", "provider", "model", "gateway_key"])
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
    async def test_pages_of_any_size_make_up_the_whole(self, api: Management, dimension: str, limit: int) -> None:
        made = [
            used(
                model, NOON - timedelta(days=day), cost=day + 1, charge=day % 2, request={"gateway_key_id": f"gk_{day}"}
            )
            for day in range(4)
            for model in MODELS
        ]
        await count(api, *made)
        whole = await api.ok("GET", f"/api/usage?dimension={dimension}")
        found, totals, cursor = [], 0, ""
        for _ in range(20):
            page = await api.ok("GET", f"/api/usage?dimension={dimension}&limit={limit}{cursor}")
            assert len(page["data"]) <= limit
            found += page["data"]
            totals += page["totals"]["attempts"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == whole["data"]
        assert totals == whole["totals"]["attempts"] == len(made)

    async def test_totals_are_the_sums_of_the_rows(self, api: Management) -> None:
        await count(api, *(used(model, cost=n, charge=n // 2) for n, model in enumerate(MODELS * 5)))
        answer = await api.ok("GET", "/api/usage?dimension=model")
        totals, data = answer["totals"], answer["data"]
        for name in ("requests", "attempts", "succeeded", "latency_ms"):
            assert totals[name] == sum(row[name] for row in data)
        for name in ("cost_byok_usd", "cost_platform_usd", "charge_usd"):
            assert Decimal(totals[name]) == sum(Decimal(row[name]) for row in data)
        assert totals["usage"]["output_tokens"] == sum(row["usage"]["output_tokens"] for row in data)

    async def test_the_work_of_a_page_is_bounded_however_little_a_filter_finds(
        self, api: Management, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ownkey.ledger.rollups._ITEMS_A_QUERY", 4)
        monkeypatch.setattr("ownkey.ledger.rollups._ITEMS_A_PAGE", 8)
        await count(api, *(used(f"openai/m{n:02}") for n in range(30)))
        found, pages, cursor = [], 0, ""
        while pages < 20:
            page = await api.ok("GET", f"/api/usage?model=m25{cursor}")
            found += [row["value"] for row in page["data"]]
            pages += 1
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert (found, pages) == (["openai/m25"], 4)


async def test_a_file_has_the_same_rows_and_no_formula(api: Management) -> None:
    await count(api, used(request={"user": "=cmd()"}, cost=1_500_000), used(request={"user": "ann"}))
    whole = (await api.ok("GET", "/api/usage?dimension=user"))["data"]
    answer = await api.call("GET", "/api/usage?dimension=user&format=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["value"] for line in lines] == ["'=cmd()", "ann"]
    assert [line["cost_byok_usd"] for line in lines] == [row["cost_byok_usd"] for row in whole]
    assert (lines[0]["input"], lines[0]["cache_read"], lines[0]["output_tokens"]) == ("10", "0", "20")
    assert "x-ownkey-next-cursor" not in answer.headers
    first = await api.call("GET", "/api/usage?dimension=user&format=csv&limit=1")
    rest = await api.call("GET", f"/api/usage?dimension=user&format=csv&cursor={first.headers['x-ownkey-next-cursor']}")
    assert [*csv.DictReader(io.StringIO(first.text)), *csv.DictReader(io.StringIO(rest.text))] == lines


class TestLateRecords:
    """What is billed in a later month than it ended in counts there, and is said to be late."""

    LATE = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)

    async def test_a_month_that_is_over_stays_as_it_was(self, api: Management) -> None:
        late = used(at=self.LATE, cost=3, charge=5)
        billed = AttemptRecord(late.start, late.end, "2026-11-02T08:00:00.000+00:00")
        await count(api, billed, used(charge=7))
        (row,) = (await api.ok("GET", "/api/usage?granularity=month"))["data"]
        assert (row["time"], row["attempts"], row["late_attempts"]) == ("2026-11", 2, 1)
        assert (row["charge_usd"], row["late_charge_usd"]) == ("0.000000012", "0.000000005")
        days = (await api.ok("GET", "/api/usage?from=2026-10-01&to=2026-11-30"))["data"]
        assert [(day["time"], day["late_attempts"]) for day in days] == [("2026-11-02", 1), ("2026-11-21", 0)]

    async def test_one_that_is_billed_in_its_own_month_counts_when_it_ended(self, api: Management) -> None:
        ended = used(at=NOON - timedelta(days=9))
        await count(api, AttemptRecord(ended.start, ended.end, NOON.isoformat()))
        assert [time for time, *_ in await rows(api, "")] == ["2026-11-12"]

    async def test_a_clock_that_is_ahead_puts_nothing_into_a_month_to_come(self) -> None:
        ahead = used(at=datetime(2026, 12, 1, tzinfo=UTC))
        billed = AttemptRecord(ahead.start, ahead.end, "2026-11-30T23:59:59.900+00:00")
        assert {bucket.time[:7] for bucket in buckets(billed)} == {"2026-11"}
