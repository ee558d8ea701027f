"""AWS's bad moments: an error that says so where there is no way around it, and no record lost or counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from local.aws.controls import Controls
from tests.e2e.accounts import Account
from tests.e2e.surfaces import BOTH, CHAT
from tests.e2e.world import World

Break = Callable[..., None]


@pytest.fixture
def broken(world: World) -> Iterator[Break]:
    """Breaks calls of one function, by its logical id, until the test is over; the test must have made them."""
    controls, expected = Controls(world.up.state.aws_endpoint), []
    controls.reset_calls()

    def add(function: str, operation: str, kind: str = "internal", **rule: Any) -> None:
        access_key = world.up.stack.deployment.functions[function].access_key
        controls.add_faults({"access_key": access_key, "operation": operation, "kind": kind, "times": None, **rule})
        expected.append((access_key, operation, rule.get("nth", 1)))

    yield add
    controls.clear_faults()
    made = controls.calls()["by_access_key"]
    for access_key, operation, nth in expected:
        assert sum(n for name, n in made[access_key].items() if name.endswith(f".{operation}")) >= nth


@pytest.fixture
def team(world: World) -> Account:
    account = world.account(credits_usd="5")
    account.save_key("OpenAI")
    account.save_key("Anthropic")
    return account


class TestTheRegistry:
    @BOTH
    def test_that_cannot_be_read_is_no_fault_of_the_key(self, team, broken, surface):
        broken("InferenceFunction", "BatchGetItem")
        refusal = surface.refused(team)
        assert (refusal.status, refusal.code) == (503, "store_unavailable")
        assert refusal.error["metadata"]["source"] == "gateway"
        assert refusal.headers.get("x-should-retry") != "false"
        assert team.attempts() == []

    @BOTH
    @pytest.mark.parametrize("kind", ["internal", "throttle"])
    def test_that_fails_once_is_asked_again(self, team, broken, surface, kind):
        broken("InferenceFunction", "BatchGetItem", kind, times=1)
        assert surface.ask(team) == "You said: hello"

    def test_that_cannot_be_written_saves_nothing(self, team, broken):
        before = team.owner.ok("GET", "/api/byok")["data"]
        broken("KeysFunction", "TransactWriteItems")
        body = {"provider": "Groq", "key": "gsk_sim-0123456789abcdefghij"}
        status, error = team.owner.refused("POST", "/api/byok", body)
        assert (status, error["code"]) == (503, "store_unavailable")
        assert team.owner.ok("GET", "/api/byok")["data"] == before


class TestTheVault:
    @BOTH
    def test_that_does_not_open_is_no_fault_of_the_provider(self, world, broken, surface):
        account = world.account(platform_allowed=False)
        account.save_key(surface.provider)
        broken("InferenceFunction", "Decrypt")
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (503, "vault_unavailable")
        assert refusal.error["metadata"]["source"] == "gateway"

    def test_that_does_not_seal_saves_nothing(self, account, broken):
        broken("KeysFunction", "GenerateDataKey")
        body = {"provider": "OpenAI", "key": "sk-sim-0123456789abcdefghij"}
        status, error = account.owner.refused("POST", "/api/byok", body)
        assert (status, error["code"]) == (503, "vault_unavailable")
        assert account.owner.ok("GET", "/api/byok")["data"] == []


class TestTheRecords:
    """The answer never suffers from them, and the money is right."""

    @pytest.mark.parametrize("kind", ["internal", "applied_then_error", "applied_then_lost"])
    @pytest.mark.parametrize("nth", [1, 2], ids=["intent", "end"])
    def test_that_are_written_with_trouble_are_written_once(self, world, broken, kind, nth):
        account = world.account(credits_usd="5")
        broken("InferenceFunction", "PutItem", kind, nth=nth, times=1)
        answer = CHAT.raw(account)
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert (attempt["outcome"], attempt["usage_source"]) == ("succeeded", "provider")
        self.check_charged_once(account, attempt)

    @pytest.mark.parametrize("kind", ["internal", "conflict", "applied_then_error", "applied_then_lost"])
    def test_that_are_billed_with_trouble_are_billed_once(self, world, broken, kind):
        account = world.account(credits_usd="5")
        broken("BillingFunction", "TransactWriteItems", kind, times=1)
        answer = CHAT.raw(account)
        self.check_charged_once(account, account.attempt(answer.headers["x-ownkey-request-id"]))

    def check_charged_once(self, account: Account, attempt: dict[str, Any]) -> None:
        charge = Decimal(attempt["charge_usd"])
        assert charge > 0
        assert account.balance() == {"available_usd": 5 - charge, "held_usd": 0, "total_usd": 5 - charge}
        taken = [each for each in account.entries() if each["kind"] in {"settle", "margin"}]
        assert [each["kind"] for each in taken] == ["margin", "settle"]
        assert sum(Decimal(each["amount_usd"]) for each in taken) == -charge
        (row,) = account.usage()
        assert (row["attempts"], Decimal(row["charge_usd"])) == (1, charge)
