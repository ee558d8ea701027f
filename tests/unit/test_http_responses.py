"""OpenAI's Responses through the gateway: answered, counted, held for, ended properly whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.attempts import Outcome
from ownkey.domain.errors import BudgetExceeded, ProviderRefused, ProviderStreamBroken
from ownkey.domain.limits import Measure
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import UsageSource
from ownkey.http.errors import Begun, event_of
from ownkey.providers.tokens import MEDIA_TOKENS, tokens_of_prompt
from tests.support.inference import World, credential, world_with_simulator
from tests.support.limits import limit
from tests.support.providers import events

ASKED = {"model": "gpt-4o-mini", "input": "Hello there"}
STREAMED = ASKED | {"stream": True}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
async def test_responses_answer_under_every_prefix(world: World, prefix: str) -> None:
    response = await world.post(f"{prefix}/responses", ASKED)
    assert response.status_code == 200
    answer = response.json()
    assert answer["output"][0]["content"][0]["text"] == "You said: Hello there"
    assert answer["usage"]["is_byok"] is True
    assert response.headers["x-ownkey-provider"] == "openai"


async def test_a_stream_is_whole_its_usage_annotated_and_recorded(world: World) -> None:
    told = events(await world.stream("/v1/responses", STREAMED).rest())
    assert [event["type"] for event in told][:2] == ["response.created", "response.in_progress"]
    last = told[-1]["response"]
    assert last["usage"]["cost"] == 0
    (start, end), *_ = world.attempts.records
    assert start.request.surface == "responses"
    assert end.usage.total_tokens == last["usage"]["total_tokens"]
    assert (end.usage_source, end.outcome) == (UsageSource.PROVIDER, Outcome.SUCCEEDED)
    assert end.finish_reason == "completed"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "gpt-4o-mini", "input": 7}, "input"),
        ({"model": "gpt-4o-mini", "input": "x", "stream": "yes"}, "stream"),
        (ASKED | {"background": True}, "background"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused_in_openais_words(world: World, body: Any, param: str) -> None:
    response = await world.post("/v1/responses", body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert world.simulator.journal.entries() == []


async def test_what_the_provider_refuses_is_told(world: World) -> None:
    response = await world.post("/v1/responses", ASKED | {"previous_response_id": "resp_1"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "previous_response_not_found"


async def test_a_fallback_answers_where_the_response_fails_before_it_has_begun(world: World) -> None:
    world.registry.own = [credential("openai", "sk-sim-first", alias="first"), credential("openai", alias="second")]
    world.simulator.scripts.add("openai", key="sk-sim-first", error_after=0, fail="529")
    client = world.stream("/v1/responses", STREAMED)
    assert events(await client.rest())[-1]["type"] == "response.completed"
    assert client.headers["x-ownkey-credential"] == "second"


# ── The end of a stream that breaks


@pytest.mark.parametrize("knobs", ["cut_after=2", "error_after=2 fail=529"])
async def test_a_stream_that_breaks_ends_as_openais_clients_know_it(world: World, knobs: str) -> None:
    body = STREAMED | {"input": f"Hello there you all [[sim: {knobs}]]"}
    told = events(await world.stream("/v1/responses", body).rest())
    for event in told:
        TypeAdapter(ResponseStreamEvent).validate_python(event)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    failed, error = told[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == told[0]["response"]["id"]
    assert failed["response"]["error"]["code"] == "server_error"
    assert (error["type"], error["error"]["metadata"]["source"]) == ("error", "provider")
    (_, end), *_ = world.attempts.records
    assert end.outcome is Outcome.BROKEN
    assert end.usage.total_tokens > 0


def test_what_had_begun_is_what_fails() -> None:
    error = ProviderRefused("Too long.", status=400, details={"provider_code": "context_length_exceeded"})
    begun = Begun("resp_1", "gpt-6", b'data: {"a":"\\"sequence_number\\":99","sequence_number": 41}\n\n')
    failed, last = events(event_of(error, Surface.RESPONSES, "req_1", begun))
    assert (failed["sequence_number"], last["sequence_number"]) == (42, 43)
    assert failed["response"]["error"]["code"] == "context_length_exceeded"
    assert failed["response"]["model"] == "gpt-6"
    assert last["code"] == last["error"]["code"] == error.code


def test_without_a_response_there_is_the_error_alone() -> None:
    (last,) = events(event_of(ProviderStreamBroken("Cut."), Surface.RESPONSES, "req_1"))
    assert (last["type"], last["sequence_number"]) == ("error", 0)


# ── Money, limits, and clients that go away


def test_all_of_a_request_is_estimated() -> None:
    item = {"role": "user", "content": [{"type": "input_text", "text": "one two three four five six seven"}]}
    tokens = tokens_of_prompt({"input": [item]})
    assert tokens == pytest.approx(11, abs=2)
    assert tokens_of_prompt({"input": [item], "instructions": "one two three four five"}) >= tokens + 4
    output = {"type": "function_call_output", "call_id": "call_1", "output": "one two three four five"}
    assert tokens_of_prompt({"input": [item, output]}) >= tokens + 4
    schema = {"type": "object", "properties": {"format": {"description": "one two three four five six"}}}
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    assert tokens_of_prompt({"input": [item], "text": text}) >= tokens + 5
    file = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{'A' * 9_000}"}
    media = tokens_of_prompt({"input": [{"role": "user", "content": [file, image]}]})
    assert 2 * MEDIA_TOKENS <= media <= 2 * MEDIA_TOKENS + 50


async def test_the_platform_holds_what_the_request_allows_to_come_out(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    for limits in ({"max_output_tokens": 16}, {"max_output_tokens": 1_000}, {"max_tokens": 16}):
        await world.post("/v1/responses", ASKED | limits)
    small, large, unstated = (start.hold_nanousd for start, _ in world.attempts.records)
    assert 0 < small < large < unstated, "a limit by another surface's name limits nothing"
    (_, end), *_ = world.attempts.records
    assert 0 < end.charge_nanousd <= small


async def test_the_end_user_is_known_by_openais_newer_name_too(world: World) -> None:
    await world.post("/v1/responses", ASKED | {"safety_identifier": "ada"})
    assert world.attempts.records[0][0].request.user == "ada"


async def test_a_budget_refuses_before_anything_is_sent(world: World) -> None:
    world.registry.limits = [limit(id="lim_tokens", measure=Measure.TOKENS, amount=1_000)]
    await world.post("/v1/responses", ASKED | {"max_output_tokens": 50})
    wanted, _ = world.counters.reserved[0]
    (claim,) = wanted.claims
    assert 50 < claim.reserved < 80

    async def refused(*_: Any) -> Any:
        raise BudgetExceeded("Spent.")

    world.counters.reserve = refused  # type: ignore[method-assign]
    response = await world.post("/v1/responses", ASKED)
    assert (response.status_code, response.json()["error"]["code"]) == (402, "budget_exceeded")
    assert len(world.simulator.journal.entries()) == 1


@pytest.mark.parametrize("rule", list(OnDisconnect))
async def test_a_client_that_leaves_is_charged_what_was_used(world: World, rule: OnDisconnect) -> None:
    world.registry.account = replace(world.registry.account, on_disconnect=rule)
    client = world.stream("/v1/responses", STREAMED | {"input": "[[sim: chunks=40 delay_ms=5]]"})
    while b"output_text.delta" not in (await client.piece() or b""):
        continue
    client.leave()
    await client.over()
    (_, end), *_ = world.attempts.records
    assert end.outcome is Outcome.CANCELLED
    drained = rule is OnDisconnect.DRAIN
    assert end.usage_source is (UsageSource.PROVIDER if drained else UsageSource.ESTIMATED)
    assert end.usage.output == 40 if drained else 0 < end.usage.output < 40


async def test_silence_is_filled_with_comments(world: World) -> None:
    world.configure(keep_alive_s=0.02)
    async with world.running():
        client = world.stream("/v1/responses", STREAMED | {"input": "one two [[sim: chunks=2 delay_ms=150]]"})
        whole = await asyncio.wait_for(client.rest(), 30)
    assert b": keep-alive\n\n" in whole
    assert json.loads(whole.split(b"data: ")[-1])["type"] == "response.completed"
