"""What billing does with limits: the real use in the place of what was reserved, and alerts once each in a period."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.limits import Counter, Limit, LimitScope, Measure, Window, Worst, claims
from ownkey.domain.usage import Usage
from ownkey.ledger.alerts import ACTION, DETAIL_TYPE, Alerts
from ownkey.ledger.counters import Counters, counted, reservation_of, used_by
from ownkey.ledger.records import Records, ended_item
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.stream import count_batch
from ownkey.registry.audit import AuditFilter, AuditTrail
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, encode_item
from tests.support.attempts import AT, attempt
from tests.support.aws import Tables
from tests.support.limits import limit

REQUESTS = limit(id="lim_requests", amount=1_000, window=Window.DAY)
TOKENS = limit(id="lim_tokens", amount=100_000, window=Window.DAY, measure=Measure.TOKENS)
SPEND = limit(id="lim_spend", amount=1_000_000, window=Window.MONTH, measure=Measure.SPEND)
SOFT = limit(id="lim_soft", amount=10_000, window=Window.TOTAL, measure=Measure.SPEND, hard=False)
WORST = Worst(tokens=500, cost_nanousd=5_000, charge_nanousd=5_250)


@dataclass
class FakeEvents:
    """The bus."""

    put_events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    down: bool = False

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        if self.down:
            raise StoreUnavailable("EventBridge does not answer.")
        self.put_events.append((detail_type, detail))


class Books:
    """Billing over fresh tables."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.records, self.counters = Records(tables.db, tables.records), Counters(tables.db, tables.counters)
        names = Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        self.settlement = Settlement(tables.db, names)
        self.trail, self.events = AuditTrail(tables.db, tables.audit), FakeEvents()
        self.alerts = Alerts(tables.db, tables.counters, self.trail, self.events, now=lambda: AT)

    async def ran(self, *limits: Limit, reserve: bool = True, **given: Any) -> AttemptRecord:
        """An attempt that reserved and ended."""
        record = limited(*limits, **given)
        wanted = reservation_of(record.start)
        if reserve and wanted is not None:
            await self.counters.reserve(wanted)
        await self.records.start(record.start)
        assert record.end is not None
        await self.records.end(record.start, record.end)
        return record

    async def bill(self, *records: AttemptRecord) -> None:
        assert await count_batch(self.settlement, stream(records), AT, self.alerts) == []

    async def counter(self, one: Limit) -> Counter:
        return (await self.counters.current([one], AT))[one.id]

    async def told(self) -> list[tuple[object, object]]:
        """Limit and percent of each alert in the log, in order."""
        page = await self.trail.page("acme", AuditFilter(action=ACTION))
        told = [(each.facts["limit_id"], each.facts["percent"]) for each in page.entries]
        return sorted(told, key=str)


def limited(*limits: Limit, worst: Worst = WORST, **given: Any) -> AttemptRecord:
    record = attempt(usage=Usage(input=100, output=20), **given)
    byok = not given.get("charge")
    return replace(record, start=replace(record.start, claims=claims(limits, byok=byok, worst=worst, at=AT)))


def stream(records: Sequence[AttemptRecord]) -> list[dict[str, Any]]:
    batch = []
    for number, record in enumerate(records):
        assert record.end is not None
        image = encode_item(ended_item(record.start, record.end))
        batch.append({"dynamodb": {"SequenceNumber": f"{number:05}", "NewImage": image}})
    return batch


@pytest.fixture
def books(tables: Tables) -> Books:
    return Books(tables)


async def test_the_real_use_takes_the_place_of_what_was_reserved(books: Books) -> None:
    record = await books.ran(REQUESTS, TOKENS, SPEND, SOFT, cost=1_000)
    assert await books.counter(TOKENS) == Counter(0, 500)
    await books.bill(record)
    assert await books.counter(REQUESTS) == Counter(1, 1)
    assert await books.counter(TOKENS) == Counter(120, 120)
    assert await books.counter(SPEND) == Counter(1_000, 1_000)
    assert await books.counter(SOFT) == Counter(1_000, 1_000)
    assert await books.counters.expired("acme", 2**40) == []


async def test_what_is_charged_is_the_spend_of_the_platform(books: Books) -> None:
    charged = replace(SPEND, include_byok=False)
    await books.bill(await books.ran(charged, SOFT, cost=1_000, charge=1_050))
    assert await books.counter(charged) == Counter(1_050, 1_050)
    await books.bill(await books.ran(charged, SOFT, cost=1_000))
    assert await books.counter(charged) == Counter(1_050, 1_050), "own keys do not count on it"
    assert await books.counter(SOFT) == Counter(2_050, 2_050)


async def test_a_record_settles_its_reservation_once_however_often_it_comes(books: Books) -> None:
    records = [await books.ran(REQUESTS, TOKENS) for _ in range(12)]
    deliveries = [stream(records[first : first + 5]) for first in range(0, 12, 3)] * 3
    random.Random(7).shuffle(deliveries)
    await asyncio.gather(*(count_batch(books.settlement, batch, AT, books.alerts) for batch in deliveries))
    await books.bill(*records)
    assert await books.counter(REQUESTS) == Counter(12, 12)
    assert await books.counter(TOKENS) == Counter(1_440, 1_440)


async def test_an_attempt_whose_reservation_is_gone_counts_what_it_used(books: Books) -> None:
    """Given back by upkeep, before its record came after all."""
    record = await books.ran(REQUESTS, TOKENS)
    reservation = reservation_of(record.start)
    assert reservation is not None
    await books.counters.give_back(reservation)
    await books.bill(record)
    assert await books.counter(TOKENS) == Counter(120, 120)
    assert await books.counter(REQUESTS) == Counter(0, 0)


async def test_a_request_of_several_attempts_counts_once(books: Books) -> None:
    first, second = limited(REQUESTS, SOFT_REQUESTS), limited(REQUESTS, SOFT_REQUESTS, number=1)
    before, after = reservation_of(first.start), reservation_of(second.start)
    assert before is not None
    assert after is not None
    await books.counters.reserve(before)
    await books.counters.reserve(after, before)
    for record in (first, second):
        assert record.end is not None
        await books.records.end(record.start, record.end)
    await books.bill(second, first)
    assert await books.counter(REQUESTS) == Counter(1, 1)
    assert await books.counter(SOFT_REQUESTS) == Counter(1, 1)


SOFT_REQUESTS = limit(id="lim_soft_requests", hard=False, scope=LimitScope.USER, value="ada")


async def test_a_large_batch_with_limits_fits_its_transactions(books: Books) -> None:
    many = [
        limit(id=f"lim_{n}", measure=Measure.TOKENS, amount=10**9, scope=LimitScope.TAG, value=f"t{n // 2}")
        for n in range(20)
    ]
    tags = tuple(f"t{n}" for n in range(10))
    request = {"tags": tags, "user": "ada", "app": "app"}
    records = [await books.ran(*many, REQUESTS, SPEND, SOFT, request=request) for _ in range(9)]
    await books.bill(*records)
    assert await books.counter(REQUESTS) == Counter(9, 9)


async def test_each_threshold_is_told_once(books: Books) -> None:
    budget = replace(SOFT, amount=10_000)
    for cost, told in ((4_000, []), (1_000, [50]), (1_000, [50]), (5_000, [100, 50, 80]), (9_000, [100, 50, 80])):
        await books.bill(await books.ran(budget, cost=cost))
        assert await books.told() == [(budget.id, percent) for percent in told]
    assert [(kind, detail["percent"]) for kind, detail in books.events.put_events] == [
        (DETAIL_TYPE, percent) for percent in (50, 80, 100)
    ]
    assert books.events.put_events[0][1] | {"id": "…"} == {
        "id": "…",
        "account": "acme",
        "limit_id": budget.id,
        "scope": "account",
        "value": None,
        "measure": "spend",
        "window": "total",
        "period": None,
        "percent": 50,
        "used": "0.000005",
        "amount": "0.00001",
        "resets_at": None,
        "hard": False,
    }


async def test_many_at_once_tell_once(books: Books) -> None:
    records = [await books.ran(replace(SOFT, amount=10_000), cost=1_000) for _ in range(16)]
    await asyncio.gather(*(books.bill(record) for record in records))
    await asyncio.gather(*(books.alerts.check("acme", records) for _ in range(8)))
    assert await books.told() == [(SOFT.id, percent) for percent in (100, 50, 80)]
    assert len(books.events.put_events) == 3


async def test_a_new_period_tells_anew(books: Books) -> None:
    daily = limit(id="lim_day", amount=1_000, window=Window.DAY, measure=Measure.SPEND, alerts=(100,), hard=False)
    today = await books.ran(daily, cost=1_000)
    (claim,) = today.start.claims
    tomorrow = limited(daily, cost=1_000)
    tomorrow = replace(tomorrow, start=replace(tomorrow.start, claims=(replace(claim, period="2026-11-22"),)))
    assert tomorrow.end is not None
    await books.records.end(tomorrow.start, tomorrow.end)
    await books.bill(today, tomorrow)
    assert await books.told() == [(daily.id, 100)] * 2


async def test_a_run_that_died_before_it_told_is_made_good_by_the_next(books: Books) -> None:
    record = await books.ran(replace(SOFT, amount=1_000), cost=1_000)
    assert await count_batch(books.settlement, stream([record]), AT) == []
    assert await books.told() == []
    await books.bill(record)  # the stream brings it again
    assert len(await books.told()) == 3


async def test_a_bus_that_is_down_is_in_nobodys_way(books: Books) -> None:
    books.events.down = True
    await books.bill(await books.ran(replace(SOFT, amount=1_000), cost=1_000))
    assert len(await books.told()) == 3


async def test_without_limits_nothing_is_read_or_written_for_them(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    plain = DynamoDb._call

    async def noted(self: DynamoDb, operation: str, body: Any) -> Any:
        touched.append(str(body))
        return await plain(self, operation, body)

    monkeypatch.setattr(DynamoDb, "_call", noted)
    record = await books.ran()
    await books.bill(record)
    assert not any(books.tables.counters in each for each in touched)
    stored = await books.tables.db.query_all(
        books.tables.records, keys.attempts_of_request("acme", record.start.request.request_id)
    )
    assert ["claims" in item for item in stored] == [False]


def test_an_attempt_that_has_not_ended_is_counted_by_nobody() -> None:
    started = replace(limited(REQUESTS), end=None)
    with pytest.raises(ValueError, match="not ended"):
        used_by(started, started.start.claims[0], stands=True)


def test_what_was_never_counted_is_zero() -> None:
    assert counted(None) == Counter(0, 0)
