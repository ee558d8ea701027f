"""Answers through the gateway: whole and streamed, in both dialects, with what is said about them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.attempts import Outcome
from ownkey.domain.ledger import shard_of
from ownkey.domain.usage import UsageSource
from tests.support.inference import CHAT, KEYS, MESSAGES, World, credential, world_with_simulator
from tests.support.providers import events

STREAM = CHAT | {"stream": True}
ASKING = STREAM | {"stream_options": {"include_usage": True}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


# ── Whole


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
async def test_chat_completions_answer_under_every_prefix(world: World, prefix: str) -> None:
    response = await world.post(f"{prefix}/chat/completions", CHAT)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["content"] == "You said: Hello there"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
async def test_messages_answer_under_every_prefix(world: World, prefix: str) -> None:
    response = await world.post(f"{prefix}/messages", MESSAGES)
    assert response.json()["content"] == [{"type": "text", "text": "You said: Hello there"}]
    counted = {name: value for name, value in MESSAGES.items() if name != "max_tokens"}
    response = await world.post(f"{prefix}/messages/count_tokens", counted)
    assert response.json() == {"input_tokens": 6}


async def test_every_answer_says_what_served_it(world: World) -> None:
    headers = (await world.post("/v1/chat/completions", CHAT)).headers
    request_id = headers["x-ownkey-request-id"]
    assert request_id.startswith("req_")
    assert headers["x-request-id"] == headers["request-id"] == request_id
    assert {name: value for name, value in headers.items() if name.startswith("x-ownkey-")} == {
        "x-ownkey-request-id": request_id,
        "x-ownkey-byok": "true",
        "x-ownkey-provider": "openai",
        "x-ownkey-model": "gpt-4o-mini",
        "x-ownkey-credential": "openai",
        "x-ownkey-credential-source": "byok",
        "x-ownkey-attempts": "1",
        "x-ownkey-fallback": "false",
        "x-ownkey-upstream-request-id": world.simulator.journal.entries()[0].request_id,
    }
    assert headers["cache-control"] == "private, no-store"
    assert headers["vary"] == "Authorization, Origin"


async def test_the_providers_limits_go_on_and_its_cookies_do_not(world: World) -> None:
    headers = (await world.post("/v1/chat/completions", CHAT)).headers
    assert headers["x-ratelimit-limit-requests"] == "10000"
    assert headers["openai-organization"] == "org-simulated"
    assert "set-cookie" not in headers
    assert "server" not in headers


async def test_whose_key_it_was_is_not_told_to_those_whom_the_platform_serves(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    headers = (await world.post("/v1/chat/completions", CHAT)).headers
    assert (headers["x-ownkey-byok"], headers["x-ownkey-credential-source"]) == ("false", "platform")
    assert "openai-organization" not in headers


async def test_an_alias_in_any_script_stands_in_a_header(world: World) -> None:
    world.registry.own = [credential("openai", alias="Schlüssel 100 %")]
    headers = (await world.post("/v1/chat/completions", CHAT)).headers
    assert headers["x-ownkey-credential"] == "Schl%C3%BCssel 100 %25"


async def test_the_provider_gets_the_key_and_nothing_of_the_clients_own(world: World) -> None:
    client = {
        "x-api-key": world.registry.secret,
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "some-beta",
        "cookie": "session=1",
        "x-forwarded-for": "203.0.113.1",
        "user-agent": "app/1.0",
    }
    await world.post("/v1/messages?beta=true", MESSAGES, client)
    (entry,) = world.simulator.journal.entries()
    assert (entry.auth, entry.key_last4) == ("bearer", KEYS["anthropic"][-4:])
    assert entry.headers["anthropic-version"] == "2026-10-21"
    assert entry.headers["anthropic-beta"] == "some-beta"
    assert entry.query == "beta=true"
    sent = {name.lower() for name in entry.headers}
    assert not sent & {"cookie", "x-forwarded-for", "x-api-key"}
    assert entry.headers["user-agent"] == "ownkey"


async def test_the_body_reaches_the_provider_as_it_is(world: World) -> None:
    body = CHAT | {"temperature": 0.5, "metadata": {"team": "a"}, "store": True, "seed": 7}
    await world.post("/v1/chat/completions", body | {"provider": {"order": ["OpenAI"]}})
    (entry,) = world.simulator.journal.entries()
    assert entry.body == body


async def test_the_providers_name_of_a_model_is_asked_for(world: World) -> None:
    response = await world.post("/v1/chat/completions", CHAT | {"model": "openai/gpt-4o-mini"})
    (entry,) = world.simulator.journal.entries()
    assert entry.body["model"] == "gpt-4o-mini"
    assert response.headers["x-ownkey-model"] == "gpt-4o-mini"
    assert world.attempts.records[0][0].request.requested_model == "openai/gpt-4o-mini"


async def test_an_answer_that_the_provider_compressed(world: World) -> None:
    body = CHAT | {"messages": [{"role": "user", "content": "[[sim: gzip]] Hello"}]}
    response = await world.post("/v1/chat/completions", body)
    assert response.json()["choices"][0]["message"]["content"] == "You said: Hello"
    assert "content-encoding" not in response.headers


# ── Usage and cost
PARTS = {"upstream_inference_prompt_cost": 1.35e-06, "upstream_inference_completions_cost": 3e-06}


async def test_usage_says_whose_key_and_what_it_cost(world: World) -> None:
    usage = (await world.post("/v1/chat/completions", CHAT)).json()["usage"]
    # 9 tokens in at $0.15, 5 out at $0.60 per million.
    assert (usage["is_byok"], usage["cost"]) == (True, 0)
    assert usage["cost_details"] == {"upstream_inference_cost": 4.35e-06} | PARTS


async def test_a_gateway_key_can_ask_for_the_providers_cost(world: World) -> None:
    world.registry.key = replace(world.registry.key, usage_cost_mode="provider")
    usage = (await world.post("/v1/chat/completions", CHAT)).json()["usage"]
    assert (usage["cost"], usage["cost_details"]) == (4.35e-06, {"upstream_inference_cost": None} | PARTS)


async def test_the_platform_charges_with_its_margin(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    usage = (await world.post("/v1/chat/completions", CHAT)).json()["usage"]
    # 4,350 nano-dollars and 5 %, half to even.
    assert (usage["is_byok"], usage["cost"]) == (False, 4.568e-06)
    ((start, end),) = world.attempts.records
    assert (end.cost_nanousd, end.charge_nanousd) == (4350, 4568)
    (hold,) = world.holds.placed
    assert (hold.attempt_id, hold.amount_nanousd) == (start.attempt_id, start.hold_nanousd)
    assert start.hold_nanousd >= end.charge_nanousd
    assert start.estimated_charge_nanousd > 0
    assert hold.shard == start.hold_shard == 0


async def test_holds_are_spread_over_the_accounts_sub_balances(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    world.registry.account = replace(world.registry.account, credit_shards=16)
    for _ in range(4):
        await world.post("/v1/chat/completions", CHAT)
    starts = [start for start, _ in world.attempts.records]
    assert sorted((hold.attempt_id, hold.shard) for hold in world.holds.placed) == [
        (start.attempt_id, start.hold_shard) for start in starts
    ]
    assert [start.hold_shard for start in starts] == [shard_of(start.attempt_id, 16) for start in starts]


async def test_what_the_client_was_told_is_what_is_recorded(world: World) -> None:
    usage = (await world.post("/v1/messages", MESSAGES)).json()["usage"]
    ((_, end),) = world.attempts.records
    assert end.usage.input_tokens == usage["input_tokens"]
    assert end.usage.output_tokens == usage["output_tokens"]
    assert usage["cost_details"]["upstream_inference_cost"] == end.cost_nanousd / 10**9


async def test_an_unpriced_model_is_served_on_ones_own_key_and_says_so(world: World) -> None:
    world.simulator.models.set("openai", ["gpt-of-tomorrow"])
    response = await world.post("/v1/chat/completions", CHAT | {"model": "openai/gpt-of-tomorrow"})
    details = response.json()["usage"]["cost_details"]
    assert details == {"upstream_inference_cost": None, "unpriced": True} | dict.fromkeys(PARTS, 0)
    ((start, end),) = world.attempts.records
    assert (start.price_version, end.cost_nanousd) == (None, 0)


async def test_an_answer_without_usage_is_estimated_and_marked(world: World) -> None:
    body = CHAT | {"messages": [{"role": "user", "content": "[[sim: no_usage]] one two three four five six"}]}
    response = await world.post("/v1/chat/completions", body)
    assert "usage" not in response.json()
    ((_, end),) = world.attempts.records
    assert end.usage_source is UsageSource.ESTIMATED
    assert end.usage.output_tokens == pytest.approx(9, abs=3)
    assert end.cost_nanousd > 0


# ── Streamed


async def test_a_stream_comes_event_by_event_without_usage(world: World) -> None:
    client = world.stream("/v1/chat/completions", STREAM)
    stream = await client.rest()
    assert client.status == 200
    assert client.headers["content-type"].startswith("text/event-stream")
    assert client.headers["x-ownkey-provider"] == "openai"
    assert client.headers["x-ownkey-attempts"] == "1"
    assert b"usage" not in stream
    assert events(stream)[-1] == "[DONE]"
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events(stream)[:-1])
    assert text == "You said: Hello there"


async def test_asked_for_usage_comes_in_the_last_chunk_with_its_cost(world: World) -> None:
    *chunks, last, done = events(await world.stream("/v1/chat/completions", ASKING).rest())
    assert done == "[DONE]"
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 14
    assert last["usage"]["cost_details"] == {"upstream_inference_cost": 4.35e-06} | PARTS


async def test_a_streamed_message_ends_with_its_cost(world: World) -> None:
    client = world.stream("/v1/messages", MESSAGES | {"stream": True})
    found = events(await client.rest())
    assert [found[0]["type"], found[-1]["type"]] == ["message_start", "message_stop"]
    (delta,) = [event for event in found if event["type"] == "message_delta"]
    assert delta["usage"]["is_byok"] is True
    assert delta["usage"]["cost_details"]["upstream_inference_cost"] > 0


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)], ids=["chat", "messages"]
)
async def test_a_stream_and_its_whole_twin_are_recorded_alike(world: World, path: str, body: dict[str, Any]) -> None:
    await world.post(path, body)
    await world.stream(path, body | {"stream": True}).rest()
    (_, whole), (_, streamed) = world.attempts.records
    assert (streamed.usage, streamed.cost_nanousd) == (whole.usage, whole.cost_nanousd)
    assert (streamed.finish_reason, streamed.response_model) == (whole.finish_reason, whole.response_model)
    assert streamed.usage_source is UsageSource.PROVIDER


async def test_events_are_passed_on_while_the_answer_is_still_being_made(world: World) -> None:
    body = STREAM | {"messages": [{"role": "user", "content": "[[sim: chunks=3 delay_ms=150]]"}]}
    client = world.stream("/v1/chat/completions", body)
    while b"content" not in (await client.piece() or b""):
        continue
    assert world.simulator.journal.entries()[0].ended_ms is None
    await client.rest()


async def test_an_event_of_a_megabyte_and_two_thousand_small_ones(world: World) -> None:
    for knobs, length in (("huge=1000000", 1_000_000), ("chunks=2000 at_once", 2_000)):
        body = STREAM | {"messages": [{"role": "user", "content": f"[[sim: {knobs}]]"}]}
        stream = events(await world.stream("/v1/chat/completions", body).rest())
        assert stream[-1] == "[DONE]"
        assert sum(len(event["choices"][0]["delta"].get("content", "")) for event in stream[:-1]) >= length


async def test_connections_are_kept_over_requests(world: World) -> None:
    ports = set()
    server = world.simulator._runner.server  # type: ignore[union-attr]
    for path, body in (("/v1/chat/completions", STREAM), ("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)):
        await world.stream(path, body).rest()
        ports.add(frozenset(connection.transport.get_extra_info("peername") for connection in server.connections))
    assert len(ports) == 1


# ── The record


async def test_the_record_says_who_asked_for_what(world: World) -> None:
    headers = {
        "authorization": f"Bearer {world.registry.secret}",
        "http-referer": "https://app.example",
        "x-title": "The App",
        "x-ownkey-tags": "search, beta ,",
    }
    body = CHAT | {"user": "u-1", "metadata": {"team": "a"}, "store": True}
    await world.post("/v1/chat/completions", body, headers)
    ((start, end),) = world.attempts.records
    assert start.request.app == "https://app.example"
    assert start.request.app_title == "The App"
    assert start.request.user == "u-1"
    assert start.request.tags == ("search", "beta", "team=a")
    assert (start.request.surface, start.request.streamed) == ("chat", False)
    assert (start.number, start.provider_id, start.credential_alias) == (0, "openai", "openai")
    assert (end.outcome, end.status, end.error_code) == (Outcome.SUCCEEDED, 200, None)
    assert end.ttft_ms is not None
    assert end.latency_ms >= end.ttft_ms


async def test_the_intent_comes_before_the_end_and_each_once(world: World) -> None:
    await world.post("/v1/chat/completions", CHAT)
    await world.stream("/v1/messages", MESSAGES | {"stream": True}).rest()
    assert [what for what, _ in world.attempts.log] == ["start", "end", "start", "end"]


async def test_counting_tokens_costs_nothing(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("anthropic", alias="shared")]
    await world.post("/v1/messages/count_tokens", {k: v for k, v in MESSAGES.items() if k != "max_tokens"})
    ((start, end),) = world.attempts.records
    assert (start.hold_nanousd, end.charge_nanousd, end.usage_source) == (0, 0, UsageSource.NONE)
    assert world.holds.placed == []


async def test_records_that_cannot_be_written_do_not_spoil_the_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.attempts.error = RuntimeError("the table is on fire")
    response = await world.post("/v1/chat/completions", CHAT)
    assert response.status_code == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "an attempt's start could not be written",
        "an attempt's end could not be written",
    ]


async def test_a_slow_table_does_not_delay_the_answer(world: World) -> None:
    world.attempts.delay_s = 0.5
    client = world.stream("/v1/chat/completions", STREAM)
    while await client.piece() is not None:
        continue
    assert world.attempts.log == []
    await client.over()
    assert [what for what, _ in world.attempts.log] == ["start", "end"]


# ── Models


async def test_models_in_openais_shape(world: World) -> None:
    body = (await world.get("/v1/models")).json()
    assert body["object"] == "list"
    ids = {row["id"] for row in body["data"]}
    assert {"gpt-4o-mini", "claude-sonnet-4-5"} <= ids
    one = (await world.get("/v1/models/gpt-4o-mini")).json()
    assert one in body["data"]
    assert (one["byok"], one["platform"]) == (True, False)


async def test_models_in_anthropics_shape_where_its_version_is_sent(world: World) -> None:
    headers = {"x-api-key": world.registry.secret, "anthropic-version": "2023-06-01"}
    body = (await world.get("/v1/models", headers)).json()
    assert body["data"][0]["type"] == "model"
    assert {"gpt-4o", "claude-sonnet-4-5"} <= {row["id"] for row in body["data"]}
    one = (await world.get("/v1/models/claude-sonnet-4-5", headers)).json()
    assert one["id"] == "claude-sonnet-4-5"


async def test_a_model_id_with_slashes(world: World) -> None:
    world.registry.own = [credential("groq")]
    response = await world.get("/v1/models/openai/gpt-oss-120b")
    assert response.status_code == 200
    assert response.json()["id"] == "openai/gpt-oss-120b"


async def test_a_model_that_is_not_reached(world: World) -> None:
    response = await world.get("/v1/models/llama-of-mars")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert json.dumps("llama-of-mars")[1:-1] in response.text


async def test_a_model_is_found_by_its_vendors_name_too(world: World) -> None:
    world.registry.own = [credential("openai")]
    assert (await world.get("/v1/models/openai/gpt-4o-mini")).json()["id"] == "gpt-4o-mini"
    assert (await world.get("/v1/models/groq/gpt-4o-mini")).status_code == 404
