"""What other gateways were broken by: another tenant's things by their id, and money that nobody paid."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.ledger import Balance, Hold
from ownkey.domain.secrets import Secret
from ownkey.domain.usage import UsageSource
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.statements import Statements
from ownkey.payments.signing import SigningSecretError, parse
from ownkey.runtime.settings import Settings, SettingsError
from tests.security.test_guard_in_the_template import SETTINGS
from tests.security.test_peers_authentication import PUBLIC, SOME_ID, ask, routes
from tests.support.aws import Tables
from tests.support.inference import CHAT, World, credential, world_with_simulator
from tests.support.management import NOW, OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Served by the platform alone: what costs credits."""
    async with world_with_simulator() as world:
        world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
        yield world


class Books:
    """An account's credits, as billing keeps them."""

    def __init__(self, tables: Tables) -> None:
        self.holds = Holds(tables.db, credits_table=tables.credits, records_table=tables.records)
        self._records = Records(tables.db, tables.records)
        self._statements = Statements(tables.db, tables.credits, tables.ledger)
        names = Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        self._settlement = Settlement(tables.db, names)

    async def pay_in(self, amount_nanousd: int) -> None:
        deposit = Deposit("acme", "dep_1", amount_nanousd, "operator", NOW)
        await self._records.request_deposit(deposit)
        await self._settlement.deposit(deposit, now=NOW)

    async def settle(self, world: World) -> None:
        """Counts what the world has recorded, as the stream brings it."""
        for start, end in world.attempts.records:
            await self._records.start(start)
            await self._records.end(start, end)
            await self._settlement.attempts("acme", [AttemptRecord(start, end)], now=NOW)

    async def balance(self) -> Balance:
        return await self._statements.balance("acme")


@pytest.fixture
def books(tables: Tables) -> Books:
    return Books(tables)


# ── Another tenant's


async def test_an_id_of_another_account_is_as_unknown_as_none(api: Management) -> None:
    """new-api CVE-2026-30886: a task was found by its id alone, whoever asked.

    Root cause: a lookup without its owner. Here the account is part of every key, and comes from the membership.
    """
    credential_id, key_id = (await api.save())["id"], (await api.gateway_key())["id"]
    deposit = await api.ok("POST", "/api/accounts/acme/deposits", by=OPERATOR, json={"amount_usd": "5"})
    ids = {"credential_id": credential_id, "key_id": key_id, "deposit_id": deposit["id"], "account_id": "acme",
           "user_id": "mia", "provider": "openai", "job_id": "rw_1", "invitation_id": "inv_1"}  # fmt: skip
    tried = 0
    for method, path in routes(api.app):
        named = {name for name in ids if f"{name}_{SOME_ID}" in path}
        if not named - {"provider"}:
            continue
        tried += 1
        theirs = path
        for name in named:
            theirs = theirs.replace(f"{name}_{SOME_ID}", ids[name])
        for options in ({}, {"json": {}}):
            foreign, unknown = [await api.call(method, each, by="oz", **options) for each in (theirs, path)]
            assert foreign.status_code in (400, 403, 404), (method, path)
            said = [_said(foreign.text, ids.values()), _said(unknown.text, [f"{name}_{SOME_ID}" for name in ids])]
            assert said[0] == said[1], (method, path)
    assert tried > 10
    assert (await api.ok("GET", f"/api/byok/{credential_id}"))["version"] == 1
    assert (await api.ok("GET", f"/api/gateway-keys/{key_id}"))["status"] == "active"


def _said(text: str, ids: Iterable[str]) -> str:
    """An answer without what differs from request to request: its id, and the ids that it was asked for."""
    for each in ids:
        text = text.replace(each, "…")
    return re.sub(r'"request_id":"[^"]*"', "", text)


async def test_the_account_of_a_request_is_not_the_callers_to_name(api: Management) -> None:
    """new-api CVE-2026-30886: the same root cause, by the ways in which an account may be named."""
    await api.save()
    for headers, query in (
        ({"x-ownkey-account": "acme"}, ""),
        ({}, "?account=acme"),
        ({}, "?account=acme&account=other"),
    ):
        response = await api.call("GET", f"/api/byok{query}", by="oz", headers=headers)
        assert "sk-" not in response.text
        assert response.status_code == 404 or response.json()["data"] == []
    for body in ({"account_id": "acme"}, {"account": "acme"}):
        assert (await api.refused("POST", "/api/gateway-keys", by="oz", json=body))[0] == 400


# ── Money


@pytest.mark.parametrize("settings", SETTINGS.values())
def test_an_empty_setting_stops_a_function_before_its_first_event(settings: type[Settings]) -> None:
    """new-api CVE-2026-41432: with the payment provider's secret left empty, anybody could sign a payment.

    Root cause: a check that an empty secret passes. Here nothing runs with an empty setting.
    """
    full = dict.fromkeys(settings.required_variables(), "x")
    settings.from_env(full)
    for name in full:
        for env in (full | {name: ""}, {other: value for other, value in full.items() if other != name}):
            with pytest.raises(SettingsError, match=name):
                settings.from_env(env)


@pytest.mark.parametrize("text", ["", " ", "\n", "whsec_", "changeme"])
def test_an_empty_signing_secret_signs_no_payment(text: str) -> None:
    """new-api CVE-2026-41432: the setting may name a secret, that is empty. `payments` then does not start."""
    with pytest.raises(SigningSecretError):
        parse(Secret(text))


async def test_no_money_comes_in_without_a_session_of_the_operator(api: Management) -> None:
    """new-api CVE-2026-41432: no route takes a payment from just anybody; deposits are the operator's alone."""
    for method, path in routes(api.app):
        if path not in PUBLIC:
            signed = {"stripe-signature": "t=1,v1=0", "x-signature": "0" * 64, "authorization": ""}
            assert (await ask(api.app, method, path, signed, {"amount_usd": "100"})).status_code == 401
    for by in ("ann", "adi", "mia", "bea"):
        body = {"amount_usd": "100"}
        assert (await api.refused("POST", "/api/accounts/acme/deposits", by=by, json=body))[0] == 403
    for amount in ("0", "-5", "1e9", "NaN", "Infinity", "", "0.0000000001", 100, None):
        body = {"amount_usd": amount}
        assert (await api.refused("POST", "/api/accounts/acme/deposits", by=OPERATOR, json=body))[0] == 400, amount


async def test_holds_placed_at_once_never_exceed_the_balance(books: Books) -> None:
    """An overdraft race (new-api and others): two requests read one balance, and both spend it.

    Root cause: read, compare, write. Here the comparison is the condition of the write.
    """
    await books.pay_in(10_500)
    holds = [Hold("acme", f"req_{n}#00", 1_000, 2_000_000_000) for n in range(24)]
    placed = await asyncio.gather(*(books.holds.place(each) for each in holds), return_exceptions=True)
    assert sum(each is None for each in placed) == 10
    assert await books.balance() == Balance(500, 10_000)


async def test_requests_at_once_never_spend_more_than_there_is(world: World, books: Books) -> None:
    """An overdraft race, through the API: those that find no credits are refused before the provider is asked."""
    await world.post("/v1/chat/completions", CHAT)
    (first,) = world.holds.placed
    world.deps = replace(world.deps, ports=replace(world.deps.ports, holds=books.holds))
    async with world.running():
        world.simulator.journal.clear()
        await books.pay_in(3 * first.amount_nanousd + 1)
        answers = await asyncio.gather(*(world.post("/v1/chat/completions", CHAT) for _ in range(10)))
    statuses = [each.status_code for each in answers]
    assert (statuses.count(200), statuses.count(402)) == (3, 7)
    assert len(world.simulator.journal.entries()) == 3
    assert await books.balance() == Balance(1, 3 * first.amount_nanousd)


@pytest.mark.parametrize("leaves_after", [0, 1, 3])
async def test_leaving_is_not_a_refund(world: World, books: Books, leaves_after: int) -> None:
    """A refund on disconnect (new-api and others): whoever hung up before the usage came paid nothing.

    Root cause: charging where the response ends. Here the provider is read on, and the record is what is charged.
    """
    await books.pay_in(10**10)
    world.deps = replace(world.deps, ports=replace(world.deps.ports, holds=books.holds))
    async with world.running():
        text = "[[sim: delay_ms=5]] " + "word " * 40
        body = CHAT | {"stream": True, "messages": [{"role": "user", "content": text}]}
        client = world.stream("/v1/chat/completions", body)
        for _ in range(leaves_after):
            await client.piece()
        client.leave(send_raises=True)
        await client.over()
    ((_, end),) = world.attempts.records
    assert end.outcome in (Outcome.CANCELLED, Outcome.SUCCEEDED)
    assert end.usage_source is not UsageSource.NONE
    assert end.charge_nanousd > 0
    await books.settle(world)
    assert await books.balance() == Balance(10**10 - end.charge_nanousd, 0)
