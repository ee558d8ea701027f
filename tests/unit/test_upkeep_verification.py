"""Upkeep has each account's books counted again once a day, goes on where it stopped, and tells what differs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from ownkey.domain.errors import StoreUnavailable
from ownkey.ledger.recount import Period
from ownkey.ledger.verify import Report, Verifier
from ownkey.registry import Registry
from ownkey.registry.audit import AuditFilter, AuditTrail
from ownkey.runtime.metrics import metric
from ownkey.store import keys
from ownkey.upkeep.verification import ACTION, DETAIL_TYPE, Verification, Verified
from tests.support.attempts import AT
from tests.unit.test_verify import Books

DAY = AT.date()


class Watched(Verifier):
    """Notes what it was asked for; fails for some accounts."""

    def __init__(self, books: Books) -> None:
        super().__init__(books.db, books.tables)
        self.asked: list[tuple[str, str, str]] = []
        self.broken: set[str] = set()

    async def account(self, account_id: str, period: Period, now: datetime, **given: Any) -> Report:
        self.asked.append((account_id, period.first.isoformat(), period.last.isoformat()))
        if account_id in self.broken:
            raise StoreUnavailable("DynamoDB does not answer.")
        return await super().account(account_id, period, now, **given)


class Rounds:
    """Verification over books, with a clock of its own."""

    def __init__(self) -> None:
        self.books = Books(7)
        store = self.books.store
        self.registry = Registry(self.books.db, store.table("registry"))
        self.trail = AuditTrail(self.books.db, store.table("audit"))
        self.verifier = Watched(self.books)
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.now = AT + timedelta(days=1)
        self.ticks = 0.0
        self.verification = Verification(
            self.books.db,
            store.table("records"),
            self.registry,
            self.verifier,
            self.trail,
            self,
            now=lambda: self.now,
            monotonic=self.monotonic,
        )

    def monotonic(self) -> float:
        """A second goes by whenever somebody looks."""
        self.ticks += 1.0
        return self.ticks

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """The bus."""
        self.events.append((detail_type, detail))

    async def accounts(self, *names: str) -> None:
        for name in names:
            await self.registry.create_account(name, name, now=AT.isoformat())

    async def told(self, account_id: str = "acme") -> list[Mapping[str, Any]]:
        return [each.facts for each in (await self.trail.page(account_id, AuditFilter(action=ACTION))).entries]


@pytest.fixture
async def rounds() -> Any:
    made = Rounds()
    yield made
    made.books.store.drop()


async def test_each_day_that_is_over_is_verified_once(rounds: Rounds) -> None:
    await rounds.accounts("acme", "beta")
    assert await rounds.verification.run() == Verified(accounts=2)
    assert await rounds.verification.run() == Verified()
    rounds.now = datetime.combine(DAY + timedelta(days=2), datetime.min.time(), AT.tzinfo) + timedelta(minutes=59)
    assert await rounds.verification.run() == Verified(), "the day before may not be billed yet"
    rounds.now += timedelta(days=3)
    assert await rounds.verification.run() == Verified(accounts=2)
    first, after, last = (str(DAY + timedelta(days=n)) for n in (0, 1, 3))
    assert rounds.verifier.asked == [
        ("acme", first, first),
        ("beta", first, first),
        ("acme", after, last),
        ("beta", after, last),
    ]


async def test_a_run_stops_when_its_time_is_up_and_the_next_goes_on(rounds: Rounds) -> None:
    await rounds.accounts("a", "b", "c")
    assert await rounds.verification.run(budget_s=1.5) == Verified(accounts=1, left=2)
    assert await rounds.verification.run() == Verified(accounts=2)
    assert [account for account, *_ in rounds.verifier.asked] == ["a", "b", "c"]


async def test_what_differs_is_told_once(rounds: Rounds) -> None:
    await rounds.accounts("acme")
    await rounds.books.use(rounds.books.limited())
    await rounds.books.bill()
    await rounds.books.change("rollups", keys.rollup("acme", "source"), f"D#{DAY}#byok", attempts=7)
    assert await rounds.verification.run() == Verified(accounts=1, differences=1)
    (facts,) = await rounds.told()
    assert (facts["differences"], facts["first_day"]) == (1, str(DAY))
    assert "attempts says 7, should say 1" in facts["named"][0]
    assert [(kind, detail["account"], detail["differences"]) for kind, detail in rounds.events] == [
        (DETAIL_TYPE, "acme", 1)
    ]


async def test_an_account_that_fails_once_comes_again_and_one_that_fails_twice_is_told_of(rounds: Rounds) -> None:
    await rounds.accounts("acme", "beta")
    rounds.verifier.broken.add("acme")
    assert await rounds.verification.run() == Verified(left=2)
    assert await rounds.told() == []
    assert await rounds.verification.run() == Verified(accounts=1, unverified=1)
    assert "could not be verified" in (await rounds.told())[0]["named"][0]


def test_a_metric_is_what_cloudwatch_takes_out_of_a_log_line() -> None:
    line = metric("LedgerDifferences", 3, FunctionName="upkeep")
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described == {
        "Namespace": "Ownkey",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "LedgerDifferences", "Unit": "Count"}],
    }
    assert (line["LedgerDifferences"], line["FunctionName"]) == (3, "upkeep")
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000
