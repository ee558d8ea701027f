"""Whose key serves: the account's own first, in its order; else the platform's, where that is allowed and paid for."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.e2e.accounts import Account, new_provider_key
from tests.e2e.surfaces import BOTH, CHAT, MESSAGES
from tests.e2e.world import PLATFORM_KEYS

FORBIDDEN = {"provider": {"allow_fallbacks": False}}
"""In a request's body: no key but the account's own."""


def served(answer) -> tuple[str, str, str, str]:
    """Whose credential, its alias, how many attempts, whether one fell back: as the headers say."""
    names = ("credential-source", "credential", "attempts", "fallback")
    return tuple(answer.headers[f"x-ownkey-{name}"] for name in names)


class TestOwnKeysFirst:
    @BOTH
    def test_an_own_key_serves_though_the_platform_could(self, world, surface):
        account = world.account(credits_usd="5")
        account.save_key(surface.provider, alias="mine")
        answer = surface.raw(account)
        assert served(answer) == ("byok", "mine", "1", "false")
        assert answer.headers["x-ownkey-byok"] == "true"
        assert account.balance()["total_usd"] == 5

    @BOTH
    def test_without_one_the_platforms_key_serves_and_is_paid_for(self, world, surface):
        account = world.account(credits_usd="5")
        answer = surface.raw(account)
        assert served(answer)[0::2] == ("platform", "1")
        assert answer.headers["x-ownkey-byok"] == "false"
        assert world.calls(PLATFORM_KEYS[surface.provider])
        charged = 5 - account.balance()["total_usd"]
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert charged == Decimal(attempt["charge_usd"]) > 0

    @BOTH
    def test_the_body_says_what_was_charged(self, world, surface):
        account = world.account(credits_usd="5")
        answer = surface.raw(account)
        usage = answer.parse().usage.to_dict()
        attempt = account.attempt(answer.headers["x-ownkey-request-id"])
        assert usage["is_byok"] is False
        assert Decimal(str(usage["cost"])) == Decimal(attempt["charge_usd"])

    def test_an_own_key_of_another_provider_is_none_for_this_one(self, world):
        account = world.account(credits_usd="5")
        account.save_key("OpenAI")
        assert served(MESSAGES.raw(account))[0] == "platform"


class TestFallback:
    """Before the first byte, over the account's keys in their order, then to the platform's."""

    @BOTH
    @pytest.mark.parametrize(
        "fail, streamed",
        [(fail, False) for fail in ("401", "402", "403", "408", "409", "429", "500", "503", "529")]
        + [("401", True), ("429", True), ("500", True)],
    )
    def test_the_next_key_serves_when_one_fails(self, world, surface, fail, streamed):
        account = world.account(platform_allowed=False)
        second = account.save_key(surface.provider, alias="second", priority=2)
        first = account.save_key(surface.provider, alias="first", priority=1)
        world.script(surface.provider_id, key=first.key, fail=fail)
        answer = surface.raw(account, stream=streamed)
        assert served(answer) == ("byok", "second", "2", "true")
        assert "".join(surface.pieces(answer.parse(), streamed=streamed)) == "You said: hello"
        assert (len(world.calls(first.key)), len(world.calls(second.key))) == (1, 1)
        tried = account.attempts(answer.headers["x-ownkey-request-id"])
        assert [(each["credential_alias"], each["outcome"]) for each in tried] == [
            ("first", "refused"),
            ("second", "succeeded"),
        ]

    @BOTH
    @pytest.mark.parametrize(
        "knobs",
        [{"invalid_json": True}, {"html": True}, {"cut_after": 0}, {"redirect": "https://example.com/"}],
        ids=lambda knobs: next(iter(knobs)),
    )
    def test_the_next_key_serves_when_one_gives_no_usable_answer(self, world, surface, knobs):
        account = world.account(platform_allowed=False)
        first = account.save_key(surface.provider, alias="first", priority=1)
        account.save_key(surface.provider, alias="second", priority=2)
        world.script(surface.provider_id, key=first.key, **knobs)
        assert served(surface.raw(account)) == ("byok", "second", "2", "true")

    @BOTH
    @pytest.mark.parametrize(
        "knobs",
        [{"error_after": 0, "fail": "529"}, {"cut_after": 0}, {"error_after": 0, "fail": "500", "pings": 2}],
        ids=["error event", "cut", "error after pings"],
    )
    def test_a_stream_that_fails_before_its_first_event_is_nothing_lost(self, world, surface, knobs):
        account = world.account(platform_allowed=False)
        first = account.save_key(surface.provider, alias="first", priority=1)
        account.save_key(surface.provider, alias="second", priority=2)
        world.script(surface.provider_id, key=first.key, **knobs)
        answer = surface.raw(account, stream=True)
        assert served(answer) == ("byok", "second", "2", "true")
        assert "".join(surface.pieces(answer.parse(), streamed=True)) == "You said: hello"

    def test_the_next_key_serves_when_a_provider_is_out_of_reach(self, world):
        account, scene = world.cut_off_account(), world.scene(headers={"content-type": "application/json"})
        reachable = account.save_key("openai-compatible", base_url=scene.base_url, alias="reachable", priority=1)
        scene.send(
            json.dumps({"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]})
        )
        scene.end()
        answer = CHAT.raw(account, model="openai-compatible/any")
        account.owner.ok("DELETE", f"/api/byok/{reachable.id}")
        assert served(answer) == ("byok", "reachable", "2", "true")
        assert answer.parse().choices[0].message.content == "hi"

    @BOTH
    @pytest.mark.parametrize("fail", ["400", "404", "413", "422"])
    def test_a_request_that_is_wrong_is_not_tried_again(self, world, surface, fail):
        account = world.account(credits_usd="5")
        first = account.save_key(surface.provider, alias="first", priority=1)
        second = account.save_key(surface.provider, alias="second", priority=2)
        world.script(surface.provider_id, key=first.key, fail=fail)
        refusal = surface.refused(account)
        assert (refusal.status, refusal.headers["x-ownkey-attempts"]) == (int(fail), "1")
        assert world.calls(second.key) == []
        assert account.balance()["total_usd"] == 5

    @BOTH
    def test_the_platform_serves_when_every_own_key_fails(self, world, surface):
        account = world.account(credits_usd="5")
        keys = [account.save_key(surface.provider, alias=f"own {n}", priority=n) for n in range(2)]
        for each in keys:
            world.set_key(surface.provider_id, each.key, False)
        answer = surface.raw(account)
        assert answer.headers["x-ownkey-credential-source"] == "platform"
        assert (answer.headers["x-ownkey-attempts"], answer.headers["x-ownkey-fallback"]) == ("3", "true")
        assert answer.parse().usage.to_dict()["is_byok"] is False
        own, other, platform = account.attempts(answer.headers["x-ownkey-request-id"])
        assert [each["source"] for each in (own, other, platform)] == ["byok", "byok", "platform"]
        cost, charge = (round(Decimal(platform[name]) * 10**9) for name in ("cost_usd", "charge_usd"))
        assert charge == round(Decimal(cost) * Decimal("1.05"))
        assert account.balance()["total_usd"] == 5 - Decimal(charge) / 10**9

    @BOTH
    def test_one_limited_key_says_when_to_come_back(self, world, surface):
        account = world.account(platform_allowed=False)
        for seconds in (30, 4):
            key = account.save_key(surface.provider, alias=f"limited {seconds}").key
            world.script(surface.provider_id, key=key, fail="429", retry_after=seconds)
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (429, "upstream_rate_limited")
        assert refusal.headers["retry-after"] == "4"
        assert refusal.headers["x-ownkey-attempts"] == "2"


class TestPriorities:
    def test_the_lowest_number_is_tried_first_whenever_it_was_saved(self, world):
        account = world.account(platform_allowed=False)
        for priority in (5, 0, 3):
            account.save_key("OpenAI", alias=f"priority {priority}", priority=priority)
        assert served(CHAT.raw(account))[1] == "priority 0"

    def test_a_disabled_one_is_passed_over(self, world):
        account = world.account(platform_allowed=False)
        first = account.save_key("OpenAI", alias="first", priority=0)
        account.save_key("OpenAI", alias="second", priority=1)
        account.owner.ok("PATCH", f"/api/byok/{first.id}", {"disabled": True})
        assert served(CHAT.raw(account)) == ("byok", "second", "1", "false")

    def test_one_for_other_models_is_passed_over(self, world):
        account = world.account(platform_allowed=False)
        account.save_key("OpenAI", alias="large only", priority=0, allowed_models=["gpt-4o"])
        account.save_key("OpenAI", alias="any", priority=1)
        assert served(CHAT.raw(account))[1] == "any"
        assert served(CHAT.raw(account, model="gpt-4o"))[1] == "large only"


class TestScope:
    """A credential may be for chosen gateway keys; the most specific wins."""

    @pytest.fixture
    def other_key(self, account: Account) -> Account:
        made = account.owner.ok("POST", "/api/gateway-keys", {"alias": "other"})
        return Account(account.world, account.id, account.owner, made["key"], made["id"])

    def test_it_serves_no_other_gateway_key(self, world, account, other_key):
        world.operator(account.id).ok("PATCH", f"/api/accounts/{account.id}", {"platform_allowed": False})
        account.save_key("OpenAI", alias="scoped", gateway_keys=[account.gateway_key_id])
        assert served(CHAT.raw(account))[1] == "scoped"
        assert CHAT.refused(other_key).status == 404

    def test_it_comes_before_one_for_the_whole_account(self, account, other_key):
        account.save_key("OpenAI", alias="everybody", priority=0)
        account.save_key("OpenAI", alias="scoped", priority=9, gateway_keys=[account.gateway_key_id])
        assert served(CHAT.raw(account))[1] == "scoped"
        assert served(CHAT.raw(other_key))[1] == "everybody"


class TestModels:
    """`GET /v1/models` tells by whose key each model is reached."""

    def reached(self, account: Account) -> dict[str, tuple[bool, bool]]:
        models = [model.to_dict() for model in account.openai().models.list()]
        return {model["id"]: (model["byok"], model["platform"]) for model in models}

    def test_by_the_platforms_where_there_is_no_other(self, account):
        reached = self.reached(account)
        assert reached[CHAT.model] == reached[MESSAGES.model] == (False, True)

    def test_by_ones_own_as_soon_as_it_is_saved(self, account):
        account.save_key("OpenAI")
        reached = self.reached(account)
        assert (reached[CHAT.model], reached[MESSAGES.model]) == ((True, True), (False, True))

    def test_by_none_where_the_platforms_are_forbidden(self, world):
        account = world.account(platform_allowed=False)
        assert self.reached(account) == {}
        account.save_key("Anthropic", allowed_models=[MESSAGES.model])
        assert self.reached(account) == {MESSAGES.model: (True, False)}


class TestNeverASilentCharge:
    """Who does not want to pay the platform is asked nowhere, and told so."""

    @BOTH
    def test_a_request_forbids_it(self, world, surface):
        account = world.account(credits_usd="5")
        answer = account.post(surface.path, surface.body() | FORBIDDEN)
        assert (answer.status_code, surface.error(answer.json())["code"]) == (404, "no_byok_key")
        assert answer.headers["x-should-retry"] == "false"
        assert account.balance()["total_usd"] == 5

    @BOTH
    def test_a_request_forbids_it_though_its_own_key_fails(self, world, surface):
        account = world.account(credits_usd="5")
        key = account.save_key(surface.provider)
        world.set_key(surface.provider_id, key.key, False)
        answer = account.post(surface.path, surface.body() | FORBIDDEN)
        assert (answer.status_code, surface.error(answer.json())["code"]) == (502, "upstream_credentials_exhausted")
        assert account.balance()["total_usd"] == 5

    @BOTH
    def test_an_account_forbids_it(self, world, surface):
        account = world.account(credits_usd="5", platform_allowed=False)
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (404, "no_byok_key")

    @BOTH
    def test_a_credential_forbids_it(self, world, surface):
        account = world.account(credits_usd="5")
        key = account.save_key(surface.provider, always_use=True)
        world.set_key(surface.provider_id, key.key, False)
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (502, "upstream_credentials_exhausted")
        assert account.balance()["total_usd"] == 5

    @BOTH
    def test_credits_are_needed(self, account, surface):
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (402, "insufficient_credits")
        assert refusal.headers["x-should-retry"] == "false"
        assert "/api/byok" in refusal.error["metadata"]["fix"]

    @BOTH
    def test_credits_are_needed_when_the_own_key_fails(self, world, account, surface):
        key = account.save_key(surface.provider)
        world.script(surface.provider_id, key=key.key, fail="500")
        refusal = surface.refused(account)
        assert refusal.status in {402, 502}
        assert account.balance()["total_usd"] == 0

    def test_a_provider_without_any_key_is_named(self, account):
        refusal = CHAT.refused(account, model="mistral/mistral-large-latest")
        assert (refusal.status, refusal.code) == (404, "no_byok_key")
        assert refusal.error["metadata"]["providers"] == ["mistral"]


class TestNextRequest:
    """A change holds on the next request."""

    def test_after_a_rotation(self, world, account):
        key = account.save_key("OpenAI")
        CHAT.ask(account)
        fresh = new_provider_key()
        account.owner.ok("POST", f"/api/byok/{key.id}/rotate", {"key": fresh})
        CHAT.ask(account)
        assert (len(world.calls(key.key)), len(world.calls(fresh))) == (1, 1)

    def test_after_a_removal_the_platform_serves(self, world):
        account = world.account(credits_usd="5")
        key = account.save_key("OpenAI")
        assert served(CHAT.raw(account))[0] == "byok"
        account.owner.ok("DELETE", f"/api/byok/{key.id}")
        assert served(CHAT.raw(account))[0] == "platform"

    def test_after_keys_are_set_for_one_gateway_key(self, account):
        query = {"keyId": account.gateway_key_id}
        key = new_provider_key()
        account.owner.ok("PATCH", "/api/auth", {"providerKeys": {"OpenAI": key}}, params=query)
        assert CHAT.ask(account) == "You said: hello"
        account.owner.ok("PATCH", "/api/auth", {"providerKeys": None}, params=query)
        assert CHAT.refused(account).code == "insufficient_credits"

    def test_after_the_gateway_key_is_revoked(self, account):
        account.save_key("OpenAI")
        CHAT.ask(account)
        account.owner.ok("DELETE", f"/api/gateway-keys/{account.gateway_key_id}")
        assert CHAT.refused(account).code == "gateway_key_revoked"


def test_a_gateway_key_of_another_gateway_serves_once_it_is_taken_over(world, account):
    foreign = f"sk-or-v1-{new_provider_key()}"
    holder = Account(world, account.id, account.owner, foreign, "")
    assert CHAT.refused(holder).code == "invalid_gateway_key"
    account.save_key("OpenAI")
    account.owner.ok("POST", "/api/gateway-keys", {"alias": "taken over", "key": foreign})
    assert CHAT.ask(holder) == "You said: hello"


class TestTheVault:
    def test_a_ciphertext_that_was_changed_opens_nothing_and_the_next_key_serves(self, world):
        account = world.account(platform_allowed=False)
        first = account.save_key("OpenAI", alias="changed", priority=0)
        account.save_key("OpenAI", alias="sound", priority=1)
        world.change_ciphertext(first)
        answer = CHAT.raw(account)
        assert served(answer) == ("byok", "sound", "2", "true")
        assert world.calls(first.key) == []
        assert account.attempt(answer.headers["x-ownkey-request-id"])["credential_alias"] == "sound"
        (row,) = account.usage()
        assert (row["requests"], row["attempts"]) == (1, 1)

    @BOTH
    def test_without_a_next_key_the_error_says_what_to_do(self, world, surface):
        account = world.account(platform_allowed=False)
        world.change_ciphertext(account.save_key(surface.provider))
        refusal = surface.refused(account)
        assert (refusal.status, refusal.code) == (500, "credential_undecryptable")
        assert refusal.headers["x-should-retry"] == "false"
        assert "rotate" in refusal.error["metadata"]["fix"]

    def test_a_ciphertext_moved_to_another_credential_opens_nothing(self, world):
        giver, taker = world.account(platform_allowed=False), world.account(platform_allowed=False)
        given, taken = giver.save_key("OpenAI"), taker.save_key("OpenAI")
        world.move_ciphertext(given, taken)
        assert CHAT.refused(taker).code == "credential_undecryptable"
        assert world.calls(given.key) == []
