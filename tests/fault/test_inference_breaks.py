"""Streams that break and clients that leave: an honest end, the usage as well as it is known, one record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ownkey.domain.attempts import Outcome
from ownkey.domain.usage import UsageSource
from tests.support.inference import CHAT, MESSAGES, PATIENT, StreamClient, World, credential, world_with_simulator
from tests.support.providers import events

PATHS = {"chat": ("/v1/chat/completions", CHAT, "openai"), "messages": ("/v1/messages", MESSAGES, "anthropic")}
surfaces = pytest.mark.parametrize("surface", list(PATHS))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        yield world


def streaming(world: World, surface: str, knobs: str = "", **scope: Any) -> StreamClient:
    path, body, _ = PATHS[surface]
    text = f"[[sim: {knobs}]] one two three four five six seven eight"
    return world.stream(path, body | {"stream": True, "messages": [{"role": "user", "content": text}]}, **scope)


def in_band_error(stream: bytes, surface: str) -> dict[str, Any]:
    """The error at the end of a stream, found as the dialect's SDK finds it."""
    found = events(stream)
    if surface == "chat":
        assert found[-1] == "[DONE]"
        return found[-2]["error"]
    assert stream.endswith(b"\n\n")
    assert b"event: error\n" in stream
    assert found[-1]["type"] == "error"
    assert found[-1]["request_id"].startswith("req_")
    return found[-1]["error"]


async def reached(client: StreamClient, text: bytes) -> None:
    """Reads until a piece has the text."""
    while text not in (await client.piece() or b"ended early"):
        continue


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


# ── The provider breaks off


@surfaces
@pytest.mark.parametrize("mode", ["reset", "eof", "half_event", "end"])
async def test_a_stream_that_is_cut_ends_with_an_error_in_its_dialect(world: World, surface: str, mode: str) -> None:
    world.registry.platform = [credential("openai", alias="shared"), credential("anthropic", alias="shared")]
    client = streaming(world, surface, f"cut_after=4 cut_mode={mode}")
    stream = await client.rest()
    assert client.status == 200
    error = in_band_error(stream, surface)
    assert error["code"] == "provider_stream_broken"
    assert error["metadata"]["source"] == "provider"
    assert stream.count(b"one") == 1
    assert b"seven" not in stream
    # Nothing was tried again: bytes had gone out.
    ((start, end),) = world.attempts.records
    assert (end.outcome, end.usage_source, end.error_code) == (
        Outcome.BROKEN,
        UsageSource.ESTIMATED,
        "provider_stream_broken",
    )
    assert 1 <= end.usage.output_tokens <= 20
    assert end.usage.input_tokens > 0
    assert end.cost_nanousd > 0
    assert start.number == 0


@surfaces
async def test_an_error_in_the_middle_is_passed_on_in_the_gateways_words(world: World, surface: str) -> None:
    stream = await streaming(world, surface, "error_after=3 fail=529 echo_key").rest()
    error = in_band_error(stream, surface)
    # OpenAI's words for an overload in a stream are those of any failure.
    code = {"chat": "provider_error", "messages": "provider_overloaded"}[surface]
    assert error["code"] == code
    assert b"sim-" not in stream
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.error_code) == (Outcome.BROKEN, code)


async def test_an_event_that_is_no_json_ends_the_stream(world: World) -> None:
    stream = await streaming(world, "chat", "invalid_json").rest()
    assert in_band_error(stream, "chat")["code"] == "provider_invalid_response"


@surfaces
async def test_silence_in_the_middle_is_a_timeout(surface: str) -> None:
    async with world_with_simulator(limits=replace(PATIENT, idle_s=0.3, first_token_s=0.3)) as world:
        stream = await streaming(world, surface, "hang_after=3").rest()
        assert in_band_error(stream, surface)["code"] == "provider_timeout"
        ((_, end),) = world.attempts.records
        assert (end.outcome, end.usage_source) == (Outcome.BROKEN, UsageSource.ESTIMATED)


async def test_a_broken_stream_on_the_platforms_key_is_charged_for_what_came(world: World) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    await streaming(world, "chat", "cut_after=4").rest()
    ((start, end),) = world.attempts.records
    assert 0 < end.charge_nanousd <= start.hold_nanousd


async def test_everything_had_come_but_the_end(world: World) -> None:
    # Cut after the finish reason: nine pieces of text, then the connection.
    world.simulator.scripts.add("openai", cut_after=1000, cut_mode="end")
    stream = await streaming(world, "chat").rest()
    assert events(stream)[-1] == "[DONE]"
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.finish_reason) == (Outcome.SUCCEEDED, "stop")


# ── The function's time is up


@dataclass
class Context:
    """A Lambda context with so much time left."""

    left_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


async def test_an_answer_is_cut_before_the_function_is(world: World) -> None:
    client = streaming(world, "chat", "chunks=50 delay_ms=200", **{"aws.context": Context(6_000)})
    assert in_band_error(await client.rest(), "chat")["code"] == "provider_timeout"
    ((start, end),) = world.attempts.records
    assert (end.outcome, end.usage_source) == (Outcome.BROKEN, UsageSource.ESTIMATED)
    assert 500 <= end.latency_ms <= 4_000
    assert start.expires_at_s > 0


@pytest.mark.parametrize("streamed", [True, False])
async def test_no_answer_before_the_function_ends_is_a_timeout(world: World, streamed: bool) -> None:
    body = CHAT | {"stream": streamed, "messages": [{"role": "user", "content": "[[sim: hang]]"}]}
    client = world.stream("/v1/chat/completions", body, **{"aws.context": Context(6_000)})
    error = json.loads(await client.rest())["error"]
    assert (client.status, error["code"]) == (504, "provider_timeout")


# ── The client leaves


@surfaces
@pytest.mark.parametrize("send_raises", [True, False])
async def test_a_client_that_leaves_does_not_lose_the_usage(world: World, surface: str, send_raises: bool) -> None:
    client = streaming(world, surface, "delay_ms=30")
    await reached(client, b"one")
    client.leave(send_raises=send_raises)
    await client.over()
    (entry,) = await world.simulator.settled()
    assert entry.outcome == "answered"
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.usage_source) == (Outcome.CANCELLED, UsageSource.PROVIDER)
    assert end.usage.output_tokens >= 8
    sent = b"".join(piece for piece in list(client.pieces._queue) if piece)  # type: ignore[attr-defined]
    assert b"eight" not in sent


async def test_a_client_that_leaves_a_broken_stream_is_recorded_once(world: World) -> None:
    client = streaming(world, "chat", "delay_ms=30 cut_after=5")
    await reached(client, b"one")
    client.leave()
    await client.over()
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.usage_source) == (Outcome.CANCELLED, UsageSource.ESTIMATED)
    assert [what for what, _ in world.attempts.log] == ["start", "end"]


async def test_a_client_that_leaves_before_a_whole_answer_does_not_lose_it(world: World) -> None:
    client = world.stream("/v1/chat/completions", CHAT)
    client.leave(send_raises=True)
    await client.over()
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.usage_source) == (Outcome.CANCELLED, UsageSource.PROVIDER)


async def test_a_client_that_leaves_in_its_own_request_leaves_no_trace(world: World) -> None:
    client = world.stream("/v1/chat/completions", CHAT)
    client._body = None
    client.leave()
    await client.over()
    assert client.status is None
    assert world.attempts.log == []


# ── The function is stopped


@surfaces
async def test_a_cancelled_stream_has_its_record(world: World, surface: str) -> None:
    client = streaming(world, surface, "delay_ms=50")
    await reached(client, b"two")
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.over()
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.usage_source) == (Outcome.CANCELLED, UsageSource.ESTIMATED)
    assert end.usage.output_tokens >= 1


async def test_a_request_that_is_cancelled_while_it_waits_has_its_record(world: World) -> None:
    client = streaming(world, "chat", "hang")
    await until(lambda: world.attempts.log)
    assert [what for what, _ in world.attempts.log] == ["start"]
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.over()
    ((start, end),) = world.attempts.records
    assert (end.outcome, end.usage) == (Outcome.CANCELLED, start.estimated_usage)


async def test_the_intent_is_there_while_the_provider_is_still_silent(world: World) -> None:
    client = streaming(world, "chat", "header_ms=300")
    await until(lambda: world.attempts.log)
    assert client.status is None
    await client.rest()


# ── Silence


async def test_a_silent_stream_is_kept_alive_between_events() -> None:
    async with world_with_simulator(keep_alive_s=0.05) as world:
        client = streaming(world, "chat", "delay_ms=180")
        pieces = []
        while (piece := await client.piece()) is not None:
            pieces.append(piece)
        await client.over()
    assert pieces.count(b": keep-alive\n\n") >= 5
    assert all(piece.endswith(b"\n\n") for piece in pieces)
    assert events(b"".join(pieces))[-1] == "[DONE]"


async def test_nothing_is_sent_before_the_answer_is_committed() -> None:
    async with world_with_simulator(keep_alive_s=0.02) as world:
        client = streaming(world, "chat", "first_token_ms=300")
        await asyncio.sleep(0.15)
        assert client.status is None
        assert client.pieces.empty()
        await client.rest()
