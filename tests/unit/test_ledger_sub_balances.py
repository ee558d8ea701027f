"""One account's credits in several partitions: as one balance, spent by many at once, never below zero."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ownkey.domain.ledger import MAX_SHARDS, Balance, shard_of
from ownkey.ledger.escrow import draw
from ownkey.ledger.statements import to_posting
from ownkey.store import keys
from tests.support.attempts import attempt
from tests.support.spending import Account


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account(7)
    yield made
    made.store.drop()


# ── What is drawn from where


@pytest.mark.parametrize(
    "available, home, amount, drawn",
    [
        ([100], 0, 100, {}),
        ([100], 0, 101, None),
        ([0], 0, 1, None),
        ([100, 50], 0, 100, {}),
        ([100, 5], 1, 10, {0: 50}),  # half of what the richest has
        ([100, 5], 1, 90, {0: 85}),  # more than half is missing
        ([100, 5], 1, 105, {0: 100}),
        ([100, 5], 1, 106, None),
        ([30, 0, 40, 20], 1, 80, {2: 40, 0: 30, 3: 10}),
        ([100], 3, 10, {0: 50}),  # one that was never opened
    ],
)
def test_what_is_missing_comes_from_the_richest(available: list[int], home: int, amount: int, drawn: Any) -> None:
    assert draw(available, home, amount) == drawn


def test_attempts_fall_on_all_sub_balances_alike() -> None:
    shards = [shard_of(attempt().start.attempt_id, 8) for _ in range(4_000)]
    assert all(400 <= shards.count(n) <= 600 for n in range(8))


# ── One balance


def test_many_sub_balances_are_one_balance_that_can_be_spent_whole(account: Account) -> None:
    async def spend() -> None:
        await account.deposit(1_600)
        for shard in range(MAX_SHARDS):
            made = account.attempt(100, 0, 1)
            assert await account.spend(replace(made, start=replace(made.start, hold_shard=shard)))
        assert await account.balances.balance("acme") == Balance(0, 1_600)
        assert not await account.spend(account.attempt(1, 0, MAX_SHARDS))
        await account.bill()
        assert await account.balances.balance("acme") == Balance(1_600, 0)
        assert await account.spend(account.attempt(1_600, 1_600, 5)), "it lies in sixteen places"
        await account.bill()
        assert await account.balances.balance("acme") == Balance(0, 0)
        assert await account.wrong() == []

    run(spend())


@pytest.mark.parametrize("seed", range(12))
async def test_sub_balances_that_are_opened_at_once_are_all_summed(seed: int) -> None:
    account = Account(seed)
    await account.deposit(1_000)
    made = [account.attempt(10, 10, 1) for _ in range(3)]
    starts = [replace(each.start, hold_shard=shard) for each, shard in zip(made, (9, 3, 6), strict=True)]
    await asyncio.gather(*(account.spend(replace(each, start=start)) for each, start in zip(made, starts, strict=True)))
    assert await account.balances.balance("acme") == Balance(970, 30)
    assert await account.wrong() == []
    account.store.drop()


def test_an_overrun_takes_what_other_sub_balances_have_before_it_is_the_operators(account: Account) -> None:
    async def overrun() -> None:
        await account.deposit(1_000)
        made = account.attempt(100, 900, 1)
        await account.spend(replace(made, start=replace(made.start, hold_shard=3)))
        await account.bill()
        assert await account.balances.balance("acme") == Balance(100, 0)
        made = account.attempt(50, 900, 1)
        await account.spend(replace(made, start=replace(made.start, hold_shard=9)))
        await account.bill()
        assert await account.balances.balance("acme") == Balance(0, 0)
        postings = map(to_posting, await account.db.query_all(account.store.table("ledger"), keys.ledger("acme")))
        assert sorted(each.overrun_nanousd for each in postings) == [0, 0, 800]
        assert await account.wrong() == []

    run(overrun())


def test_fewer_sub_balances_than_before_lose_nothing(account: Account) -> None:
    async def lower() -> None:
        await account.deposit(1_000)
        for _ in range(20):
            assert await account.spend(account.attempt(50, 10, MAX_SHARDS))
        await account.bill()
        assert await account.spend(account.attempt(800, 800, 1))
        await account.bill()
        assert await account.balances.balance("acme") == Balance(0, 0)
        assert await account.wrong() == []

    run(lower())


def test_expired_holds_of_every_sub_balance_are_given_back(account: Account) -> None:
    async def die() -> None:
        await account.deposit(1_000)
        for _ in range(20):
            assert await account.spend(account.attempt(50, 10, MAX_SHARDS), dies="before its intent")
        assert not await account.spend(account.attempt(1, 1, 1))
        account.at += timedelta(seconds=931)
        assert await account.spend(account.attempt(1_000, 1, 1))
        await account.bill()
        assert await account.balances.balance("acme") == Balance(999, 0)
        assert await account.wrong() == []

    run(die())


@pytest.mark.parametrize("charge", [100, 0])
async def test_a_function_that_wakes_after_its_hold_was_released_takes_nothing_of_anothers(
    account: Account, charge: int
) -> None:
    await account.deposit(1_000)
    assert await account.spend(account.attempt(400, charge, 1), dies="wakes")
    account.at += timedelta(seconds=931)
    assert await account.spend(account.attempt(900, 900, 1), dies="before its intent"), "the other is released"
    await account.wake()
    await account.bill()
    assert await account.balances.balance("acme") == Balance(100 - charge, 900)
    assert await account.wrong() == []


# ── Anything at once

AMOUNTS = st.integers(1, 1_000)
FATES = st.sampled_from(["", "", "", "before its intent", "before its end", "wakes"])
SPENDERS = st.lists(st.tuples(AMOUNTS, st.integers(0, 1_200), FATES), min_size=1, max_size=12)


class Spending(RuleBasedStateMachine):
    """Deposits, bursts of spenders, deaths, billing twice over, sweeps; answers lost on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(0, repeated=0.05)
        self.shards = 1

    def teardown(self) -> None:
        self.account.store.drop()

    @rule(shards=st.integers(1, MAX_SHARDS))
    def spread(self, shards: int) -> None:
        self.shards = shards

    @rule(amount=st.integers(1, 5_000))
    def deposit(self, amount: int) -> None:
        run(self.account.deposit(amount))

    @rule(spenders=SPENDERS, billing=st.booleans())
    def spend(self, spenders: list[tuple[int, int, str]], billing: bool) -> None:
        run(self._spend(spenders, billing))

    async def _spend(self, spenders: list[tuple[int, int, str]], billing: bool) -> None:
        account = self.account
        work: list[Coroutine[Any, Any, Any]] = [
            account.spend(account.attempt(hold, charge, self.shards), dies) for hold, charge, dies in spenders
        ]
        await asyncio.gather(*work, *([account.bill()] if billing else []))

    @rule(functions=st.integers(1, 3))
    def bill(self, functions: int) -> None:
        run(self.account.bill(functions=functions))

    @rule(late=st.booleans())
    def sweep(self, late: bool) -> None:
        self.account.at += timedelta(seconds=931)
        run(self._sweep(late))

    async def _sweep(self, late: bool) -> None:
        """Two sweeps at once, and perhaps billing and those who wake between them."""
        beside = [self.account.wake(), self.account.bill()] if late else []
        await asyncio.gather(*(self.account.holds.reclaim("acme") for _ in range(2)), *beside)

    @rule()
    def wake(self) -> None:
        run(self.account.wake())

    @rule()
    def spend_all(self) -> None:
        run(self._spend_all())

    async def _spend_all(self) -> None:
        account = self.account
        all_of_it = (await account.balances.balance("acme")).available_nanousd
        if all_of_it:
            assert await account.spend(account.attempt(all_of_it, all_of_it // 2, self.shards))
            assert (await account.balances.balance("acme")).available_nanousd == 0

    @invariant()
    def everything_adds_up(self) -> None:
        assert run(self.account.wrong()) == []


def test_whatever_happens_at_once_adds_up() -> None:
    run_state_machine_as_test(
        Spending, settings=settings(max_examples=20, stateful_step_count=15, deadline=None, derandomize=True)
    )


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_whatever_happens_at_once_adds_up_however_often_it_is_tried() -> None:
    """Bursts of spenders, deaths, billing and sweeps on sub-balances, 200 runs of 40 steps: each step adds up."""
    run_state_machine_as_test(Spending, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))


async def compete(seed: int, spenders: int) -> tuple[int, list[str]]:
    """Spenders at once on credits for about half of them; how many were served, and what does not add up."""
    chance, account = random.Random(seed), Account(seed, repeated=0.02)
    shards = chance.choice([1, 1, 2, 4, 16])
    for _ in range(chance.randint(1, 3)):
        await account.deposit(chance.randint(1, 20 * spenders))
    work = [
        account.spend(account.attempt(chance.randint(1, 100), chance.randint(0, 110), shards)) for _ in range(spenders)
    ]
    served = await asyncio.gather(*work, account.bill())
    await account.bill(functions=2)
    differences = await account.wrong()
    account.store.drop()
    return sum(each is True for each in served), differences


@pytest.mark.parametrize("seed", range(8))
async def test_spenders_at_once_never_spend_more_than_there_is(seed: int) -> None:
    served, differences = await compete(seed, spenders=64)
    assert 0 < served < 64
    assert differences == []


@pytest.mark.proof
@pytest.mark.timeout(3600)
async def test_64_spenders_at_once_a_thousand_times(record_property: Any) -> None:
    """64 spenders at once on 1 to 16 sub-balances: never below zero, entries + held + available = deposits."""
    served = 0
    for seed in range(1_000):
        some, differences = await compete(seed, spenders=64)
        assert (seed, differences) == (seed, [])
        served += some
    record_property("trials", 1_000)
    record_property("spenders a trial", 64)
    record_property("served", served)
    record_property("differences", 0)
