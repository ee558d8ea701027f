"""Vectors, pictures, sound, verdicts and ranks through the gateway: passed on, recorded, priced."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from math import ceil
from typing import Any

import httpx
import pytest

from local.simulator import start_simulator
from local.simulator.media_answers import IMAGE_TOKENS, heard, sound
from ownkey.domain.attempts import Outcome
from ownkey.domain.usage import Usage, UsageSource
from ownkey.http.requests import MAX_FORM_BYTES
from tests.support.inference import CHAT, World, credential
from tests.support.media import (
    EMBEDDINGS,
    IMAGES,
    MODERATIONS,
    RERANK,
    SPEECH,
    form,
    form_type,
    recording,
)
from tests.support.providers import events

PROVIDERS = ("openai", "anthropic", "groq", "voyage", "mistral")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with await start_simulator() as simulator:
        world = World(simulator, PROVIDERS)
        world.registry.own = [credential("openai"), credential("anthropic")]
        async with world.running():
            yield world


async def send_form(world: World, path: str, body: bytes, content_type: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {world.registry.secret}", "content-type": content_type or form_type()}
    return await world.request("POST", path, body, headers)


def used(world: World) -> tuple[Usage, UsageSource, int]:
    ((_, end),) = world.attempts.records
    assert end.outcome is Outcome.SUCCEEDED
    return end.usage, end.usage_source, end.cost_nanousd


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1", ""])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embeddings", EMBEDDINGS),
        ("/images/generations", IMAGES),
        ("/audio/speech", SPEECH),
        ("/moderations", MODERATIONS),
    ],
)
async def test_each_answers_under_every_prefix(world: World, prefix: str, path: str, body: dict[str, Any]) -> None:
    response = await world.post(prefix + path, body | {"provider": {"only": ["openai"]}})
    assert response.status_code == 200
    assert response.headers["x-ownkey-provider"] == "openai"
    assert response.headers["x-ownkey-byok"] == "true"


async def test_embeddings_are_passed_on_and_billed_by_their_tokens(world: World) -> None:
    body = (await world.post("/v1/embeddings", EMBEDDINGS | {"dimensions": 4, "encoding_format": "base64"})).json()
    assert len(base64.b64decode(body["data"][0]["embedding"])) == 16
    # Two tokens at $0.02 a million.
    assert used(world) == (Usage(input=2), UsageSource.PROVIDER, 40)
    assert body["usage"]["is_byok"] is True
    assert body["usage"]["cost_details"]["upstream_inference_cost"] == 4e-8


async def test_pictures_are_billed_by_their_tokens(world: World) -> None:
    body = (await world.post("/v1/images/generations", IMAGES | {"n": 2})).json()
    assert len(body["data"]) == 2
    # Three tokens in at $5 a million, two pictures out at $30.
    cost = 3 * 5_000 + 2 * IMAGE_TOKENS * 30_000
    assert used(world) == (Usage(input=3, image_output=2 * IMAGE_TOKENS), UsageSource.PROVIDER, cost)


async def test_pictures_in_a_stream(world: World) -> None:
    client = world.stream("/v1/images/generations", IMAGES | {"stream": True, "partial_images": 2})
    told = events(await client.rest())
    await client.over()
    assert [event["type"].rpartition(".")[2] for event in told] == ["partial_image", "partial_image", "completed"]
    assert told[-1]["usage"]["is_byok"] is True
    assert used(world)[0] == Usage(input=3, image_output=IMAGE_TOKENS)


async def test_speech_is_passed_on_byte_for_byte_and_billed_by_its_characters(world: World) -> None:
    response = await world.post("/v1/audio/speech", SPEECH | {"response_format": "flac"})
    assert response.content == sound("Hello there", "flac")
    assert response.headers["content-type"] == "audio/flac"
    # Eleven characters at $15 a million.
    assert used(world) == (Usage(characters=11), UsageSource.PROVIDER, 165_000)


async def test_speech_by_tokens_is_estimated_where_it_comes_as_a_file(world: World) -> None:
    await world.post("/v1/audio/speech", SPEECH | {"model": "gpt-4o-mini-tts"})
    assert used(world)[:2] == (Usage(input=2, audio_output=17), UsageSource.ESTIMATED)


async def test_speech_by_tokens_says_what_it_used_in_events(world: World) -> None:
    asked = SPEECH | {"model": "gpt-4o-mini-tts", "stream_format": "sse"}
    client = world.stream("/v1/audio/speech", asked)
    told = events(await client.rest())
    await client.over()
    assert client.headers["content-type"].startswith("text/event-stream")
    assert b"".join(base64.b64decode(event.get("audio", "")) for event in told) == sound("Hello there", "mp3")
    assert told[-1]["usage"]["is_byok"] is True
    assert used(world)[:2] == (Usage(input=2, audio_output=11), UsageSource.PROVIDER)
    assert world.attempts.records[0][0].request.streamed


async def test_a_file_that_breaks_off_ends_the_response_as_broken_and_is_billed(world: World) -> None:
    world.simulator.scripts.add("openai", cut_after=2, cut_mode="eof")
    with pytest.raises(Exception, match="stopped before its end"):
        await world.post("/v1/audio/speech", SPEECH)
    ((_, end),) = world.attempts.records
    assert (end.outcome, end.usage, end.error_code) == (Outcome.BROKEN, Usage(characters=11), "provider_stream_broken")


async def test_no_sign_of_life_stands_in_a_file(world: World) -> None:
    world.configure(keep_alive_s=0.02)
    world.simulator.scripts.add("openai", delay_ms=60)
    response = await world.post("/v1/audio/speech", SPEECH)
    assert response.content == sound("Hello there", "mp3")


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        ("whisper-1", Usage(audio_input_ms=2_000), 200_000),  # $0.0001 a second
        ("gpt-4o-transcribe", Usage(input=2, audio_input=20, output=5), 2 * 2_500 + 20 * 2_500 + 5 * 10_000),
    ],
)
async def test_a_recording_goes_on_untouched(world: World, model: str, usage: Usage, cost: int) -> None:
    file = recording(2)
    body = form({"model": f"openai/{model}", "prompt": "red fox", "provider": '{"only": ["openai"]}'}, file)
    response = await send_form(world, "/v1/audio/transcriptions", body)
    assert response.json()["text"] == heard(file)
    assert response.json()["usage"]["is_byok"] is True
    assert used(world) == (usage, UsageSource.PROVIDER, cost)
    (call,) = world.simulator.journal.entries()
    assert "red fox" in str(call.body)


@pytest.mark.parametrize("kind", ["text", "srt", "vtt"])
async def test_a_transcript_as_plain_text_is_passed_on_and_estimated(world: World, kind: str) -> None:
    file = recording(2)
    body = form({"model": "whisper-1", "response_format": kind}, file)
    response = await send_form(world, "/v1/audio/transcriptions", body)
    assert heard(file) in response.text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    usage, source, _ = used(world)
    assert source is UsageSource.ESTIMATED
    assert usage.audio_input_ms == pytest.approx(2_000, rel=0.01)


async def test_a_transcript_in_a_stream(world: World) -> None:
    file = recording(1)
    body = form({"model": "gpt-4o-transcribe", "stream": "true"}, file)
    response = await send_form(world, "/v1/audio/transcriptions", body)
    told = events(response.content)
    assert told[-1]["text"] == heard(file)
    assert told[-1]["usage"]["is_byok"] is True
    assert used(world)[0].audio_input == 10


async def test_a_model_that_does_not_stream_answers_whole(world: World) -> None:
    body = form({"model": "whisper-1", "stream": "true"}, recording(1))
    response = await send_form(world, "/v1/audio/transcriptions", body)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["text"]


async def test_a_translation(world: World) -> None:
    response = await send_form(world, "/v1/audio/translations", form({"model": "whisper-1"}, recording(1)))
    assert response.json()["text"].endswith("in English")


async def test_moderations_name_no_model_and_cost_nothing(world: World) -> None:
    body = (await world.post("/v1/moderations", MODERATIONS)).json()
    assert body["model"] == "omni-moderation-latest"
    assert used(world)[2] == 0


async def test_a_ranking_takes_cohere_s_words_to_a_provider_with_others(world: World) -> None:
    world.registry.own.append(credential("voyage"))
    response = await world.post("/v1/rerank", RERANK | {"model": "voyage/rerank-2.5"})
    assert [each["index"] for each in response.json()["results"]] == [0]
    assert response.json()["usage"]["is_byok"] is True
    (call,) = world.simulator.journal.entries()
    assert call.body["top_k"] == 1
    assert "top_n" not in call.body


# ── What is refused before anything is sent


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"model": "text-embedding-3-small"}, "input"),
        ("/v1/embeddings", EMBEDDINGS | {"stream": True}, "stream"),
        ("/v1/embeddings", {"input": "a"}, "model"),
        ("/v1/images/generations", {"model": "gpt-image-2", "prompt": ["a"]}, "prompt"),
        ("/v1/audio/speech", {"model": "tts-1", "input": 7}, "input"),
        ("/v1/rerank", {"model": "rerank-2.5", "query": "a"}, "documents"),
        ("/v1/moderations", {"input": None}, "input"),
        ("/v1/moderations", {"input": "a", "model": 3}, "model"),
    ],
)
async def test_requests_without_what_they_are_about(world: World, path: str, body: Any, param: str) -> None:
    response = await world.post(path, body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_parameter", param)
    assert world.simulator.journal.entries() == []


async def test_a_form_over_the_limit(world: World) -> None:
    body = form({"model": "whisper-1"}, b"\0" * MAX_FORM_BYTES)
    response = await send_form(world, "/v1/audio/transcriptions", body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (413, "request_too_large")
    assert "4.5 MB" in error["message"]
    assert world.attempts.log == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (form({"model": "whisper-1"}, b"x"), "multipart/form-data"),
        (form({"model": "whisper-1"}, b"x"), form_type("another")),
        (form({"model": "whisper-1"}, b"x")[:-6], None),
    ],
)
async def test_what_is_no_form(world: World, body: bytes, content_type: str | None) -> None:
    response = await send_form(world, "/v1/audio/transcriptions", body, content_type)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


async def test_two_models_in_one_form(world: World) -> None:
    body = form({"model": "a"})[: -len("--d41d8cd98f00b204--\r\n")] + form({"model": "whisper-1"}, b"x")
    response = await send_form(world, "/v1/audio/transcriptions", body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_parameter", "model")


async def test_a_model_of_another_kind_is_refused_with_the_endpoint_that_it_is_for(world: World) -> None:
    response = await world.post("/v1/chat/completions", CHAT | {"model": "text-embedding-3-small"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "surface_not_supported")
    assert "OpenAI by POST /v1/embeddings" in error["metadata"]["fix"]
    response = await world.post("/v1/embeddings", EMBEDDINGS | {"model": "claude-sonnet-4-5"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "surface_not_supported")
    assert "Of the account's providers OpenAI" in error["metadata"]["fix"]
    assert "openai" in error["metadata"]["providers"]
    assert world.simulator.journal.entries() == []


# ── On the platform


@pytest.mark.parametrize(
    ("path", "body", "held"),
    [
        ("/v1/audio/speech", SPEECH, 11 * 15_000),
        ("/v1/embeddings", EMBEDDINGS, 3 * 20),
        ("/v1/images/generations", IMAGES | {"n": 2, "size": "1024x1024"}, 4 * 5_000 + 2 * 8192 * 30_000),
    ],
)
async def test_the_platform_holds_the_most_and_charges_its_margin(
    world: World, path: str, body: dict[str, Any], held: int
) -> None:
    world.registry.own.clear()
    world.registry.platform.append(credential("openai", alias="platform"))
    response = await world.post(path, body)
    assert response.status_code == 200
    ((start, end),) = world.attempts.records
    (hold,) = world.holds.placed
    assert hold.amount_nanousd == start.hold_nanousd == -(-held * 105 // 100)
    assert 0 < end.charge_nanousd <= hold.amount_nanousd
    assert end.charge_nanousd == ceil(end.cost_nanousd * Decimal("1.05"))


async def test_the_platform_holds_a_recording_s_longest(world: World) -> None:
    world.registry.own.clear()
    world.registry.platform.append(credential("openai", alias="platform"))
    file = recording(2)
    response = await send_form(world, "/v1/audio/transcriptions", form({"model": "whisper-1"}, file))
    assert response.status_code == 200
    (hold,) = world.holds.placed
    ((_, end),) = world.attempts.records
    # 750 bytes a second at the least, $0.0001 a second.
    assert hold.amount_nanousd == pytest.approx(len(file) / 750 * 100_000 * 1.05, rel=1e-3)
    assert end.charge_nanousd == 210_000 <= hold.amount_nanousd


async def test_the_platform_refuses_what_has_no_price_and_one_s_own_key_serves_it_unpriced(world: World) -> None:
    asked = EMBEDDINGS | {"model": "openai/embedding-of-tomorrow"}
    world.simulator.models.set("openai", ["embedding-of-tomorrow"])
    body = (await world.post("/v1/embeddings", asked)).json()
    assert "usage" in body, body
    assert body["usage"]["cost_details"]["unpriced"] is True
    world.registry.own.clear()
    world.registry.platform.append(credential("openai", alias="platform"))
    response = await world.post("/v1/embeddings", asked)
    assert response.status_code == 404
    assert "sells none without a known price" in json.dumps(response.json())
