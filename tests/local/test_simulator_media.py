"""What is no conversation, at the simulated provider: the OpenAI SDK, unmodified, reads every answer."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from local.simulator import Simulator, start_simulator
from local.simulator.media_answers import heard, sound, vector

KEY = "sk-sim-media-0123456789"


def recording(seconds: int) -> bytes:
    """Silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(1)
        opened.setframerate(8_000)
        opened.writeframes(b"\x80" * 8_000 * seconds)
    return file.getvalue()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with await start_simulator() as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(
        api_key=KEY, base_url=simulator.base_url("openai"), max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.mark.parametrize("encoding", ["float", "base64", None])
async def test_embeddings(client: openai.AsyncOpenAI, encoding: str | None) -> None:
    asked: dict[str, Any] = {} if encoding is None else {"encoding_format": encoding}
    answer = await client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=4, **asked)
    first: Any = answer.data[0].embedding
    if encoding == "base64":
        assert len(base64.b64decode(first)) == 16
    else:
        assert first == pytest.approx(vector("one", 4), abs=1e-6)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (2, 2)


async def test_tokens_are_embedded_as_they_are(client: openai.AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [4]])
    assert (len(answer.data), answer.usage.prompt_tokens) == (2, 4)


async def test_pictures(client: openai.AsyncOpenAI) -> None:
    answer = await client.images.generate(model="gpt-image-2", prompt="a red fox", n=2)
    assert len(answer.data or ()) == 2
    assert answer.usage is not None
    assert answer.usage.output_tokens == 2 * 1056


async def test_pictures_in_a_stream(client: openai.AsyncOpenAI) -> None:
    stream = await client.images.generate(model="gpt-image-2", prompt="a fox", stream=True, partial_images=2)
    events = [event async for event in stream]
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    assert events[-1].usage.total_tokens == 2 + 1056  # type: ignore[union-attr]


async def test_speech(client: openai.AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="alloy", input="hello", response_format="wav")
    assert answer.content == sound("hello", "wav")
    assert answer.response.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
async def test_transcriptions(client: openai.AsyncOpenAI, model: str) -> None:
    file = recording(3)
    answer = await client.audio.transcriptions.create(model=model, file=("a.wav", file))
    assert answer.text == heard(file)
    assert answer.usage is not None
    assert answer.usage.to_dict()["type"] == ("duration" if model == "whisper-1" else "tokens")


async def test_a_transcription_in_a_stream(client: openai.AsyncOpenAI) -> None:
    file = recording(1)
    stream = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", file), stream=True)
    *deltas, done = [event async for event in stream]
    assert "".join(event.delta for event in deltas).strip() == done.text == heard(file)  # type: ignore[union-attr]


async def test_a_transcript_as_subtitles(client: openai.AsyncOpenAI) -> None:
    text: Any = await client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", recording(1)), response_format="srt"
    )
    assert text.startswith("1\n00:00:00,000")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK calls it deprecated, OpenAI serves it
async def test_translations(client: openai.AsyncOpenAI) -> None:
    answer = await client.audio.translations.create(model="whisper-1", file=("a.wav", recording(1)))
    assert answer.text.endswith("in English")


async def test_moderations(client: openai.AsyncOpenAI) -> None:
    answer = await client.moderations.create(model="omni-moderation-latest", input=["peace", "violence"])
    assert [each.flagged for each in answer.results] == [False, True]
    assert answer.results[1].categories.violence


async def test_what_the_vendor_refuses(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="provider"):
        await client.embeddings.create(model="text-embedding-3-small", input="a", extra_body={"provider": {}})
    with pytest.raises(openai.BadRequestError, match="voice"):
        await client.audio.speech.create(model="tts-1", voice="", input="a")
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model="no-such-model", input="a")
