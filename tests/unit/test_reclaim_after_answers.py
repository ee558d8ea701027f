"""What dead functions hold comes back with the account's next request: after its answer, and once in a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.ids import REQUEST, new_id
from ownkey.domain.ledger import Balance, Hold
from ownkey.domain.sampling import Sampler
from ownkey.ledger import reclaim
from ownkey.ledger.holds import Holds
from ownkey.ledger.reclaim import NowAndThen, Reclaimed
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import Statements
from tests.support.aws import Tables
from tests.support.inference import ACCOUNT, CHAT, World, credential, world_with_simulator

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Account:
    """One with 1,000 nano-dollars, of which a dead function holds 400."""

    def __init__(self, tables: Tables) -> None:
        self.tables, self.elapsed_s = tables, 0.0
        self.holds = Holds(tables.db, credits_table=tables.credits, records_table=tables.records, now=lambda: NOON)
        self.calls: list[str] = []
        self.tidy = NowAndThen(self._reclaim, Sampler(monotonic=lambda: self.elapsed_s))

    async def _reclaim(self, account_id: str) -> Reclaimed:
        self.calls.append(account_id)
        return await self.holds.reclaim(account_id)

    async def prepared(self, *, expired_s: int) -> Account:
        tables = self.tables
        deposit = Deposit(ACCOUNT, "dep_1", 1_000, "operator", NOON.isoformat())
        await Records(tables.db, tables.records).request_deposit(deposit)
        names = Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        await Settlement(tables.db, names).deposit(deposit, now=NOON.isoformat())
        over = int((NOON - timedelta(seconds=expired_s)).timestamp())
        await self.holds.place(Hold(ACCOUNT, f"{new_id(REQUEST)}#00", 400, over))
        return self

    async def balance(self) -> Balance:
        return await Statements(self.tables.db, self.tables.credits, self.tables.ledger).balance(ACCOUNT)


async def test_an_expired_hold_can_be_spent_again(tables: Tables) -> None:
    account = await Account(tables).prepared(expired_s=31)
    await account.tidy.note(ACCOUNT)
    assert await account.balance() == Balance(1_000, 0)


async def test_one_whose_function_may_still_be_at_it_stands(tables: Tables) -> None:
    account = await Account(tables).prepared(expired_s=29)
    await account.tidy.note(ACCOUNT)
    assert await account.balance() == Balance(600, 400)


async def test_an_environment_looks_once_in_a_minute_for_each_account(tables: Tables) -> None:
    account = Account(tables)
    for after_s in (0, 30, 29.9, 0.1):
        account.elapsed_s += after_s
        await account.tidy.note(ACCOUNT)
        await account.tidy.note("other")
    assert account.calls == [ACCOUNT, "other"] * 2


async def test_it_never_fails_and_never_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(_: str) -> Reclaimed:
        raise StoreUnavailable("DynamoDB does not answer.")

    async def silent(_: str) -> Reclaimed:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(reclaim, "PATIENCE_S", 0.01)
    for broken in (down, silent):
        await NowAndThen(broken, Sampler()).note(ACCOUNT)


class TestRequests:
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with world_with_simulator() as world:
            yield world

    async def test_a_platform_request_brings_them_back_after_its_answer(self, world: World) -> None:
        world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
        answered: list[bool] = []
        world.reclaims.on_note = lambda: answered.append(client.status == 200)
        client = world.stream("/v1/chat/completions", CHAT)
        await client.rest()
        assert (world.reclaims.noted, answered) == ([ACCOUNT], [True])

    async def test_a_request_on_an_own_key_holds_nothing_and_looks_for_nothing(self, world: World) -> None:
        assert (await world.post("/v1/chat/completions", CHAT)).status_code == 200
        assert world.reclaims.noted == []
