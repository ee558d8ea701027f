"""`GET /v1/generation` and `GET /v1/credits`: what a request came to, as clients of OpenRouter's dialect read it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.accounts import AccountHead
from ownkey.http.generation import generation
from ownkey.ledger.balances import Balances, Credits
from ownkey.ledger.records import Records
from tests.support.attempts import attempt
from tests.support.aws import Tables
from tests.support.inference import AT, CHAT, MESSAGES, World, credential, world_with_simulator
from tests.support.providers import CATALOG


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as running:
        yield running


async def told(world: World, request_id: str, path: str = "/v1/generation") -> dict[str, Any]:
    response = await world.get(f"{path}?id={request_id}")
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "private, no-store"
    return response.json()["data"]


@pytest.mark.parametrize("path", ["/v1/generation", "/api/v1/generation"])
async def test_an_answer_on_an_own_key_is_told_with_the_providers_cost_beside_none_of_ours(
    world: World, path: str
) -> None:
    answer = await world.post("/v1/chat/completions", CHAT | {"user": "ann"}, None)
    usage = answer.json()["usage"]
    data = await told(world, answer.headers["x-ownkey-request-id"], path)
    assert {
        "id": answer.headers["x-ownkey-request-id"],
        "upstream_id": answer.headers["x-ownkey-upstream-request-id"],
        "model": "openai/gpt-4o-mini",
        "provider_name": "OpenAI",
        "is_byok": True,
        "streamed": False,
        "cancelled": False,
        "finish_reason": "stop",
        "native_finish_reason": "stop",
        "external_user": "ann",
        "tokens_prompt": usage["prompt_tokens"],
        "native_tokens_prompt": usage["prompt_tokens"],
        "tokens_completion": usage["completion_tokens"],
        "native_tokens_cached": 0,
        "total_cost": usage["cost"],
        "usage": usage["cost"],
        "upstream_inference_cost": usage["cost_details"]["upstream_inference_cost"],
        "moderation_latency": None,
    }.items() <= data.items()
    assert data["total_cost"] == 0
    assert data["upstream_inference_cost"] > 0
    (attempted,) = data["attempts"]
    assert (attempted["credential_alias"], attempted["source"], attempted["outcome"]) == (
        "openai",
        "byok",
        "succeeded",
    )
    assert (attempted["upstream_id"], attempted["charge_usd"]) == (data["upstream_id"], "0")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", ["charge", "provider"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "platform"])
async def test_the_cost_is_that_of_the_answer_in_either_mode(
    world: World, mode: str, streamed: bool, own: bool
) -> None:
    world.registry.key = replace(world.registry.key, usage_cost_mode=mode)
    if not own:
        world.registry.own, world.registry.platform = [], [credential("openai", account_id="platform")]
    more = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    answer = await world.post("/v1/chat/completions", CHAT | more)
    usage = last_usage(answer.text) if streamed else answer.json()["usage"]
    data = await told(world, answer.headers["x-ownkey-request-id"])
    (_, end), *_ = world.attempts.records
    details = usage["cost_details"]["upstream_inference_cost"]
    assert usage["is_byok"] is data["is_byok"] is own
    assert (data["total_cost"], data["upstream_inference_cost"]) == (usage["cost"], details)
    if own:
        shown = {"charge": (0, end.cost_nanousd / 1e9), "provider": (end.cost_nanousd / 1e9, None)}[mode]
        assert (usage["cost"], details) == shown
    else:
        assert (usage["cost"], details) == (end.charge_nanousd / 1e9, None)
        assert end.charge_nanousd > end.cost_nanousd


def last_usage(text: str) -> dict[str, Any]:
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return [chunk["usage"] for chunk in chunks if chunk.get("usage")][-1]


async def test_every_attempt_of_a_request_is_told(world: World) -> None:
    world.registry.own = [
        credential("openai", "sk-sim-first-0123456789", alias="first", priority=0),
        credential("openai", alias="second", priority=1),
    ]
    world.simulator.scripts.add("openai", key="sk-sim-first-0123456789", fail="429")
    answer = await world.post("/v1/chat/completions", CHAT)
    data = await told(world, answer.headers["x-ownkey-request-id"])
    assert [each["credential_alias"] for each in data["attempts"]] == ["first", "second"]
    assert [each["outcome"] for each in data["attempts"]] == ["refused", "succeeded"]
    assert [each["status"] for each in data["provider_responses"]] == [429, 200]


async def test_reasons_of_another_dialect_are_told_in_the_clients_words(world: World) -> None:
    answer = await world.post("/v1/messages", MESSAGES)
    data = await told(world, answer.headers["x-ownkey-request-id"])
    assert (data["finish_reason"], data["native_finish_reason"]) == ("stop", "end_turn")


@pytest.mark.parametrize(
    ("native", "told_as"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("COMPLETE", "stop"),
        ("TOOL_CALL", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("a_word_of_tomorrow", "a_word_of_tomorrow"),
    ],
)
def test_reasons_of_every_provider_are_told_in_the_clients_words(native: str, told_as: str) -> None:
    made = attempt()
    assert made.end is not None
    record = replace(made, end=replace(made.end, finish_reason=native))
    data = generation([record], CATALOG, "charge")["data"]
    assert (data["finish_reason"], data["native_finish_reason"]) == (told_as, native)


async def test_without_a_price_no_cost_is_made_up(world: World) -> None:
    world.registry.own = [credential("groq")]
    answer = await world.post("/v1/chat/completions", CHAT | {"model": "groq/some-new-model"})
    data = await told(world, answer.headers["x-ownkey-request-id"])
    assert (data["total_cost"], data["upstream_inference_cost"]) == (0, None)
    assert data["attempts"][0]["price_version"] is None


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?id=req_01jd4w3m8qk6v5t2r9x7y1z0ab", 404, "not_found"),
        ("?id=gen-123", 404, "not_found"),
        ("?id=%FF%00", 404, "not_found"),
        ("", 400, "invalid_parameter"),
        ("?id=", 400, "invalid_parameter"),
        ("?id=a&id=b", 400, "invalid_parameter"),
    ],
)
async def test_what_is_not_there_is_404_and_what_is_not_said_400(
    world: World, query: str, status: int, code: str
) -> None:
    response = await world.get(f"/v1/generation{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_it_is_not_there_before_it_has_ended_and_never_for_another_account(world: World) -> None:
    mine, other = attempt(), attempt("other")
    await world.attempts.start(mine.start)
    path = f"/v1/generation?id={mine.start.request.request_id}"
    assert (await world.get(path)).status_code == 404
    assert mine.end
    assert other.end
    await world.attempts.end(mine.start, mine.end)
    assert (await world.get(path)).status_code == 200
    await world.attempts.end(other.start, other.end)
    foreign = await world.get(f"/v1/generation?id={other.start.request.request_id}")
    unknown = await world.get("/v1/generation?id=req_01jd4w3m8qk6v5t2r9x7y1z0ab")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["error"]["message"] == unknown.json()["error"]["message"]
    world.registry.account = AccountHead("other", "Other", 1, AT)
    assert (await world.get(path)).status_code == 404


async def test_it_reads_what_the_table_has(tables: Tables) -> None:
    records = Records(tables.db, tables.records)
    made = attempt(account_id="acme", cost=1_234_567)
    assert made.end
    await records.end(made.start, made.end)
    async with world_with_simulator(request_log=records) as world:
        data = await told(world, made.start.request.request_id)
    assert data["upstream_inference_cost"] == 0.001234567


async def test_credits_are_what_was_given_and_what_was_charged_for_the_platforms_keys(
    world: World, tables: Tables
) -> None:
    world.holds.available_nanousd = 2_500_000_000
    response = await world.get("/api/v1/credits")
    assert response.json() == {"data": {"total_credits": 2.5, "total_usage": 0}}
    assert await Balances(tables.db, tables.credits).credits("acme") == Credits(0, 0)


@pytest.mark.parametrize("path", ["/v1/generation?id=req_1", "/v1/credits"])
async def test_nobody_is_told_anything_without_a_gateway_key(world: World, path: str) -> None:
    assert (await world.get(path, {})).status_code == 401
