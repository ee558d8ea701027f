"""Gateway keys as both vendors' SDKs meet them: scopes, rotation with an overlap, last use, what a holder is told."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from local.running import Running, RunOptions, running
from local.seed import Seed
from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, Json, said
from tests.e2e.stage import WAIT_S
from tests.e2e.surfaces import BOTH, CHAT, Surface
from tests.e2e.world import World

OFFICE = "203.0.113.7"
"""Not where the tests run."""
PAGE = "https://app.example"

ENVIRONMENTS = 8
OWNER = "owner@example.com"


@pytest.fixture
def served(account: Account) -> Account:
    """An account that both surfaces can serve."""
    account.save_key("OpenAI")
    account.save_key("Anthropic")
    return account


def scope(account: Account, **parts: Any) -> None:
    """Gives the account's gateway key a scope."""
    account.owner.ok("PATCH", f"/api/gateway-keys/{account.gateway_key_id}", parts)


def shown(account: Account) -> Json:
    return account.owner.ok("GET", f"/api/gateway-keys/{account.gateway_key_id}")


class TestScope:
    @BOTH
    def test_a_model_out_of_scope_is_a_permission_denied(self, served: Account, surface: Surface) -> None:
        scope(served, models=["nothing-of-this*"])
        refused = surface.refused(served)
        assert (refused.exception, refused.code) == ("PermissionDeniedError", "model_not_allowed")
        scope(served, models=[f"{surface.provider_id}/*"])
        assert surface.ask(served)

    @BOTH
    def test_so_is_a_provider(self, served: Account, surface: Surface) -> None:
        scope(served, providers=["Groq"])
        refused = surface.refused(served)
        assert (refused.exception, refused.code) == ("PermissionDeniedError", "model_not_allowed")
        assert "providers groq" in refused.error["message"]
        scope(served, providers=[surface.provider])
        assert surface.ask(served, stream=True)

    @BOTH
    def test_so_is_an_endpoint(self, served: Account, surface: Surface) -> None:
        scope(served, surfaces=["models"])
        refused = surface.refused(served)
        assert (refused.exception, refused.code) == ("PermissionDeniedError", "surface_not_allowed")
        scope(served, surfaces=[surface.name])
        assert surface.ask(served)

    @BOTH
    def test_so_is_an_address_whatever_headers_say(self, served: Account, surface: Surface) -> None:
        scope(served, addresses=[OFFICE])
        headers = {"X-Forwarded-For": OFFICE, "Forwarded": f"for={OFFICE}"}
        refused = surface.refused(served, extra_headers=headers)
        assert (refused.exception, refused.code) == ("PermissionDeniedError", "address_not_allowed")
        scope(served, addresses=["127.0.0.0/8"])
        assert surface.ask(served, extra_headers=headers)

    @BOTH
    def test_so_is_a_page(self, served: Account, surface: Surface) -> None:
        scope(served, origins=[PAGE])
        refused = surface.refused(served, extra_headers={"Origin": "https://other.example"})
        assert (refused.exception, refused.code) == ("PermissionDeniedError", "origin_not_allowed")
        answer = surface.raw(served, extra_headers={"Origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE

    def test_it_holds_for_the_key_in_either_header(self, served: Account) -> None:
        scope(served, surfaces=["chat"])
        body = {"model": MESSAGES_MODEL, "max_tokens": 100, "messages": said("hello")}
        for headers in ({"authorization": f"Bearer {served.gateway_key}"}, {"x-api-key": served.gateway_key}):
            for prefix in ("/v1", "/api/v1", ""):
                answer = served.world.http("POST", f"{prefix}/messages", headers=headers, json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "surface_not_allowed")

    def test_the_list_of_models_is_the_scopes(self, served: Account) -> None:
        scope(served, models=[f"{CHAT_MODEL}*", f"anthropic/{MESSAGES_MODEL}*"])
        listed = {model.id for model in served.openai().models.list()}
        assert CHAT_MODEL in listed
        assert all(each.startswith((CHAT_MODEL, MESSAGES_MODEL)) for each in listed)
        conversing = {each for each in listed if "tts" not in each and "transcribe" not in each}
        assert {model.id for model in served.anthropic().models.list()} == conversing

    def test_lifting_it_holds_on_the_next_request(self, served: Account) -> None:
        scope(served, models=["nothing-of-this"], surfaces=["models"])
        assert CHAT.refused(served).code == "surface_not_allowed"
        scope(served, models=None, surfaces=None)
        assert CHAT.ask(served)


class TestPages:
    def test_a_browsers_sdk_gets_past_the_preflight_to_an_answer_it_may_read(self, served: Account) -> None:
        scope(served, origins=[PAGE])
        asks = {"origin": PAGE, "access-control-request-method": "POST"}
        asks["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
        for path in ("/v1/chat/completions", "/messages"):
            preflight = served.world.http("OPTIONS", path, headers=asks)
            assert preflight.status_code == 204
            assert preflight.headers["access-control-allow-origin"] == "*"
            assert "POST" in preflight.headers["access-control-allow-methods"]
            assert "authorization" in preflight.headers["access-control-allow-headers"]
        client = served.openai(default_headers={"Origin": PAGE})
        answer = client.chat.completions.with_raw_response.create(model=CHAT_MODEL, messages=said("hello"))
        assert answer.headers["access-control-allow-origin"] == PAGE


class TestHolder:
    def test_a_holder_learns_what_the_key_is_good_for(self, served: Account) -> None:
        scope(served, models=["gpt-4o*"], origins=[PAGE])
        for path in ("/v1/key", "/api/v1/key"):
            answer = served.world.http("GET", path, headers={"authorization": f"Bearer {served.gateway_key}"})
            told = answer.json()["data"]
            assert (told["id"], told["label"]) == (served.gateway_key_id, "test")
            assert told["account"]["id"] == served.id
            assert (told["scope"]["models"], told["scope"]["origins"]) == (["gpt-4o*"], [PAGE])
            assert {each["provider"] for each in told["byok"]} == {"openai", "anthropic"}
            assert served.gateway_key not in answer.text

    def test_the_sdks_reach_it_and_read_its_errors(self, served: Account) -> None:
        for told in (
            served.openai().get("/key", cast_to=object),
            served.anthropic().get("/v1/key", cast_to=object),
        ):
            assert told["data"]["id"] == served.gateway_key_id
        mistyped = served.gateway_key[:-1] + "!"
        with pytest.raises(anthropic.AuthenticationError) as caught:
            served.world.anthropic(mistyped).get("/v1/key", cast_to=object)
        assert caught.value.body["type"] == "error"
        with pytest.raises(openai.AuthenticationError):
            served.world.openai(mistyped).get("/key", cast_to=object)


class TestLastUse:
    def test_is_shown_soon_after_a_request(self, served: Account) -> None:
        assert shown(served)["last_used_at"] is None
        before = now()
        CHAT.ask(served)
        used_at = awaited(served)
        assert before <= used_at <= now()

    def test_is_told_apart_by_secret_through_a_rotation(self, world: World, served: Account) -> None:
        CHAT.ask(served)
        used_at = awaited(served)
        key_id = served.gateway_key_id
        rotated = served.owner.ok("POST", f"/api/gateway-keys/{key_id}/rotate", {"overlap_hours": 1})
        assert rotated["previous"]["last_used_at"] == rotated["last_used_at"] == used_at
        world.openai(rotated["key"]).chat.completions.create(model=CHAT_MODEL, messages=said("hello"))
        assert awaited(served, after=used_at) > used_at
        assert shown(served)["previous"]["last_used_at"] == used_at

    def test_a_refused_request_is_none(self, served: Account) -> None:
        scope(served, addresses=[OFFICE])
        CHAT.refused(served)
        scope(served, addresses=None)
        before = now()
        CHAT.ask(served)
        assert awaited(served) >= before


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime()) + f"{time.time_ns() // 1000 % 1_000_000:06d}Z"


def awaited(account: Account, after: str = "") -> str:
    """When the gateway key was last used; it is noted when the answer is out."""
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up:
        used_at = shown(account)["last_used_at"]
        if used_at is not None and used_at > after:
            return used_at
        time.sleep(0.02)
    raise AssertionError("the key's use was not noted")


# ── Rotation in a fleet


class Fleet:
    """Eight warm environments, one account, its gateway key."""

    def __init__(self, up: Running, api: httpx.AsyncClient, app: httpx.AsyncClient) -> None:
        self.up, self.api, self.app = up, api, app

    async def managed(self, method: str, path: str, body: Any = None) -> Json:
        answer = await self.api.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def outcomes(self, *secrets: str) -> list[tuple[int, str | None]]:
        """Status and error code of requests at once, one for each environment, the secrets taking turns."""
        # The pause keeps all environments busy, so that no request waits for one that has answered already.
        text = "[[sim: header_ms=80]] hello"
        answers = await asyncio.gather(
            *(self.ask(text, secrets[number % len(secrets)]) for number in range(ENVIRONMENTS))
        )
        return [(each.status_code, (each.json().get("error") or {}).get("code")) for each in answers]

    async def ask(self, text: str, secret: str) -> httpx.Response:
        body = {"model": CHAT_MODEL, "messages": said(text)}
        return await self.app.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})

    def environments_used(self) -> int:
        return len(set(re.findall(r"(InferenceFunction-\d+)\W+START", self.up.stack.log("InferenceFunction"))))


SERVED, UNKNOWN, EXPIRED, REVOKED = (
    (200, None),
    (401, "invalid_gateway_key"),
    (401, "gateway_key_expired"),
    (401, "gateway_key_revoked"),
)


def only(outcomes: Iterable[tuple[int, str | None]]) -> tuple[int, str | None]:
    (outcome,) = set(outcomes)
    return outcome


async def test_both_secrets_count_in_eight_warm_environments_until_the_overlap_ends(tmp_path: Path) -> None:
    account = {
        "id": "team",
        "users": [{"email": OWNER, "role": "owner"}],
        "gateway_keys": [{"alias": "app"}],
        "credentials": [{"provider": "openai", "secret": "sk-sim-team-0000000000000000000000000000"}],
    }
    stack = {"warm": {"InferenceFunction": ENVIRONMENTS}, "concurrency": ENVIRONMENTS, "log_directory": tmp_path}
    async with running(RunOptions(seed=Seed.model_validate({"accounts": [account]}), stack=stack)) as up:
        session = {"Authorization": f"Bearer {up.state.sessions[OWNER]}"}
        async with (
            httpx.AsyncClient(base_url=up.state.management_url, headers=session, timeout=30) as api,
            httpx.AsyncClient(base_url=up.state.base_url, timeout=30) as app,
        ):
            fleet = Fleet(up, api, app)
            first = up.state.gateway_keys["team"]["app"]
            (listed,) = (await fleet.managed("GET", "/api/gateway-keys"))["data"]
            path = f"/api/gateway-keys/{listed['id']}"
            assert only(await fleet.outcomes(first)) == SERVED

            second = (await fleet.managed("POST", f"{path}/rotate", {"overlap_hours": 1}))["key"]
            assert only(await fleet.outcomes(first, second)) == SERVED

            third = (await fleet.managed("POST", f"{path}/rotate", {"overlap_hours": 1}))["key"]
            assert only(await fleet.outcomes(first)) == UNKNOWN
            assert only(await fleet.outcomes(second, third)) == SERVED

            fourth = (await fleet.managed("POST", f"{path}/rotate", {"overlap_hours": 0}))["key"]
            assert only(await fleet.outcomes(third)) == EXPIRED
            assert only(await fleet.outcomes(fourth)) == SERVED

            fifth = (await fleet.managed("POST", f"{path}/rotate", {"overlap_hours": 1}))["key"]
            assert only(await fleet.outcomes(fourth, fifth)) == SERVED
            await fleet.managed("DELETE", path)
            assert only(await fleet.outcomes(fourth, fifth)) == REVOKED
            assert fleet.environments_used() == ENVIRONMENTS
