"""Mixed mode and fallback: who serves when somebody cannot, and what is said when nobody can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.attempts import Outcome
from ownkey.domain.usage import Usage, UsageSource
from ownkey.router import Limits
from tests.support.inference import CHAT, MESSAGES, PATIENT, World, credential, world_with_simulator
from tests.support.providers import events

FIRST, SECOND = "sk-sim-first-0123456789", "sk-sim-second-0123456789"
OPEN_MODEL = "openai/gpt-oss-120b"
QUICK = Limits(connect_s=2.0, first_token_s=0.4, whole_s=0.4, idle_s=0.4)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two own keys for OpenAI, tried in this order."""
    async with world_with_simulator() as world:
        world.registry.own = [
            credential("openai", FIRST, alias="first", priority=1),
            credential("openai", SECOND, alias="second", priority=2),
        ]
        yield world


def fails(world: World, key: str = FIRST, provider: str = "openai", **knobs: Any) -> None:
    world.simulator.scripts.add(provider, key=key, **knobs)


async def ask(world: World, *, streamed: bool, **body: Any) -> tuple[int, dict[str, str], Any]:
    """Status, headers and the answer's text (or the error) of a chat completion."""
    if not streamed:
        response = await world.post("/v1/chat/completions", CHAT | body)
        answer = response.json()
        text = answer["choices"][0]["message"]["content"] if "choices" in answer else answer["error"]
        return response.status_code, dict(response.headers), text
    client = world.stream("/v1/chat/completions", CHAT | body | {"stream": True})
    raw = await client.rest()
    assert client.status is not None
    if client.status != 200:
        return client.status, client.headers, json.loads(raw)["error"]
    chunks = [event for event in events(raw) if event != "[DONE]"]
    return 200, client.headers, "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


both = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])

REFUSALS = [{"fail": str(status)} for status in (401, 402, 403, 408, 409, 429, 500, 502, 503, 504, 529)] + [
    {"fail": "no_quota"}
]


@both
@pytest.mark.parametrize("knobs", REFUSALS, ids=lambda knobs: knobs["fail"])
async def test_a_key_that_is_refused_is_followed_by_the_next(
    world: World, streamed: bool, knobs: dict[str, Any]
) -> None:
    fails(world, **knobs)
    status, headers, text = await ask(world, streamed=streamed)
    assert (status, text) == (200, "You said: Hello there")
    assert (headers["x-ownkey-attempts"], headers["x-ownkey-fallback"]) == ("2", "true")
    assert headers["x-ownkey-credential"] == "second"
    (refused, end), (served, success) = world.attempts.records
    assert (refused.credential_alias, refused.number, end.outcome) == ("first", 0, Outcome.REFUSED)
    assert (end.usage, end.usage_source, end.cost_nanousd) == (Usage(), UsageSource.NONE, 0)
    assert (served.credential_alias, served.number, success.outcome) == ("second", 1, Outcome.SUCCEEDED)
    assert len(world.simulator.journal.entries()) == 2


@both
@pytest.mark.parametrize(
    "knobs",
    [{"html": True}, {"redirect": "http://127.0.0.1:9/elsewhere"}],
    ids=["a web page", "a redirect"],
)
async def test_what_is_no_answer_is_followed_by_the_next(world: World, streamed: bool, knobs: dict[str, Any]) -> None:
    fails(world, **knobs)
    status, headers, text = await ask(world, streamed=streamed)
    assert (status, text, headers["x-ownkey-attempts"]) == (200, "You said: Hello there", "2")
    (_, end), _ = world.attempts.records
    assert (end.outcome, end.error_code) == (Outcome.FAILED, "provider_invalid_response")


@pytest.mark.parametrize(
    "knobs",
    [{"invalid_json": True}, {"cut_after": 1, "cut_mode": "reset"}, {"cut_after": 1, "cut_mode": "eof"}],
    ids=["half a JSON", "reset", "cut"],
)
async def test_a_broken_body_is_followed_by_the_next(world: World, knobs: dict[str, Any]) -> None:
    fails(world, **knobs)
    status, _, text = await ask(world, streamed=False)
    assert (status, text) == (200, "You said: Hello there")
    (_, end), _ = world.attempts.records
    assert end.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("knobs", "outcome"),
    [
        ({"error_after": 0, "fail": "529"}, Outcome.FAILED),
        ({"cut_after": 0, "cut_mode": "reset"}, Outcome.FAILED),
        ({"cut_after": 0, "cut_mode": "eof"}, Outcome.FAILED),
        ({"cut_after": 0, "cut_mode": "end"}, Outcome.FAILED),
        ({"content_type": "application/json"}, Outcome.FAILED),
    ],
    ids=["an error first", "reset", "cut", "empty", "another kind"],
)
async def test_a_stream_that_never_begins_is_followed_by_the_next(
    world: World, knobs: dict[str, Any], outcome: Outcome
) -> None:
    fails(world, **knobs)
    status, headers, text = await ask(world, streamed=True)
    assert (status, text, headers["x-ownkey-credential"]) == (200, "You said: Hello there", "second")
    (_, end), _ = world.attempts.records
    assert end.outcome is outcome


@both
@pytest.mark.parametrize("knobs", [{"hang": True}, {"header_ms": 2000}], ids=["silence", "late"])
async def test_a_provider_that_is_too_late_is_followed_by_the_next(
    streamed: bool, knobs: dict[str, Any], world: World
) -> None:
    async with world_with_simulator(limits=QUICK) as world:
        world.registry.own = [credential("openai", FIRST, alias="a"), credential("openai", SECOND, alias="b")]
        fails(world, **knobs)
        status, _, text = await ask(world, streamed=streamed)
        assert (status, text) == (200, "You said: Hello there")
        (_, end), _ = world.attempts.records
        assert (end.outcome, end.error_code, end.status) == (Outcome.FAILED, "provider_timeout", None)


async def test_a_late_first_event_is_followed_by_the_next() -> None:
    async with world_with_simulator(limits=QUICK) as world:
        world.registry.own = [credential("openai", FIRST, alias="a"), credential("openai", SECOND, alias="b")]
        fails(world, first_token_ms=2000)
        status, headers, text = await ask(world, streamed=True)
        assert (status, text, headers["x-ownkey-credential"]) == (200, "You said: Hello there", "b")


async def test_a_server_that_nobody_reaches_is_followed_by_the_next(world: World) -> None:
    gone = credential("openai", FIRST, alias="gone", custom_base_url=True, destination="http://127.0.0.1:9/v1")
    unsafe = credential("openai", FIRST, alias="unsafe", custom_base_url=True, destination="http://10.0.0.1/v1")
    world.registry.own = [gone, unsafe, credential("openai", SECOND, alias="reached", priority=1)]
    status, headers, _ = await ask(world, streamed=False)
    assert (status, headers["x-ownkey-credential"], headers["x-ownkey-attempts"]) == (200, "reached", "3")
    assert [end.error_code for _, end in world.attempts.records] == ["provider_unreachable"] * 2 + [None]


@both
@pytest.mark.parametrize("fail", ["400", "413", "422", "context_length", "content_policy"])
async def test_a_request_that_is_refused_is_not_tried_again(world: World, streamed: bool, fail: str) -> None:
    fails(world, fail=fail)
    status, headers, error = await ask(world, streamed=streamed)
    assert status == (int(fail) if fail.isdigit() else 400)
    assert error["metadata"]["source"] == "provider"
    assert error["metadata"]["provider"] == "OpenAI"
    assert headers["x-ownkey-attempts"] == "1"
    assert headers["x-should-retry"] == "false"
    assert len(world.simulator.journal.entries()) == 1


async def test_the_providers_own_code_and_field_are_passed_on(world: World) -> None:
    fails(world, fail="context_length")
    _, _, error = await ask(world, streamed=False)
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert error["message"].startswith("This model's maximum context length is 128000 tokens")


async def test_a_model_that_one_provider_lacks_is_asked_of_another(world: World) -> None:
    world.registry.own = [credential("groq", alias="a"), credential("groq", alias="b"), credential("openrouter")]
    world.simulator.scripts.add("groq", fail="404")
    groq = [provider.id for provider in world.catalog.providers_of(OPEN_MODEL)]
    assert "groq" in groq
    status, headers, error = await ask(world, streamed=False, model=OPEN_MODEL)
    # Groq's second key is not asked for a model that Groq does not have.
    assert (status, headers["x-ownkey-attempts"]) == (404, "1")
    assert error["code"] == "model_not_found"


async def test_two_hosts_of_one_model() -> None:
    async with world_with_simulator() as world:
        hosts = [provider.id for provider in world.catalog.providers_of(OPEN_MODEL)][:2]
        other = World(world.simulator, tuple(hosts))
        other.registry.own = [credential(hosts[0]), credential(hosts[1])]
        world.simulator.scripts.add(hosts[0], fail="404")
        async with other.running():
            status, headers, _ = await ask(other, streamed=False, model=OPEN_MODEL)
        assert (status, headers["x-ownkey-provider"]) == (200, hosts[1])


# ── The platform behind one's own keys


@both
async def test_the_platform_serves_when_own_keys_fail_and_charges(world: World, streamed: bool) -> None:
    fails(world, FIRST, fail="401")
    fails(world, SECOND, fail="429")
    world.registry.platform = [credential("openai", alias="shared")]
    status, headers, _ = await ask(world, streamed=streamed)
    assert (status, headers["x-ownkey-byok"], headers["x-ownkey-attempts"]) == (200, "false", "3")
    (_, first), (_, second), (start, end) = world.attempts.records
    assert (first.charge_nanousd, second.charge_nanousd, end.charge_nanousd) == (0, 0, 4568)
    assert [hold.attempt_id for hold in world.holds.placed] == [start.attempt_id]


@pytest.mark.parametrize("how", ["account", "request", "credential"])
async def test_a_forbidden_platform_does_not_serve_when_own_keys_fail(world: World, how: str) -> None:
    fails(world, FIRST, fail="401")
    fails(world, SECOND, fail="401")
    world.registry.platform = [credential("openai", alias="shared")]
    body = {}
    if how == "account":
        world.registry.account = replace(world.registry.account, platform_allowed=False)
    elif how == "request":
        body = {"provider": {"allow_fallbacks": False}}
    else:
        world.registry.own[0] = credential("openai", FIRST, alias="first", priority=1, always_use=True)
    status, headers, error = await ask(world, streamed=False, **body)
    assert (status, error["code"]) == (502, "upstream_credentials_exhausted")
    assert headers["x-ownkey-attempts"] == "2"
    assert world.holds.placed == []


async def test_without_enough_credits_the_platform_is_not_asked(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    world.holds.available_nanousd = 10
    status, headers, error = await ask(world, streamed=False)
    assert (status, error["code"], error["type"]) == (402, "insufficient_credits", "insufficient_quota")
    assert headers["x-should-retry"] == "false"
    assert world.simulator.journal.entries() == []
    assert world.attempts.log == []


async def test_a_dead_own_key_is_told_before_missing_credits(world: World) -> None:
    world.registry.own = [credential("openai", FIRST, alias="mine")]
    world.registry.platform = [credential("openai", alias="shared")]
    world.holds.available_nanousd = 10
    fails(world, FIRST, fail="401")
    _, _, error = await ask(world, streamed=False)
    assert error["code"] == "upstream_credentials_exhausted"
    assert [each["code"] for each in error["metadata"]["attempts"]] == [
        "upstream_credentials_exhausted",
        "insufficient_credits",
    ]


# ── Nobody could


@both
async def test_all_cooling_down_tells_the_shortest_wait(world: World, streamed: bool) -> None:
    fails(world, FIRST, fail="429", retry_after=20)
    fails(world, SECOND, fail="429", retry_after_ms=1500)
    status, headers, error = await ask(world, streamed=streamed)
    assert (status, error["code"]) == (429, "upstream_rate_limited")
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")
    assert "x-should-retry" not in headers
    assert headers["x-ownkey-credential"] == "second"


async def test_all_refused_names_them_and_no_key(world: World) -> None:
    fails(world, FIRST, fail="401", echo_key=True)
    fails(world, SECOND, fail="403", echo_key=True)
    response = await world.post("/v1/chat/completions", CHAT)
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["code"] == "upstream_credentials_exhausted"
    assert error["metadata"]["source"] == "provider"
    assert error["metadata"]["credentials"] == ["first", "second"]
    assert response.headers["x-should-retry"] == "false"
    everything = response.text + repr(world.attempts.records) + str(dict(response.headers))
    for key in (FIRST, SECOND):
        assert not any(key[start : start + 8] in everything for start in range(len(key) - 8))


async def test_a_providers_401_is_never_the_gateways(world: World) -> None:
    world.registry.own = world.registry.own[:1]
    world.simulator.keys.revoke("openai", FIRST)
    status, _, error = await ask(world, streamed=False)
    assert (status, error["code"], error["type"]) == (502, "upstream_credentials_exhausted", "server_error")
    assert "'first'" in error["message"]
    assert error["metadata"]["provider_status"] == 401


async def test_an_overload_is_a_529_to_clients_that_know_it(world: World) -> None:
    world.registry.own = [credential("anthropic")]
    world.simulator.scripts.add("anthropic", fail="overloaded", retry_after=3)
    response = await world.post("/v1/messages", MESSAGES)
    assert response.status_code == 529
    assert response.json()["error"]["type"] == "overloaded_error"
    assert response.headers["retry-after"] == "3"


async def test_a_secret_that_cannot_be_opened_is_followed_by_the_next(world: World) -> None:
    world.vault.sealed_for_good.add("cred_first")
    status, headers, _ = await ask(world, streamed=False)
    assert (status, headers["x-ownkey-credential"]) == (200, "second")
    world.vault.sealed_for_good.add("cred_second")
    status, _, error = await ask(world, streamed=False)
    assert (status, error["code"]) == (500, "credential_undecryptable")
    assert error["metadata"]["source"] == "gateway"


async def test_attempts_are_bounded() -> None:
    async with world_with_simulator(limits=replace(PATIENT, max_attempts=3)) as world:
        world.registry.own = [credential("openai", f"sk-sim-key-{n}-0123456789", alias=f"k{n}") for n in range(9)]
        world.simulator.scripts.add("openai", fail="500")
        status, headers, error = await ask(world, streamed=False)
        assert (status, headers["x-ownkey-attempts"], error["code"]) == (502, "3", "provider_error")
        assert len(world.simulator.journal.entries()) == 3
        assert len(world.attempts.records) == 3


@pytest.mark.parametrize(
    ("knobs", "status", "code"),
    [
        ({"fail": "500"}, 502, "provider_error"),
        ({"fail": "502"}, 502, "provider_error"),
        ({"fail": "503"}, 503, "provider_overloaded"),
        ({"fail": "504"}, 504, "provider_timeout"),
        ({"html": True}, 502, "provider_invalid_response"),
        ({"invalid_json": True}, 502, "provider_invalid_response"),
        ({"redirect": "http://127.0.0.1:9/"}, 502, "provider_invalid_response"),
    ],
)
async def test_each_failure_has_its_error(world: World, knobs: dict[str, Any], status: int, code: str) -> None:
    world.simulator.scripts.add("openai", **knobs)
    answered, headers, error = await ask(world, streamed=False)
    assert (answered, error["code"]) == (status, code)
    assert error["metadata"]["source"] == "provider"
    assert "x-should-retry" not in headers


async def test_nobody_listening_is_said_so(world: World) -> None:
    gone = credential("openai", FIRST, alias="gone", custom_base_url=True, destination="http://127.0.0.1:9/v1")
    world.registry.own = [gone]
    status, _, error = await ask(world, streamed=True)
    assert (status, error["code"]) == (502, "provider_unreachable")
    assert "base URL" in error["metadata"]["fix"]
    assert "127.0.0.1" not in json.dumps(error)


async def test_an_answer_that_is_too_large_is_not_bought_again() -> None:
    """It has been generated: the next key, and a client that repeats it by itself, would pay for it once more."""
    async with world_with_simulator(limits=replace(PATIENT, max_answer_bytes=100)) as world:
        world.registry.own = [credential("openai", FIRST, alias="a"), credential("openai", SECOND, alias="b")]
        response = await world.post("/v1/chat/completions", CHAT)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (502, "provider_answer_too_large")
        assert response.headers["x-should-retry"] == "false"
        assert len(world.simulator.journal.entries()) == 1
