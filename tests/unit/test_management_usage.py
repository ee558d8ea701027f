"""Balance, ledger, usage, activity: what billing wrote, read back in dollars and in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ownkey.domain.attempts import AttemptEnd, AttemptRecord, AttemptStart, Outcome, RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ids import REQUEST, new_id
from ownkey.domain.ledger import Cause, Movement, MovementKind, Posting, posting, released, settled
from ownkey.domain.usage import Usage, UsageSource
from ownkey.ledger.rollups import updates
from ownkey.ledger.statements import posting_item
from ownkey.store.dynamodb import Key, Put
from tests.support.aws import Tables
from tests.support.management import Management, management

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        running.clock.append(NOON)
        yield running


def attempt(
    at: datetime = NOON, account_id: str = "acme", source: CredentialSource = CredentialSource.BYOK
) -> AttemptRecord:
    request = RequestFacts(
        request_id=new_id(REQUEST, int(at.timestamp() * 1000)),
        account_id=account_id,
        gateway_key_id="gk_1",
        surface="chat",
        requested_model="gpt-4o",
        streamed=True,
        tags=("team-a",),
    )
    start = AttemptStart(
        request, 0, "openai", "gpt-4o", source, "cred_1", 1, "OpenAI", at.isoformat(), int(at.timestamp()) + 900,
        price_version="2026-11-21",
    )  # fmt: skip
    end = AttemptEnd(
        Outcome.SUCCEEDED,
        at.isoformat(),
        200,
        Usage(input=100, cache_read=20, output=30),
        UsageSource.PROVIDER,
        cost_nanousd=1_500_000,
        charge_nanousd=0 if source is CredentialSource.BYOK else 1_575_000,
        latency_ms=800,
        ttft_ms=200,
    )
    return AttemptRecord(start, end)


async def record(api: Management, *records: AttemptRecord) -> None:
    for each in records:
        assert each.end
        await api.records.end(each.start, each.end)
    for update in updates(records, api.tables.rollups):
        await api.tables.db.write(update)


class TestBalance:
    async def test_an_account_that_never_had_any_has_none(self, api: Management) -> None:
        assert await api.ok("GET", "/api/balance") == {"available_usd": "0", "held_usd": "0", "total_usd": "0"}

    async def test_it_is_dollars_as_exact_strings(self, api: Management) -> None:
        amounts = {"available_nanousd": 9_998_425_001, "held_nanousd": 1_574_999}
        await api.tables.db.write(Put(Key(api.tables.credits, "CREDITS#acme", "BALANCE"), amounts))
        assert await api.ok("GET", "/api/balance") == {
            "available_usd": "9.998425001",
            "held_usd": "0.001574999",
            "total_usd": "10",
        }


class TestLedger:
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 100])
    async def test_entries_come_newest_first_in_pages_of_any_size(self, api: Management, limit: int) -> None:
        moved = [
            (Cause.DEPOSIT, (Movement(MovementKind.DEPOSIT, 9),)),
            (Cause.ATTEMPT, settled(held_nanousd=9, cost_nanousd=4, charge_nanousd=5)),
            (Cause.RELEASE, released(9)),
            (Cause.ATTEMPT, settled(held_nanousd=0, cost_nanousd=4, charge_nanousd=4)),
        ]
        for n, (cause, movements) in enumerate(moved):
            await post(api, posting("acme", cause, f"req#{n}", f"2026-11-2{n}T00:00:00Z", *movements))
        seen, cursor = [], ""
        for _ in range(10):
            page = await api.ok("GET", f"/api/ledger?limit={limit}{cursor}")
            assert len(page["data"]) <= limit
            seen += [(row["cause_id"], row["kind"]) for row in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [
            ("req#3", "settle"),
            ("req#2", "release"),
            ("req#2", "hold"),
            ("req#1", "release"),
            ("req#1", "margin"),
            ("req#1", "settle"),
            ("req#1", "hold"),
            ("req#0", "deposit"),
        ]

    @pytest.mark.parametrize("cursor", ["bm9uc2Vuc2U", "I", "IzE", "MjAyNi0xMS0yMSNhI3g"])
    async def test_a_made_up_cursor_is_refused(self, api: Management, cursor: str) -> None:
        status, error = await api.refused("GET", f"/api/ledger?cursor={cursor}")
        assert (status, error["param"]) == (400, "cursor")

    async def test_amounts_are_signed_dollars_and_an_overrun_is_said_once(self, api: Management) -> None:
        movements = settled(
            held_nanousd=1_575_000, cost_nanousd=1_500_000, charge_nanousd=1_575_025, overrun_nanousd=25
        )
        await post(api, posting("acme", Cause.ATTEMPT, "a", "2026-11-21T00:00:00Z", *movements, overrun_nanousd=25))
        margin, settle, hold = (await api.ok("GET", "/api/ledger"))["data"]
        assert hold == {
            "id": "2026-11-21T00:00:00Z#attempt#a#0",
            "kind": "hold",
            "amount_usd": "0",
            "available_usd": "-0.001575",
            "held_usd": "0.001575",
            "overrun_usd": "0",
            "cause": "attempt",
            "cause_id": "a",
            "at": "2026-11-21T00:00:00Z",
        }
        assert (settle["amount_usd"], settle["held_usd"], settle["overrun_usd"]) == (
            "-0.0015",
            "-0.0015",
            "0.000000025",
        )
        assert (margin["amount_usd"], margin["overrun_usd"]) == ("-0.000075", "0")


async def post(api: Management, moved: Posting) -> None:
    at = Key(api.tables.ledger, "LEDGER#acme", moved.id)
    await api.tables.db.write(Put(at, posting_item(moved)))


class TestUsage:
    async def test_a_day_is_one_row_with_byok_and_platform_apart(self, api: Management) -> None:
        await record(api, attempt(), attempt(source=CredentialSource.PLATFORM))
        answer = await api.ok("GET", "/api/usage")
        assert (answer["dimension"], answer["granularity"]) == ("total", "day")
        assert (answer["from"], answer["to"]) == ("2026-10-23", "2026-11-21")
        (row,) = answer["data"]
        assert {
            "time": "2026-11-21",
            "value": "",
            "requests": 2,
            "byok_attempts": 1,
            "platform_attempts": 1,
            "failed": 0,
            "cost_byok_usd": "0.0015",
            "cost_platform_usd": "0.0015",
            "charge_usd": "0.001575",
        }.items() <= row.items()
        assert row["usage"] == {
            "input_tokens": 240,
            "output_tokens": 60,
            "input": 200,
            "cache_read": 40,
            "output": 60,
        }

    @pytest.mark.parametrize(
        ("dimension", "value"),
        [("model", "openai/gpt-4o"), ("gateway_key", "gk_1"), ("credential", "cred_1@1"), ("tag", "team-a")],
    )
    async def test_it_breaks_down_by_dimension(self, api: Management, dimension: str, value: str) -> None:
        await record(api, attempt())
        (row,) = (await api.ok("GET", f"/api/usage?dimension={dimension}"))["data"]
        assert (row["value"], row["requests"]) == (value, 1)

    async def test_hours_are_there_for_the_total(self, api: Management) -> None:
        await record(api, attempt(), attempt(NOON.replace(hour=23)), attempt(NOON - timedelta(days=3)))
        rows = (await api.ok("GET", "/api/usage?granularity=hour&from=2026-11-21&to=2026-11-21"))["data"]
        assert [row["time"] for row in rows] == ["2026-11-21T12", "2026-11-21T23"]

    async def test_the_range_includes_both_ends_and_nothing_else(self, api: Management) -> None:
        await record(api, *(attempt(NOON - timedelta(days=n)) for n in range(4)))
        rows = (await api.ok("GET", "/api/usage?from=2026-11-19&to=2026-11-20"))["data"]
        assert [row["time"] for row in rows] == ["2026-11-19", "2026-11-20"]

    async def test_it_is_the_accounts_own(self, api: Management) -> None:
        await record(api, attempt(account_id="other"))
        assert (await api.ok("GET", "/api/usage"))["data"] == []

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("dimension=provider_key", "dimension"),
            ("granularity=week", "granularity"),
            ("granularity=hour&dimension=model", "granularity"),
            ("from=yesterday", "from"),
            ("from=2026-11-22&to=2026-11-21", "from"),
            ("from=2020-01-01&to=2026-11-21", "from"),
            ("granularity=hour&from=2026-10-01&to=2026-11-21", "from"),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_named(self, api: Management, query: str, param: str) -> None:
        status, error = await api.refused("GET", f"/api/usage?{query}")
        assert (status, error["param"]) == (400, param)


class TestActivity:
    async def test_attempts_come_newest_first_in_pages_across_days(self, api: Management) -> None:
        records = [attempt(NOON - timedelta(hours=9 * n)) for n in range(5)]
        await record(api, *records)
        found, cursor = [], ""
        for _ in range(10):
            page = await api.ok("GET", f"/api/activity?limit=2{cursor}")
            found += [row["request_id"] for row in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == [each.start.request.request_id for each in records]

    async def test_a_row_is_the_whole_record_in_dollars(self, api: Management) -> None:
        await record(api, attempt(source=CredentialSource.PLATFORM))
        (row,) = (await api.ok("GET", "/api/activity"))["data"]
        assert {
            "state": "ended",
            "outcome": "succeeded",
            "provider": "openai",
            "model": "gpt-4o",
            "source": "platform",
            "credential_alias": "OpenAI",
            "tags": ["team-a"],
            "status": 200,
            "ttft_ms": 200,
            "cost_usd": "0.0015",
            "charge_usd": "0.001575",
            "billed_at": None,
        }.items() <= row.items()

    async def test_one_that_has_not_ended_says_so(self, api: Management) -> None:
        await api.records.start(attempt().start)
        (row,) = (await api.ok("GET", "/api/activity"))["data"]
        assert (row["state"], row["outcome"], row["usage"], row["cost_usd"]) == ("started", None, None, None)

    async def test_another_accounts_cursor_opens_nothing_of_it(self, api: Management) -> None:
        await record(api, *(attempt(account_id="other") for _ in range(3)))
        cursor = (await api.ok("GET", "/api/activity?limit=1", by="oz"))["next_cursor"]
        assert (await api.ok("GET", f"/api/activity?cursor={cursor}"))["data"] == []

    @pytest.mark.parametrize("query", ["cursor=made-up", "cursor=%FF%FE", "cursor=YWJj", "limit=0", "limit=1000"])
    async def test_a_bad_page_is_named(self, api: Management, query: str) -> None:
        status, error = await api.refused("GET", f"/api/activity?{query}")
        assert (status, error["param"]) == (400, query.partition("=")[0])
