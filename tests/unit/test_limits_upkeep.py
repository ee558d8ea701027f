"""What dead functions had reserved comes back; what is somebody else's to end does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ownkey.domain.ids import first_id
from ownkey.domain.limits import Counter, Measure, Window, Worst, claims
from ownkey.ledger.counters import Counters, Reservation, counted
from ownkey.ledger.reclaim import GRACE_S
from ownkey.ledger.records import Records, ended_item
from ownkey.ledger.upkeep import Upkeep
from ownkey.registry import Registry
from ownkey.store.dynamodb import DynamoDb, Put
from tests.support.attempts import AT, attempt
from tests.support.aws import Tables
from tests.support.limits import limit

TOKENS = limit(amount=1_000, window=Window.TOTAL, measure=Measure.TOKENS)
RECORD = attempt()
DEAD = AT + timedelta(seconds=900 + GRACE_S + 1)


@pytest.fixture
async def registry(tables: Tables) -> Registry:
    registry = Registry(tables.db, tables.registry)
    await registry.create_account("acme", "Acme", now=AT.isoformat())
    return registry


@pytest.fixture
def upkeep(tables: Tables) -> Upkeep:
    return Upkeep(
        tables.db,
        registry_table=tables.registry,
        records_table=tables.records,
        credits_table=tables.credits,
        counters_table=tables.counters,
    )


@pytest.fixture
async def counters(tables: Tables, registry: Registry) -> Counters:
    """With 100 tokens reserved for `RECORD`'s attempt."""
    await registry.create_limit(TOKENS)
    counters = Counters(tables.db, tables.counters)
    wanted = claims([TOKENS], byok=True, worst=Worst(100, 0, 0), at=AT)
    start = RECORD.start
    await counters.reserve(Reservation("acme", start.attempt_id, start.expires_at_s, wanted))
    return counters


async def committed(counters: Counters) -> int:
    at = (TOKENS.id, "total", "")
    return counted((await counters.read("acme", [at])).get(at)).committed


async def test_a_reservation_without_any_record_is_given_back_once(upkeep: Upkeep, counters: Counters) -> None:
    assert (await upkeep.run(DEAD)).given_back == 1
    assert await committed(counters) == 0
    assert (await upkeep.run(DEAD)).given_back == 0
    assert await committed(counters) == 0


async def test_a_function_that_may_still_be_at_work_keeps_what_it_has(upkeep: Upkeep, counters: Counters) -> None:
    assert (await upkeep.run(DEAD - timedelta(seconds=5))).given_back == 0
    assert await committed(counters) == 100


async def test_an_attempt_with_a_record_is_settled_by_billing(
    upkeep: Upkeep, counters: Counters, tables: Tables
) -> None:
    await Records(tables.db, tables.records).start(RECORD.start)
    swept = await upkeep.run(DEAD)
    assert (swept.abandoned, swept.given_back) == (1, 0)
    assert await committed(counters) == 100


async def test_a_reservation_that_outlives_its_settlement_is_given_back(
    upkeep: Upkeep, counters: Counters, tables: Tables
) -> None:
    at = Records(tables.db, tables.records).key(RECORD.start)
    assert RECORD.end is not None
    await tables.db.write(Put(at, ended_item(RECORD.start, RECORD.end) | {"billed_at": AT.isoformat()}))
    assert (await upkeep.run(DEAD)).given_back == 1
    assert await committed(counters) == 0


async def test_a_request_that_was_sent_counts_though_its_last_attempt_died(
    upkeep: Upkeep, registry: Registry, tables: Tables
) -> None:
    requests = limit(window=Window.TOTAL)
    await registry.create_limit(requests)
    wanted, counters = claims([requests], byok=True, worst=Worst(0, 0, 0), at=AT), Counters(tables.db, tables.counters)
    first, second = (Reservation("acme", f"{name}#0{n}", 1, wanted) for n, name in enumerate([first_id("req", 0)] * 2))
    await counters.reserve(first)
    await counters.reserve(second, first)
    assert (await upkeep.run(DEAD)).given_back == 1
    assert await counters.current([requests], AT) == {requests.id: Counter(used=1, committed=1)}


async def test_without_limits_upkeep_reads_nothing_of_them(
    upkeep: Upkeep, registry: Registry, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    queried: list[str] = []
    plain = DynamoDb.query

    async def noted(self: DynamoDb, table: str, *given, **options):  # type: ignore[no-untyped-def]
        queried.append(table)
        return await plain(self, table, *given, **options)

    monkeypatch.setattr(DynamoDb, "query", noted)
    await upkeep.run(DEAD)
    assert tables.counters not in queried
