"""Vectors, pictures, sound, verdicts and ranks: today's `openai` SDK against the running stack."""

from __future__ import annotations

import base64
import io
from decimal import Decimal
from typing import Any

import openai
import pytest

from local.simulator.media_answers import IMAGE_TOKENS, heard, sound, vector
from tests.e2e.accounts import Account, SavedKey
from tests.e2e.service_accounts import vertex_credential
from tests.e2e.world import World
from tests.support.media import EMBEDDINGS, SPEECH, form, form_type, recording

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    return world.account(platform_allowed=False)


@pytest.fixture(scope="module")
def key(team: Account) -> SavedKey:
    return team.save_key("OpenAI", alias="main")


@pytest.fixture(scope="module")
def client(team: Account, key: SavedKey) -> openai.OpenAI:
    return team.openai()


def record(team: Account, surface: str) -> dict[str, Any]:
    """The account's last attempt, once it is billed."""
    last = team.attempts()[-1]
    assert (last["surface"], last["outcome"], last["source"]) == (surface, "succeeded", "byok")
    return last


def cost(team: Account, surface: str) -> Decimal:
    return Decimal(record(team, surface)["cost_usd"])


class TestAnswers:
    @pytest.mark.parametrize("encoding", [None, "float", "base64"])
    def test_embeddings(self, team, client, encoding):
        asked = {"encoding_format": encoding} if encoding else {}
        answer = client.embeddings.create(model="text-embedding-3-small", input="red fox", dimensions=4, **asked)
        first = answer.data[0].embedding
        if encoding == "base64":
            assert len(base64.b64decode(first)) == 16
        else:
            assert first == pytest.approx(vector("red fox", 4), abs=1e-6)
        assert answer.usage.to_dict()["is_byok"] is True
        assert cost(team, "embeddings") == 2 * Decimal("0.02") / 1_000_000

    def test_pictures(self, team, client):
        answer = client.images.generate(model="gpt-image-2", prompt="a red fox", n=2)
        assert len(answer.data) == 2
        assert cost(team, "images") == (3 * 5 + 2 * IMAGE_TOKENS * 30) / Decimal(1_000_000)

    def test_pictures_in_a_stream(self, team, client):
        stream = client.images.generate(model="gpt-image-2", prompt="a fox", stream=True, partial_images=2)
        events = list(stream)
        assert [event.type for event in events][-1] == "image_generation.completed"
        assert len(events) == 3
        assert record(team, "images")["usage"]["image_output"] == IMAGE_TOKENS

    def test_speech(self, team, client):
        answer = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there", response_format="opus")
        assert answer.content == sound("Hello there", "opus")
        assert answer.response.headers["content-type"] == "audio/opus"
        assert cost(team, "speech") == 11 * Decimal("0.000015")

    def test_speech_as_it_comes(self, client, tmp_path):
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Hello") as answer:
            answer.stream_to_file(tmp_path / "a.mp3")
        assert (tmp_path / "a.mp3").read_bytes() == sound("Hello", "mp3")

    def test_a_transcription(self, team, client):
        file = recording(3)
        answer = client.audio.transcriptions.create(
            model="whisper-1",
            file=("a.wav", file),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert (answer.text, answer.duration) == (heard(file), 3)
        assert cost(team, "transcriptions") == 3 * Decimal("0.0001")

    def test_a_transcription_of_any_bytes(self, client):
        file = b"\xff\x00\r\n--\r\n\x80" * 1_000
        answer = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("ä b.mp3", io.BytesIO(file)))
        assert answer.text == heard(file)

    def test_a_transcription_in_a_stream(self, team, client):
        file = recording(1)
        stream = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", file), stream=True)
        *deltas, done = list(stream)
        assert "".join(event.delta for event in deltas).strip() == done.text == heard(file)
        assert record(team, "transcriptions")["usage"]["audio_input"] == 10

    def test_a_transcript_as_subtitles(self, client):
        file = recording(1)
        text = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", file), response_format="vtt")
        assert text.startswith("WEBVTT")
        assert heard(file) in text

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_a_translation(self, client):
        answer = client.audio.translations.create(model="whisper-1", file=("a.wav", recording(1)))
        assert answer.text.endswith("in English")

    def test_moderations(self, team, client):
        answer = client.moderations.create(input=["peace", "violence"])
        assert [each.flagged for each in answer.results] == [False, True]
        assert cost(team, "moderations") == 0

    def test_a_ranking(self, world, team):
        team.save_key("Voyage AI", alias="ranks")
        body = {"model": "voyage/rerank-2.5", "query": "red fox", "documents": ["a blue whale", "a red fox"]}
        answer = team.post("/v1/rerank", body | {"top_n": 1})
        assert [each["index"] for each in answer.json()["results"]] == [1]
        tokens = answer.json()["usage"]["total_tokens"]
        assert tokens == record(team, "rerank")["usage"]["input"] == 10
        assert cost(team, "rerank") == tokens * Decimal("0.05") / 1_000_000


class TestLimits:
    def test_a_form_close_to_the_limit_is_taken(self, client):
        file = bytes(range(256)) * 17_500
        assert 4.4 * MEGABYTE < len(file) < 4.5 * MEGABYTE
        assert client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", file)).text == heard(file)

    @pytest.mark.parametrize("size", [4_500_000, 5 * MEGABYTE, 11 * MEGABYTE], ids=["ours", "lambda", "api gateway"])
    def test_a_larger_one_is_refused(self, client, size):
        with pytest.raises(openai.APIStatusError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"\x01" * size))
        assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
        assert caught.value.response.headers["x-should-retry"] == "false"

    def test_a_model_of_another_kind_is_refused(self, client):
        with pytest.raises(openai.BadRequestError, match="POST /v1/embeddings") as caught:
            client.embeddings.create(model="gpt-4o", input="a")
        assert "POST /v1/chat/completions" in str(caught.value.body)


class TestRepeats:
    def test_sound_is_replayed_byte_for_byte(self, team, key):
        before = len(team.world.calls(key.key))
        asked = {"headers": {"Idempotency-Key": "say-it-once"}}
        first, second = (team.post("/v1/audio/speech", SPEECH, **asked) for _ in range(2))
        assert first.content == second.content == sound("Hello there", "mp3")
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["content-type"] == first.headers["content-type"] == "audio/mpeg"
        assert len(team.world.calls(key.key)) == before + 1

    def test_the_same_recording_in_another_form_is_the_same_request(self, team, key):
        before = len(team.world.calls(key.key))
        answers = [
            self.transcribe(team, "hear-it-once", recording(1), boundary) for boundary in ("first-one", "second-one")
        ]
        assert answers[0].json() == answers[1].json()
        assert len(team.world.calls(key.key)) == before + 1
        assert self.transcribe(team, "hear-it-once", recording(2), "third-one").status_code == 422

    def transcribe(self, team: Account, key: str, file: bytes, boundary: str) -> Any:
        headers = {
            "authorization": f"Bearer {team.gateway_key}",
            "content-type": form_type(boundary),
            "idempotency-key": key,
        }
        body = form({"model": "whisper-1"}, file, boundary=boundary)
        return team.world.http("POST", "/v1/audio/transcriptions", content=body, headers=headers)


def test_what_is_spoken_and_heard_stands_in_no_log(world: World, team: Account, client: openai.OpenAI) -> None:
    word = "canary-cedilla-quartz"
    client.audio.transcriptions.create(model="whisper-1", file=(f"{word}.wav", recording(1) + word.encode()))
    client.audio.speech.create(model="tts-1", voice="alloy", input=word)
    client.embeddings.create(**EMBEDDINGS | {"input": word})
    with pytest.raises(openai.APIStatusError):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", word.encode()), response_format=word)  # type: ignore[call-overload]
    world.drain()
    logs = b"".join(path.read_bytes() for path in world.logs.rglob("*") if path.is_file())
    assert logs
    assert word.encode() not in logs
    assert base64.b64encode(word.encode())[:-4] not in logs
    assert word not in str(world.items("RecordsTable"))


def test_cohere_embeds_and_ranks_for_a_client_of_openai(world: World) -> None:
    team = world.account(platform_allowed=False)
    team.save_key("Cohere", alias="command")
    model = "cohere/embed-v4.0"
    plain = team.openai().embeddings.create(model=model, input=["a red fox", "a whale"], dimensions=8)
    coded: Any = team.openai().embeddings.create(
        model=model, input=["a red fox", "a whale"], dimensions=8, encoding_format="base64"
    )
    assert [len(each.embedding) for each in plain.data] == [8, 8]
    assert len(base64.b64decode(coded.data[0].embedding)) == 32
    assert plain.usage.prompt_tokens > 0
    row = record(team, "embeddings")
    assert (row["provider"], row["usage"]["input"]) == ("cohere", plain.usage.prompt_tokens)
    body = {"model": "cohere/rerank-v3.5", "query": "red fox", "documents": ["a blue whale", "a red fox"], "top_n": 1}
    answer = team.post("/v1/rerank", body).json()
    assert [each["index"] for each in answer["results"]] == [1]
    assert record(team, "rerank")["usage"]["search_units"] == 1
    assert cost(team, "rerank") == Decimal("0.002")


@pytest.mark.parametrize(
    "model", ["gemini/gemini-embedding-001", "vertex/text-embedding-005", "vertex/gemini-embedding-2"]
)
def test_google_embeds_for_a_client_of_openai(world: World, model: str) -> None:
    team = world.account(platform_allowed=False)
    if model.startswith("vertex"):
        team.owner.ok("POST", "/api/byok", {"provider": "vertex", **vertex_credential(world)})
    else:
        team.save_key("gemini")
    answer = team.openai().embeddings.create(model=model, input=["red", "fox"], dimensions=4)
    assert [each.embedding for each in answer.data] == [
        pytest.approx(vector(text, 4), abs=1e-6) for text in ("red", "fox")
    ]
    assert answer.usage.prompt_tokens == 2
    assert record(team, "embeddings")["usage"]["input"] == 2
    assert cost(team, "embeddings") > 0


class TestOnThePlatform:
    """What is held before is the most it can come to: credits never go below zero."""

    def test_speech_is_charged_at_cost_and_margin(self, world: World) -> None:
        team = world.account(credits_usd="1")
        assert team.post("/v1/audio/speech", SPEECH).status_code == 200
        row = team.attempts()[-1]
        assert (row["source"], Decimal(row["cost_usd"])) == ("platform", 11 * Decimal("0.000015"))
        assert Decimal(row["charge_usd"]) == Decimal(row["cost_usd"]) * Decimal("1.05")
        balance = team.balance()
        assert balance["total_usd"] == balance["available_usd"] == 1 - Decimal(row["charge_usd"])

    def test_what_the_credits_may_not_cover_is_not_sent(self, world: World) -> None:
        team = world.account(credits_usd="0.01")
        # A minute of 64 kbit/s costs $0.006, but the file may hold ten at 6 kbit/s.
        with pytest.raises(openai.APIStatusError) as caught:
            team.openai().audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"\x01" * 480_000))
        assert (caught.value.status_code, caught.value.code) == (402, "insufficient_credits")
        assert team.balance() == {"available_usd": Decimal("0.01"), "held_usd": 0, "total_usd": Decimal("0.01")}
        answer = team.openai().audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"\x01" * 48_000))
        assert answer.text == heard(b"\x01" * 48_000)
        assert team.balance()["total_usd"] == Decimal("0.01") - 6 * Decimal("0.000105")

    def test_what_has_no_price_is_not_sold(self, world: World) -> None:
        team = world.account(credits_usd="1")
        with pytest.raises(openai.APIStatusError) as caught:
            team.openai().embeddings.create(model="openai/embedding-of-tomorrow", input="a")
        assert (caught.value.status_code, caught.value.code) == (404, "no_credential")
