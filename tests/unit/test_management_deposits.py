"""Credits by the operator: granted once however often it is asked, put right with a reason; what new accounts get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.store.dynamodb import Delete, Key
from tests.support.aws import Tables
from tests.support.management import NOW, OPERATOR, Management, management

DEPOSITS = "/api/accounts/acme/deposits"
CORRECTIONS = "/api/accounts/acme/corrections"
UNCLEAR = (
    *("-0", "0.0", "1_000", " 1", "1 ", "+1", "1.", ".5", "١", "1e3", "0x1", "", "1,5", "NaN", "-Infinity"),
    *("0.0000000001", "10000000.000000001", "100000000", "-100000000"),
)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
async def generous(tables: Tables) -> AsyncIterator[Management]:
    """A deployment that gives every new account a quarter."""
    async with management(tables, sign_up_credit_nanousd=250_000_000) as running:
        yield running


async def bill(api: Management, account_id: str = "acme") -> None:
    """What billing would do."""
    names = Names(*(getattr(api.tables, name) for name in ("records", "credits", "ledger", "rollups", "counters")))
    settlement = Settlement(api.tables.db, names)
    page = await api.records.deposits(account_id)
    for each in reversed(page.deposits):
        await settlement.deposit(each, now=NOW)


async def available(api: Management, account_id: str = "acme") -> str:
    here = {"x-ownkey-account": account_id}
    return (await api.ok("GET", "/api/balance", by=OPERATOR, headers=here))["available_usd"]


async def grant(api: Management, amount: str) -> None:
    await api.ok("POST", DEPOSITS, by=OPERATOR, json={"amount_usd": amount})
    await bill(api)


class TestDeposits:
    async def test_repeated_under_its_key_it_is_one(self, api: Management) -> None:
        sent: dict[str, Any] = {
            "by": OPERATOR,
            "json": {"amount_usd": "10"},
            "headers": {"Idempotency-Key": "november"},
        }
        answers = [await api.call("POST", DEPOSITS, **sent) for _ in range(3)]
        assert {each.status_code for each in answers} == {202}
        assert len({each.json()["id"] for each in answers}) == 1
        assert answers[1].headers["idempotent-replayed"] == "true"
        at_once = await asyncio.gather(*(api.call("POST", DEPOSITS, **sent) for _ in range(4)))
        assert {each.status_code for each in at_once} <= {202, 409}
        await bill(api)
        assert await available(api) == "10"
        changed = sent | {"json": {"amount_usd": "11"}}
        assert (await api.refused("POST", DEPOSITS, **changed))[1]["code"] == "idempotency_mismatch"

    async def test_an_amount_is_written_plainly_and_within_bounds(self, api: Management) -> None:
        for amount in UNCLEAR:
            for path, more in ((DEPOSITS, {}), (CORRECTIONS, {"reason": "x"})):
                status, error = await api.refused("POST", path, by=OPERATOR, json={"amount_usd": amount, **more})
                assert (status, error["param"]) == (400, "amount_usd"), amount
        assert await api.tables.db.query_all(api.tables.records, "DEP#acme") == []

    async def test_the_log_says_who_how_much_and_why(self, api: Management) -> None:
        body = {"amount_usd": "10", "note": "invoice 7"}
        made = await api.ok("POST", DEPOSITS, by=OPERATOR, json=body)
        (row,) = await api.log("?action=deposit")
        assert (row["action"], row["actor_kind"], row["actor_id"]) == ("deposit.requested", "operator", OPERATOR)
        assert row["target"] == {"deposit_id": made["id"]}
        assert row["details"] == {"amount_nanousd": 10_000_000_000, "reason": "invoice 7"}


class TestCorrections:
    async def test_one_takes_back_and_is_listed_with_the_deposits(self, api: Management) -> None:
        await grant(api, "10")
        body = {"amount_usd": "-2.5", "reason": "The payment was refunded."}
        asked = await api.ok("POST", CORRECTIONS, by=OPERATOR, json=body)
        assert (asked["kind"], asked["state"], asked["moved_usd"]) == ("correction", "requested", None)
        await bill(api)
        listed = (await api.ok("GET", DEPOSITS, by="bea"))["data"]
        assert [each["kind"] for each in listed] == ["correction", "deposit"]
        done = await api.ok("GET", f"{DEPOSITS}/{asked['id']}")
        assert listed[0] == done
        assert (done["state"], done["amount_usd"], done["moved_usd"]) == ("billed", "-2.5", "-2.5")
        assert done["note"] == "The payment was refunded."
        assert await available(api) == "7.5"
        entry, *_ = (await api.ok("GET", "/api/ledger"))["data"]
        assert (entry["kind"], entry["cause"], entry["cause_id"]) == ("correction", "correction", asked["id"])
        row, *_ = await api.log("?action=deposit")
        assert (row["action"], row["actor_id"]) == ("deposit.corrected", OPERATOR)
        assert row["details"]["reason"] == "The payment was refunded."

    async def test_more_than_there_is_is_refused_unless_it_is_said_to_be_partial(self, api: Management) -> None:
        await grant(api, "10")
        body = {"amount_usd": "-10.01", "reason": "too much"}
        status, error = await api.refused("POST", CORRECTIONS, by=OPERATOR, json=body)
        assert (status, error["code"], error["metadata"]["available_usd"]) == (409, "conflict", "10")
        asked = await api.ok("POST", CORRECTIONS, by=OPERATOR, json=body | {"partial": True})
        await bill(api)
        assert (await api.ok("GET", f"{DEPOSITS}/{asked['id']}"))["moved_usd"] == "-10"
        assert await available(api) == "0"

    async def test_one_that_billing_finds_too_much_is_shown_as_refused(self, api: Management) -> None:
        await grant(api, "10")
        body = {"amount_usd": "-6", "reason": "twice at once"}
        asked = [await api.ok("POST", CORRECTIONS, by=OPERATOR, json=body) for _ in range(2)]
        await bill(api)
        states = [(await api.ok("GET", f"{DEPOSITS}/{each['id']}"))["state"] for each in asked]
        assert states == ["billed", "refused"]
        assert await available(api) == "4"

    async def test_repeated_under_its_key_it_is_one(self, api: Management) -> None:
        await grant(api, "10")
        sent: dict[str, Any] = {
            "by": OPERATOR,
            "json": {"amount_usd": "-4", "reason": "once"},
            "headers": {"Idempotency-Key": "once"},
        }
        for _ in range(3):
            await api.ok("POST", CORRECTIONS, **sent)
            await bill(api)
        assert await available(api) == "6"

    async def test_there_is_none_without_a_reason_or_an_amount(self, api: Management) -> None:
        for body in ({"amount_usd": "-1"}, {"amount_usd": "-1", "reason": ""}, {"reason": "x"}):
            assert (await api.refused("POST", CORRECTIONS, by=OPERATOR, json=body))[0] == 400

    async def test_it_is_the_operators_alone(self, api: Management) -> None:
        body = {"amount_usd": "5", "reason": "for me"}
        for by in ("ann", "bea"):
            assert (await api.refused("POST", CORRECTIONS, by=by, json=body))[0] == 403


class TestSignUpCredit:
    async def test_by_default_there_is_none(self, api: Management) -> None:
        await api.ok("POST", "/api/accounts", by=OPERATOR, json={"id": "new", "name": "New"})
        assert (await api.ok("GET", "/api/accounts/new/deposits", by=OPERATOR))["data"] == []

    async def test_a_new_account_is_given_it_once(self, generous: Management) -> None:
        sent: dict[str, Any] = {
            "by": OPERATOR,
            "json": {"id": "new", "name": "New"},
            "headers": {"Idempotency-Key": "new"},
        }
        for _ in range(3):
            await generous.ok("POST", "/api/accounts", **sent)
        await asyncio.gather(*(generous.call("POST", "/api/accounts", **sent) for _ in range(3)))
        (given,) = (await generous.ok("GET", "/api/accounts/new/deposits", by=OPERATOR))["data"]
        assert (given["kind"], given["amount_usd"], given["requested_by"]) == ("sign_up", "0.25", OPERATOR)
        await bill(generous, "new")
        await bill(generous, "new")
        assert await available(generous, "new") == "0.25"
        here = {"x-ownkey-account": "new"}
        (entry,) = (await generous.ok("GET", "/api/ledger", by=OPERATOR, headers=here))["data"]
        assert (entry["kind"], entry["cause"], entry["cause_id"]) == ("sign_up", "sign_up", given["id"])
        statement = await generous.ok("GET", "/api/statements?month=2026-11", by=OPERATOR, headers=here)
        assert [each["kind"] for each in statement["movements"]] == ["sign_up"]

    async def test_created_by_many_at_once_the_account_has_it_once(self, generous: Management) -> None:
        body = {"id": "new", "name": "New"}
        answers = await asyncio.gather(
            *(generous.call("POST", "/api/accounts", by=OPERATOR, json=body) for _ in range(4))
        )
        assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]
        assert len((await generous.ok("GET", "/api/accounts/new/deposits", by=OPERATOR))["data"]) == 1

    async def test_an_account_that_was_lost_and_is_made_again_gets_no_second_one(self, generous: Management) -> None:
        body = {"id": "new", "name": "New"}
        await generous.ok("POST", "/api/accounts", by=OPERATOR, json=body)
        await bill(generous, "new")
        await generous.tables.db.write(Delete(Key(generous.tables.registry, "ACCT#new", "HEAD")))
        await generous.ok("POST", "/api/accounts", by=OPERATOR, json=body)
        await bill(generous, "new")
        assert await available(generous, "new") == "0.25"
