"""Tenants apart on the running stack: each operation of the document that the stack serves, with another's ids.

The whole matrix of roles is in tests/unit/test_management_tenants.py; here are the real sessions, routes and tables.
"""

from __future__ import annotations

import pytest

from local.simulator.behaviour import digest_of
from ownkey.store import keys
from tests.e2e.accounts import Account
from tests.e2e.world import World
from tests.support.openapi import ACCOUNT, Operation, document, operations
from tools.openapi.operations import Who

OPERATIONS = [each for each in operations() if each.may not in (Who.EVERYBODY, Who.SIGNED_IN)]
IN_AN_ACCOUNT = [each for each in OPERATIONS if each.names_account_beside or ACCOUNT in each.places]
OF_A_THING = [each for each in OPERATIONS if each.resources]
CANARY = "canary"


@pytest.fixture(scope="module")
def carol(world: World) -> Account:
    return world.account(owner="carol@example.com")


@pytest.fixture(scope="module")
def theirs(world: World) -> dict[str, str]:
    """What Dan's account has, by the parameters that name it. Every word that he chose has the canary in it."""
    dan = world.account(owner=f"dan-{CANARY}@example.com")
    members = f"/api/accounts/{dan.id}"
    body = {"email": f"mate-{CANARY}@example.com", "role": "member"}
    member = dan.owner.ok("POST", f"{members}/members", body)
    invited = dan.owner.ok("POST", f"{members}/invitations", body | {"email": f"guest-{CANARY}@example.com"})
    deposit = world.operator(dan.id).ok("POST", f"{members}/deposits", {"amount_usd": "1", "note": CANARY})
    limit = dan.owner.ok("POST", "/api/limits", {"measure": "requests", "window": "day", "amount": 9})
    admin = dan.owner.ok("POST", "/api/admin-credentials", {"provider": "OpenAI", "key": f"sk-admin-sim-{CANARY}-0001"})
    days = {"provider": "OpenAI", "from": "2026-11-01", "to": "2026-11-02"}
    run = dan.owner.ok("POST", "/api/reconciliations", days)
    dan.owner.ok("PATCH", members, {"name": CANARY})
    return {
        ACCOUNT: dan.id,
        "user_id": member["user_id"],
        "invitation_id": invited["id"],
        "deposit_id": deposit["id"],
        "credential_id": dan.save_key("OpenAI", alias=CANARY).id,
        "limit_id": limit["id"],
        "admin_id": admin["id"],
        "reconciliation_id": run["id"],
        "key_id": dan.gateway_key_id,
        "keyId": dan.gateway_key_id,
        "job_id": "rw_01jd4w3m8qk6v5t2r9x7y1z0ab",
        "provider": "openai",
        "digest": digest_of(dan.gateway_key),
    }


def stored(world: World, theirs: dict[str, str]) -> list[str]:
    """What the registry has of Dan's account, its gateway key among it."""
    partitions = [of(theirs[ACCOUNT]) for of in (keys.account, keys.gateway_keys_of, keys.members_of, keys.invitations)]
    rows = [world.partition("RegistryTable", each) for each in (*partitions, keys.gateway_key(theirs["digest"]))]
    assert all(rows)
    return [str(sorted(item.items())) for each in rows for item in each]


def ask(account: Account, operation: Operation, values: dict[str, str], account_id: str):
    wanted = operation.request(values, account_id)
    method, path = wanted.pop("method"), wanted.pop("path")
    return account.owner.call(method, path, wanted.pop("json", None), **wanted)


def test_the_stack_publishes_its_document_without_a_session(world: World) -> None:
    response = world.http("GET", "/api/openapi.json")
    assert (response.status_code, response.json()) == (200, document())


@pytest.mark.parametrize("operation", IN_AN_ACCOUNT, ids=str)
def test_anothers_account_is_not_found(
    world: World, carol: Account, theirs: dict[str, str], operation: Operation
) -> None:
    before = stored(world, theirs)
    response = ask(carol, operation, theirs, theirs[ACCOUNT])
    assert response.status_code == (403 if operation.may == Who.OPERATOR else 404), response.text
    assert CANARY not in response.text
    assert stored(world, theirs) == before


@pytest.mark.parametrize("operation", OF_A_THING, ids=str)
def test_anothers_things_are_not_found_in_ones_own(
    world: World, carol: Account, theirs: dict[str, str], operation: Operation
) -> None:
    before = stored(world, theirs)
    response = ask(carol, operation, theirs | {ACCOUNT: carol.id}, carol.id)
    assert response.status_code == (403 if operation.may == Who.OPERATOR else 404), response.text
    assert CANARY not in response.text
    assert stored(world, theirs) == before


@pytest.mark.parametrize("operation", [each for each in operations() if each.may == Who.SIGNED_IN], ids=str)
def test_what_everybody_may_ask_shows_ones_own_alone(
    carol: Account, theirs: dict[str, str], operation: Operation
) -> None:
    response = ask(carol, operation, theirs, carol.id)
    assert response.is_success, response.text
    assert CANARY not in response.text


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_without_a_session_there_is_nothing(world: World, theirs: dict[str, str], operation: Operation) -> None:
    wanted = operation.request(theirs, theirs[ACCOUNT])
    response = world.http(wanted.pop("method"), wanted.pop("path"), **wanted)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_session")
    assert CANARY not in response.text
