"""What a client gets for a request that is wrong: an error in its dialect, with a code, the fix, the right status.

None of these reaches a provider, and none leaves an attempt behind.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import anthropic
import openai
import pytest

from ownkey.domain.gateway_keys import mint
from tests.e2e.accounts import Account, new_provider_key
from tests.e2e.surfaces import BOTH, CHAT, MESSAGES, Surface
from tests.e2e.world import World

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    """An account that could serve everything asked here."""
    account = world.account()
    account.save_key("OpenAI")
    account.save_key("Anthropic")
    return account


def without(surface: Surface, name: str) -> bytes:
    return json.dumps({key: value for key, value in surface.body().items() if key != name}).encode()


class TestBodies:
    @BOTH
    @pytest.mark.parametrize(
        "content, code",
        [
            (b'{"model": "gpt-4o-mini", "messages": [', "invalid_json"),
            (b"", "invalid_json"),
            (b"[1, 2]", "invalid_json"),
            (b'"hello"', "invalid_json"),
            (b"null", "invalid_json"),
            (b'{"model": NaN}', "invalid_json"),
            (b"[" * 100_000, "invalid_json"),
        ],
        ids=["cut off", "empty", "list", "text", "null", "NaN", "too deep"],
    )
    def test_that_are_no_json_object(self, team, surface, content, code):
        answer = team.post(surface.path, content=content, headers={"content-type": "application/json"})
        error = surface.error(answer.json())
        assert (answer.status_code, error["code"]) == (400, code)
        assert answer.headers["x-should-retry"] == "false"

    @BOTH
    @pytest.mark.parametrize("name", ["model", "messages"])
    def test_that_lack_a_field(self, team, surface, name):
        answer = team.post(surface.path, content=without(surface, name))
        error = surface.error(answer.json())
        assert (answer.status_code, error["code"]) == (400, "invalid_parameter")
        assert name in error["message"]

    @BOTH
    @pytest.mark.parametrize(
        "change",
        [
            {"model": 7},
            {"model": ""},
            {"messages": "hello"},
            {"stream": "yes"},
            {"provider": "OpenAI"},
            {"provider": {"allow_fallbacks": "no"}},
        ],
        ids=lambda change: json.dumps(change),
    )
    def test_that_have_a_field_of_the_wrong_kind(self, team, surface, change):
        answer = team.post(surface.path, surface.body() | change)
        error = surface.error(answer.json())
        assert (answer.status_code, error["code"]) == (400, "invalid_parameter")
        assert next(iter(change)) in error["message"]

    @BOTH
    def test_that_name_no_model_there_is(self, team, surface):
        refusal = surface.refused(team, model="no-such-model")
        assert (refusal.exception, refusal.status, refusal.code) == ("NotFoundError", 404, "model_not_found")
        assert refusal.headers["x-should-retry"] == "false"

    def test_whose_models_provider_has_no_such_endpoint(self, team):
        answer = team.post("/v1/embeddings", {"model": MESSAGES.model, "input": "hello"})
        assert (answer.status_code, CHAT.error(answer.json())["code"]) == (400, "surface_not_supported")

    @BOTH
    def test_too_large_for_the_function_are_refused_before_it(self, team, surface):
        """An invocation takes 6 MB: API Gateway answers, in our words."""
        refusal = surface.refused(team, "x" * 7 * MEGABYTE)
        assert (refusal.status, refusal.code) == (413, "request_too_large")
        assert refusal.headers["x-should-retry"] == "false"

    @BOTH
    def test_too_large_for_api_gateway(self, team, surface):
        refusal = surface.refused(team, "x" * 11 * MEGABYTE)
        assert (refusal.status, refusal.code) == (413, "request_too_large")

    def test_a_large_one_is_taken(self, world):
        account = world.account(platform_allowed=False)
        account.save_key("OpenAI")
        assert CHAT.ask(account, "x" * 5 * MEGABYTE + "[[sim: chunks=2]]") == "w0 w1"


class TestGatewayKeys:
    """Each wrong key has a code of its own; the SDKs raise `AuthenticationError`, and do not retry."""

    def check(self, surface: Surface, account: Account, key: str, code: str) -> None:
        holder = Account(account.world, account.id, account.owner, key, "")
        refusal = surface.refused(holder, max_retries=2)
        assert (refusal.exception, refusal.status, refusal.code) == ("AuthenticationError", 401, code)
        assert refusal.error["metadata"]["source"] == "gateway"
        assert refusal.headers["x-should-retry"] == "false"
        assert key not in refusal.text

    @BOTH
    @pytest.mark.parametrize(
        "wrong",
        [
            lambda account: new_provider_key(),
            lambda account: "nonsense",
            lambda account: account.gateway_key[:-1] + ("0" if account.gateway_key[-1] != "0" else "1"),
            lambda account: mint(account.id).reveal(),
            lambda account: mint("no-such-account").reveal(),
        ],
        ids=["a provider's", "no key", "mistyped", "never created", "of no account"],
    )
    def test_that_do_not_exist(self, team, surface, wrong):
        self.check(surface, team, wrong(team), "invalid_gateway_key")

    @BOTH
    def test_that_were_revoked(self, team, surface):
        key = team.owner.ok("POST", "/api/gateway-keys", {"alias": "old"})
        team.owner.ok("DELETE", f"/api/gateway-keys/{key['id']}")
        self.check(surface, team, key["key"], "gateway_key_revoked")

    @BOTH
    def test_that_expired(self, world, team, surface):
        key = team.owner.ok("POST", "/api/gateway-keys", {"alias": "short", "expires_in_days": 1})
        world.change_gateway_key(key["key"], expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
        self.check(surface, team, key["key"], "gateway_key_expired")

    @BOTH
    def test_that_are_missing(self, world, team, surface):
        answer = world.http("POST", surface.path, json=surface.body())
        assert (answer.status_code, surface.error(answer.json())["code"]) == (401, "missing_gateway_key")

    @BOTH
    def test_two_that_differ(self, world, team, surface):
        other = world.account().gateway_key
        headers = {"authorization": f"Bearer {team.gateway_key}", "x-api-key": other}
        answer = world.http("POST", surface.path, json=surface.body(), headers=headers)
        assert answer.status_code in {400, 401}
        surface.error(answer.json())
        assert team.gateway_key not in answer.text
        assert other not in answer.text

    @BOTH
    def test_twice_the_same_is_one(self, world, team, surface):
        headers = {"authorization": f"Bearer {team.gateway_key}", "x-api-key": team.gateway_key}
        answer = world.http("POST", surface.path, json=surface.body(model="no-such-model"), headers=headers)
        assert surface.error(answer.json())["code"] == "model_not_found"


class TestRoutes:
    @pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat", "/v1/chat/completions/more", "/v1/messages/nothing"])
    def test_that_do_not_exist(self, team, path):
        answer = team.post(path, {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    def test_that_api_gateway_does_not_know(self, team):
        answer = team.post("/nothing", {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    @BOTH
    def test_with_another_method(self, team, surface):
        headers = {"authorization": f"Bearer {team.gateway_key}"}
        answer = team.world.http("GET", surface.path, headers=headers)
        assert (answer.status_code, surface.error(answer.json())["code"]) == (405, "method_not_allowed")


def test_the_sdks_read_type_and_fix_from_the_error(team):
    with pytest.raises(openai.NotFoundError) as chat:
        team.openai().chat.completions.create(**CHAT.body(model="no-such-model"))
    assert (chat.value.code, chat.value.type) == ("model_not_found", "invalid_request_error")
    assert "/v1/models" in chat.value.body["metadata"]["fix"]
    with pytest.raises(anthropic.NotFoundError) as messages:
        team.anthropic().messages.create(**MESSAGES.body(model="no-such-model"))
    assert messages.value.type == "not_found_error"
    assert messages.value.request_id.startswith("req_")


def test_none_of_all_this_left_an_attempt_behind(team):
    assert team.attempts() == []
    assert team.usage() == []
