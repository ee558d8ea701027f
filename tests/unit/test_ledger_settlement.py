"""Every record counted once, whatever the stream does; every cent where it belongs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.errors import InsufficientCredits, StoreUnavailable
from ownkey.domain.ledger import Balance, Hold, Movement, MovementKind
from ownkey.domain.usage import Usage
from ownkey.ledger.activity import Activity, ActivityFilter
from ownkey.ledger.holds import Holds
from ownkey.ledger.reclaim import Reclaimed
from ownkey.ledger.records import Deposit, Records, ended_item
from ownkey.ledger.rollups import Dimension, Granularity, Rollups
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import Statements
from ownkey.ledger.stream import count_batch
from ownkey.ledger.upkeep import Upkeep
from ownkey.registry import Registry
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key, Put, encode_item
from tests.support.attempts import AT, attempt
from tests.support.audit import money
from tests.support.aws import Tables

NOW = AT.isoformat()


class Books:
    """All the ledger's parts over one set of tables."""

    def __init__(self, tables: Tables) -> None:
        self.db = tables.db
        self.tables = tables
        self.records = Records(tables.db, tables.records)
        self.at = AT
        self.holds = Holds(tables.db, credits_table=tables.credits, records_table=tables.records, now=lambda: self.at)
        self.settlement = Settlement(
            tables.db, Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        )
        self.statements = Statements(tables.db, tables.credits, tables.ledger)
        self.rollups = Rollups(tables.db, tables.rollups)
        self.upkeep = Upkeep(
            tables.db,
            registry_table=tables.registry,
            records_table=tables.records,
            credits_table=tables.credits,
            counters_table=tables.counters,
        )

    async def deposit(self, amount: int, name: str = "dep_1") -> None:
        deposit = Deposit("acme", name, amount, "operator", "2026-11-01T00:00:00+00:00")
        await self.records.request_deposit(deposit)
        await self.settlement.deposit(deposit, now=NOW)

    async def record(self, *attempts: AttemptRecord) -> None:
        for each in attempts:
            start = each.start
            if start.hold_nanousd:
                await self.holds.place(
                    Hold(start.request.account_id, start.attempt_id, start.hold_nanousd, start.expires_at_s)
                )
            await self.records.start(start)
            assert each.end is not None
            assert await self.records.end(start, each.end)

    async def total(self) -> dict[str, int]:
        (row,) = await self.rollups.rows(
            "acme", Dimension.TOTAL, Granularity.DAY, first="2026-11-21", last="2026-11-21"
        )
        return dict(row.counters)

    async def moved(self) -> list[Movement]:
        """Every movement, in order."""
        return [each.movement for each in reversed((await self.statements.entries("acme")).entries)]

    async def wrong(self, *attempts: AttemptRecord) -> list[str]:
        """What does not add up; all attempts of the account are to be given."""
        return await money(self.db, self.tables.credits, self.tables.ledger, "acme", attempts)

    async def post_releases(self) -> list[str]:
        """Brings the account's released holds to billing, as the stream does; those that could not be counted."""
        items = await self.db.query_all(self.tables.records, keys.releases("acme"))
        images = [{"SequenceNumber": item["sk"], "NewImage": encode_item(item)} for item in items]
        return await count_batch(self.settlement, [{"dynamodb": image} for image in images], AT)

    async def open_holds(self) -> list[str]:
        return [
            item["sk"]
            for item in await self.db.query_all(self.tables.credits, keys.credits_of("acme"), prefix=keys.HOLD_PREFIX)
        ]


@pytest.fixture
def books(tables: Tables) -> Books:
    return Books(tables)


def as_stream(records: Sequence[AttemptRecord], books: Books) -> list[dict]:
    """The records as the stream brings them."""
    batch = []
    for index, record in enumerate(records):
        assert record.end is not None
        key = books.records.key(record.start)
        image = encode_item(ended_item(record.start, record.end)) | key.encoded()
        batch.append({"eventName": "MODIFY", "dynamodb": {"SequenceNumber": f"{index:05d}", "NewImage": image}})
    return batch


async def test_byok_attempts_are_counted_and_cost_no_credits(books: Books) -> None:
    attempts = [attempt(cost=1_000), attempt(cost=2_000, outcome=Outcome.BROKEN)]
    await books.record(*attempts)
    assert await books.settlement.attempts("acme", attempts, now=NOW) == 2

    total = await books.total()
    assert (total["requests"], total["attempts"], total["succeeded"], total["failed"]) == (2, 2, 1, 1)
    assert (total["cost_byok_nanousd"], total.get("charge_nanousd", 0)) == (3_000, 0)
    assert (total["input"], total["output"], total["latency_ms"]) == (20, 40, 14)
    assert await books.statements.balance("acme") == Balance(0, 0)
    assert (await books.statements.entries("acme")).entries == ()


async def test_a_platform_attempt_settles_its_hold_and_charges_once(books: Books) -> None:
    await books.deposit(10_000)
    served = attempt(cost=1_000, charge=1_050, hold=4_000)
    await books.record(served)
    assert await books.statements.balance("acme") == Balance(6_000, 4_000)

    for _ in range(3):
        await books.settlement.attempts("acme", [served, served], now=NOW)

    assert await books.statements.balance("acme") == Balance(8_950, 0)
    assert await books.moved() == [
        Movement(MovementKind.DEPOSIT, 10_000),
        Movement(MovementKind.HOLD, -4_000, 4_000),
        Movement(MovementKind.SETTLE, 0, -1_000),
        Movement(MovementKind.MARGIN, 0, -50),
        Movement(MovementKind.RELEASE, 2_950, -2_950),
    ]
    assert (await books.total())["charge_nanousd"] == 1_050
    assert await books.open_holds() == []


async def test_a_deposit_counts_once(books: Books) -> None:
    for _ in range(3):
        await books.deposit(5_000)
    assert await books.statements.balance("acme") == Balance(5_000, 0)


async def test_a_hold_beyond_the_balance_is_refused_and_a_repeated_one_is_the_same(books: Books) -> None:
    await books.deposit(5_000)
    with pytest.raises(InsufficientCredits, match=r"\$0.000005001"):
        await books.holds.place(Hold("acme", "req_1#00", 5_001, 0))
    with pytest.raises(InsufficientCredits):
        await books.holds.place(Hold("stranger", "req_1#00", 1, 0))
    for _ in range(2):
        await books.holds.place(Hold("acme", "req_1#00", 5_000, 0))
    assert await books.statements.balance("acme") == Balance(0, 5_000)


async def test_an_overrun_is_the_operators_and_stands_in_the_entry(books: Books) -> None:
    await books.deposit(1_000)
    over = attempt(cost=2_000, charge=2_100, hold=900)
    await books.record(over)
    await books.settlement.attempts("acme", [over], now=NOW)
    assert await books.statements.balance("acme") == Balance(0, 0)
    assert (await books.moved())[1:] == [
        Movement(MovementKind.HOLD, -900, 900),
        Movement(MovementKind.SETTLE, -100, -900),
    ]
    entries = (await books.statements.entries("acme")).entries
    assert [each.overrun_nanousd for each in entries] == [1_100, 0, 0]


async def test_a_charge_whose_hold_was_released_comes_from_what_is_available(books: Books) -> None:
    await books.deposit(1_000)
    late = attempt(cost=500, charge=525, hold=900)
    await books.records.start(late.start)
    assert late.end is not None
    await books.records.end(late.start, late.end)
    await books.settlement.attempts("acme", [late], now=NOW)
    assert await books.statements.balance("acme") == Balance(475, 0)
    assert (await books.moved())[1:] == [Movement(MovementKind.SETTLE, -500), Movement(MovementKind.MARGIN, -25)]


async def test_a_refusal_gives_all_of_its_hold_back_and_says_so(books: Books) -> None:
    await books.deposit(1_000)
    refused = attempt(cost=0, hold=900, outcome=Outcome.REFUSED)
    await books.record(refused)
    await books.settlement.attempts("acme", [refused], now=NOW)
    assert await books.statements.balance("acme") == Balance(1_000, 0)
    assert (await books.moved())[1:] == [
        Movement(MovementKind.HOLD, -900, 900),
        Movement(MovementKind.RELEASE, 900, -900),
    ]


async def test_redelivery_in_any_cut_and_order_changes_nothing(books: Books) -> None:
    await books.deposit(1_000_000)
    attempts = [attempt(cost=i, charge=i * (i % 2), hold=1_000 * (i % 2)) for i in range(1, 41)]
    await books.record(*attempts)
    chance = random.Random(7)
    deliveries = []
    for _ in range(6):
        shuffled = chance.sample(attempts, len(attempts))
        while shuffled:
            size = chance.randint(1, 15)
            deliveries.append(shuffled[:size])
            shuffled = shuffled[size:]
    for start in range(0, len(deliveries), 4):
        await asyncio.gather(
            *(books.settlement.attempts("acme", each, now=NOW) for each in deliveries[start : start + 4])
        )

    charged = sum(a.end.charge_nanousd for a in attempts if a.end)
    total = await books.total()
    assert (total["attempts"], total["charge_nanousd"]) == (40, charged)
    assert total["cost_byok_nanousd"] + total["cost_platform_nanousd"] == sum(range(1, 41))
    assert await books.statements.balance("acme") == Balance(1_000_000 - charged, 0)
    assert await books.open_holds() == []
    assert await books.wrong(*attempts) == []


async def test_aggregates_by_every_dimension(books: Books) -> None:
    facts = {"app": "https://app.example", "user": "ann", "tags": ("team-a", "feature#1")}
    one = attempt(request=facts)
    two = attempt(at=AT + timedelta(hours=1), cost=5, usage=Usage(cache_read=3, output=1))
    await books.record(one, two)
    await books.settlement.attempts("acme", [one, two], now=NOW)

    async def values(dimension: Dimension) -> dict[str, int]:
        rows = await books.rollups.rows("acme", dimension, Granularity.DAY, first="2026-11-01", last="2026-11-30")
        return {row.value: row.counters["attempts"] for row in rows}

    assert await values(Dimension.MODEL) == {"openai/gpt-4o-mini": 2}
    assert await values(Dimension.CREDENTIAL) == {"cred_1@1": 2}
    assert await values(Dimension.GATEWAY_KEY) == {"gk_1": 2}
    assert await values(Dimension.APP) == {"https://app.example": 1}
    assert await values(Dimension.USER) == {"ann": 1}
    assert await values(Dimension.TAG) == {"team-a": 1, "feature#1": 1}
    hours = await books.rollups.rows(
        "acme", Dimension.TOTAL, Granularity.HOUR, first="2026-11-21T09", last="2026-11-21T10"
    )
    assert [(row.time, row.counters["attempts"]) for row in hours] == [("2026-11-21T09", 1), ("2026-11-21T10", 1)]


async def test_one_unreadable_record_holds_up_nobody(books: Books) -> None:
    good, other = attempt(), attempt("other")
    await books.record(good, other)
    batch = as_stream([good, other], books)
    poison = {"dynamodb": {"SequenceNumber": "00009", "NewImage": {"state": {"S": "ended"}, "pk": {"S": "ATT#x"}}}}
    removed = {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "00010"}}

    assert await count_batch(books.settlement, [batch[0], poison, removed, batch[1]], AT) == ["00009"]
    assert (await books.total())["attempts"] == 1


async def test_an_account_whose_settlement_fails_is_named_whole(books: Books) -> None:
    good, lost = attempt(), attempt("other")
    await books.record(good)
    # Of `lost` there is a stream record and no item: its mark can never be set, so it counts as counted.
    assert await count_batch(books.settlement, as_stream([good, lost], books), AT) == []

    broken = Settlement(books.db, Names(books.tables.records, books.tables.credits, "gone", "gone", "gone"))
    again = attempt()
    await books.record(again)
    assert await count_batch(broken, as_stream([again], books), AT) == ["00000"]
    assert await count_batch(books.settlement, as_stream([again], books), AT) == []
    assert (await books.total())["attempts"] == 2


async def test_the_first_end_counts_and_a_late_intent_changes_nothing(books: Books) -> None:
    ended = attempt()
    assert ended.end is not None
    assert await books.records.end(ended.start, ended.end)
    await books.records.start(ended.start)
    assert not await books.records.end(ended.start, ended.end)
    (read,) = await books.records.attempts_of_request("acme", ended.start.request.request_id)
    assert read == ended
    assert await books.records.attempts_of_request("other", ended.start.request.request_id) == []
    assert await books.records.attempts_of_request("acme", "nonsense") == []


async def test_attempts_are_listed_newest_first_across_days(books: Books) -> None:
    attempts = [attempt(at=AT - timedelta(hours=9 * i)) for i in range(7)]
    await books.record(*attempts)
    activity, seen, cursor = Activity(books.db, books.tables.records), [], None
    for _ in range(5):
        page = await activity.page("acme", ActivityFilter(), last=AT + timedelta(hours=1), limit=3, cursor=cursor)
        seen += [record.start.attempt_id for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [a.start.attempt_id for a in attempts]


async def test_upkeep_ends_abandoned_attempts_and_the_stream_settles_them(books: Books, tables: Tables) -> None:
    await Registry(tables.db, tables.registry).create_account("acme", "Acme", now=NOW)
    await books.deposit(10_000)
    dead = attempt(charge=1, hold=4_000)
    await books.holds.place(Hold("acme", dead.start.attempt_id, 4_000, dead.start.expires_at_s))
    await books.records.start(dead.start)

    assert (await books.upkeep.run(AT + timedelta(seconds=900))).abandoned == 0, "its function may still be at work"
    swept = await books.upkeep.run(AT + timedelta(seconds=931))
    assert (swept.abandoned, swept.released) == (1, 0)
    assert (await books.upkeep.run(AT + timedelta(seconds=991))).abandoned == 0

    (record,) = await books.records.attempts_of_request("acme", dead.start.request.request_id)
    assert record.end is not None
    assert (record.end.outcome, record.end.charge_nanousd) == (Outcome.ABANDONED, 525)
    await books.settlement.attempts("acme", [record], now=NOW)
    assert await books.statements.balance("acme") == Balance(10_000 - 525, 0)


async def test_upkeep_catches_up_after_a_pause_of_its_schedule(books: Books, tables: Tables) -> None:
    await Registry(tables.db, tables.registry).create_account("acme", "Acme", now=NOW)
    await books.upkeep.run(AT)
    dead = attempt(at=AT + timedelta(hours=1))
    await books.records.start(dead.start)
    assert (await books.upkeep.run(AT + timedelta(days=9))).abandoned == 1


async def test_upkeep_releases_holds_without_a_record_once_and_billing_posts_them_once(
    books: Books, tables: Tables
) -> None:
    await Registry(tables.db, tables.registry).create_account("acme", "Acme", now=NOW)
    await books.deposit(10_000)
    dead = attempt(hold=4_000)
    await books.holds.place(Hold("acme", dead.start.attempt_id, 4_000, dead.start.expires_at_s))
    assert await books.wrong() == []
    assert (await books.upkeep.run(AT + timedelta(seconds=900))).released == 0
    swept = await asyncio.gather(*(books.upkeep.run(AT + timedelta(seconds=931)) for _ in range(4)))
    assert sum(each.released for each in swept) == 1
    assert await books.statements.balance("acme") == Balance(10_000, 0)

    for _ in range(3):
        assert await books.post_releases() == []
    assert (await books.moved())[1:] == [
        Movement(MovementKind.HOLD, -4_000, 4_000),
        Movement(MovementKind.RELEASE, 4_000, -4_000),
    ]
    assert await books.wrong() == []


async def test_a_function_that_wakes_after_its_hold_was_released_is_charged_all_the_same(books: Books) -> None:
    await books.deposit(10_000)
    late = attempt(cost=1_000, charge=1_050, hold=4_000)
    hold = Hold("acme", late.start.attempt_id, 4_000, late.start.expires_at_s)
    assert late.end is not None
    await books.holds.place(hold)
    books.at = AT + timedelta(seconds=931)
    assert (await books.holds.reclaim("acme")).released == 1
    await books.records.start(late.start)
    await books.records.end(late.start, late.end)
    await books.settlement.attempts("acme", [late], now=NOW)
    assert await books.post_releases() == []
    assert await books.statements.balance("acme") == Balance(8_950, 0)
    assert await books.wrong(late) == []


async def test_what_dead_functions_hold_is_given_back_to_the_next_request(books: Books) -> None:
    await books.deposit(10_000)
    for _ in range(2):
        dead = attempt(hold=5_000).start
        await books.holds.place(Hold("acme", dead.attempt_id, 5_000, dead.expires_at_s))
    asked = Hold("acme", attempt().start.attempt_id, 9_000, 2_000_000_000)
    with pytest.raises(InsufficientCredits):
        await books.holds.place(asked)
    books.at = AT + timedelta(seconds=931)
    await books.holds.place(asked)
    assert await books.statements.balance("acme") == Balance(1_000, 9_000)
    assert await books.post_releases() == []
    assert await books.wrong() == []


async def test_the_next_request_ends_an_abandoned_attempt_and_leaves_one_that_ended_to_billing(books: Books) -> None:
    await books.deposit(10_000)
    dead, ended = attempt(charge=1, hold=5_000), attempt(cost=100, charge=105, hold=5_000)
    await books.holds.place(Hold("acme", dead.start.attempt_id, 5_000, dead.start.expires_at_s))
    await books.records.start(dead.start)
    await books.record(ended)
    books.at = AT + timedelta(seconds=931)
    with pytest.raises(InsufficientCredits):
        await books.holds.place(Hold("acme", attempt().start.attempt_id, 1, 2_000_000_000))
    (abandoned,) = await books.records.attempts_of_request("acme", dead.start.request.request_id)
    assert abandoned.end is not None
    assert abandoned.end.outcome is Outcome.ABANDONED
    await books.settlement.attempts("acme", [abandoned, ended], now=NOW)
    await books.holds.place(Hold("acme", attempt().start.attempt_id, 1, 2_000_000_000))
    assert await books.statements.balance("acme") == Balance(10_000 - 525 - 105 - 1, 1)
    assert await books.wrong(abandoned, ended) == []


async def test_a_hold_that_a_late_call_placed_after_its_settlement_is_given_back(books: Books) -> None:
    await books.deposit(10_000)
    served = attempt(cost=1_000, charge=1_050, hold=4_000)
    await books.record(served)
    await books.settlement.attempts("acme", [served], now=NOW)
    start = served.start
    await books.holds.place(Hold("acme", start.attempt_id, 4_000, start.expires_at_s))
    assert await books.statements.balance("acme") == Balance(4_950, 4_000)
    books.at = AT + timedelta(seconds=931)
    assert await books.holds.reclaim("acme") == Reclaimed(released=1)
    assert await books.post_releases() == []
    assert await books.statements.balance("acme") == Balance(8_950, 0)
    assert await books.wrong(served) == []


async def test_one_account_that_cannot_be_swept_keeps_no_other_waiting(books: Books, tables: Tables) -> None:
    class Db(DynamoDb):
        async def query_all(self, table: str, pk: str, **options: Any) -> list[Item]:
            if pk == keys.credits_of("a-broken"):
                raise StoreUnavailable("Down.")
            return await super().query_all(table, pk, **options)

    for name in ("a-broken", "acme"):
        await Registry(tables.db, tables.registry).create_account(name, name, now=NOW)
    await books.deposit(10_000)
    dead = attempt(hold=4_000).start
    await books.holds.place(Hold("acme", dead.attempt_id, 4_000, dead.expires_at_s))
    upkeep = Upkeep(
        Db(tables.aws),
        registry_table=tables.registry,
        records_table=tables.records,
        credits_table=tables.credits,
        counters_table=tables.counters,
    )
    swept = await upkeep.run(AT + timedelta(seconds=931))
    assert (swept.released, swept.failed) == (1, 1)
    assert await books.db.get(Key(tables.records, keys.SWEEP_PARTITION, "abandoned")) is None, "it is looked at again"


async def test_a_hold_that_no_balance_holds_is_left_and_logged(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    await books.deposit(10)
    stray = Key(books.tables.credits, keys.credits_of("acme"), keys.hold(attempt().start.attempt_id))
    await books.db.write(Put(stray, {"amount_nanousd": 1, "expires_at_s": 1}))
    assert await books.holds.reclaim("acme") == Reclaimed(0, 0)
    assert "not in its balance" in caplog.text
    assert await books.statements.balance("acme") == Balance(10, 0)


async def test_a_record_that_ended_is_settled_by_the_stream_not_released(books: Books, tables: Tables) -> None:
    await Registry(tables.db, tables.registry).create_account("acme", "Acme", now=NOW)
    await books.deposit(10_000)
    ended = attempt(cost=100, charge=105, hold=4_000)
    await books.record(ended)
    assert (await books.upkeep.run(AT + timedelta(days=1))).released == 0
    await books.settlement.attempts("acme", [ended], now=NOW)
    assert await books.statements.balance("acme") == Balance(9_895, 0)


async def test_every_counted_record_bears_its_mark(books: Books) -> None:
    ended = attempt()
    await books.record(ended)
    await books.settlement.attempts("acme", [ended], now="2026-11-21T10:00:00")
    at = books.records.key(ended.start)
    item = await books.db.get(Key(at.table, at.pk, at.sk))
    assert item is not None
    assert item["billed_at"] == "2026-11-21T10:00:00"
