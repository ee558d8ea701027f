"""What is no conversation: usage as each provider tells it, in the units that the model is billed by."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from ownkey.catalog import Model, PriceList, Rates, Step
from ownkey.domain.errors import ProviderFailure, UnsupportedParameter
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import AnswerKind, Call, Form, Translator, translator_of
from tests.support.media import EMBEDDINGS, IMAGES, MODERATIONS, RERANK, SPEECH, form, form_type, recording
from tests.support.providers import annotate, call, events, passed

BODIES = {
    Surface.EMBEDDINGS: EMBEDDINGS,
    Surface.IMAGES: IMAGES,
    Surface.SPEECH: SPEECH,
    Surface.RERANK: RERANK,
    Surface.MODERATIONS: MODERATIONS | {"model": "omni-moderation-latest"},
}
JSON_SURFACES = sorted(BODIES)


def model(fees: dict[str, str] | None = None, **rates: str) -> Model:
    steps = (Step(0, Rates(**{name: Decimal(rate) for name, rate in rates.items()})),)
    prices = PriceList("v1", steps, fees={name: Decimal(fee) for name, fee in (fees or {}).items()})
    return Model("openai", "m", "m", "chat", None, None, frozenset(), (), (), prices)


def asked(surface: Surface, of: Model | None = None, **values: Any) -> Call:
    if surface in (Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS):
        body = Form.read(form({"model": "whisper-1"} | values, recording(1)), form_type())
        return replace(call({"model": "whisper-1"}), body=body, model=of)
    return replace(call(BODIES[surface] | values), model=of)


def served_by(surface: Surface) -> Translator:
    found = translator_of(surface, Dialect.OPENAI)
    assert found
    return found


def told(surface: Surface, answer: Any, of: Model | None = None) -> Usage | None:
    whole = served_by(surface).decode_whole(asked(surface, of), json.dumps(answer).encode(), annotate)
    return whole.reading.usage


PIECES = model({"image_output": "0.04"})
DRAWN = {"input_tokens": 10, "output_tokens": 1056, "input_tokens_details": {"text_tokens": 7, "image_tokens": 3}}
MISTRAL_HEARD = {"prompt_audio_seconds": 30, "prompt_tokens": 150, "completion_tokens": 42, "total_tokens": 192}
HEARD = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "input_token_details": {"text_tokens": 4}}


@pytest.mark.parametrize(
    ("surface", "answer", "of", "usage"),
    [
        (Surface.EMBEDDINGS, {"usage": {"prompt_tokens": 8, "total_tokens": 8}}, None, Usage(input=8)),
        (Surface.EMBEDDINGS, {"usage": {"total_tokens": 8}}, None, Usage(input=8)),
        (Surface.EMBEDDINGS, {"data": []}, None, None),
        (Surface.IMAGES, {"usage": DRAWN}, None, Usage(input=7, image_input=3, image_output=1056)),
        (
            Surface.IMAGES,
            {"usage": DRAWN | {"output_tokens_details": {"text_tokens": 56, "image_tokens": 1000}}},
            None,
            Usage(input=7, image_input=3, output=56, image_output=1000),
        ),
        (Surface.IMAGES, {"data": [{}, {}]}, PIECES, Usage(images=2)),
        (Surface.IMAGES, {"data": [{}], "usage": DRAWN}, PIECES, Usage(images=1)),
        (Surface.IMAGES, {"data": [{}], "usage": DRAWN}, model({"image_output": "1"}, output="0"), Usage(images=1)),
        (Surface.IMAGES, {"data": [{}]}, model(input="5", image_output="30"), None),
        (Surface.RERANK, {"meta": {"billed_units": {"search_units": 2}}}, None, Usage(search_units=2)),
        (Surface.RERANK, {"usage": {"total_tokens": 30}}, None, Usage(input=30)),
        (Surface.RERANK, {"meta": {"billed_units": {"input_tokens": 30}}}, None, Usage(input=30)),
        (Surface.RERANK, {"usage": {"total_tokens": 30}}, model({"search_unit": "0.002"}, input="0"), None),
        (Surface.TRANSCRIPTIONS, {"usage": {"type": "duration", "seconds": 9}}, None, Usage(audio_input_ms=9_000)),
        (Surface.TRANSCRIPTIONS, {"text": "a", "duration": 8.47}, None, Usage(audio_input_ms=8_470)),
        (Surface.TRANSCRIPTIONS, {"usage": MISTRAL_HEARD}, None, Usage(audio_input_ms=30_000)),
        (Surface.TRANSCRIPTIONS, {"usage": HEARD}, None, Usage(input=4, audio_input=10, output=45)),
        (Surface.TRANSCRIPTIONS, {"usage": HEARD}, model({"audio_second_input": "0.0001"}), None),
        (Surface.TRANSCRIPTIONS, {"duration": 8.47}, model(input="1", output="1"), None),
        (Surface.MODERATIONS, {"results": []}, None, None),
        (Surface.MODERATIONS, {"usage": {"prompt_tokens": 3, "total_tokens": 3}}, None, Usage(input=3)),
    ],
)
def test_usage_in_the_units_that_are_billed(surface: Surface, answer: Any, of: Model | None, usage: Any) -> None:
    assert told(surface, answer, of) == usage


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=60)
def test_the_buckets_add_up_to_the_provider_s_total(into: int, out: int, image: int, text: int) -> None:
    usage = {
        "input_tokens": into,
        "output_tokens": out,
        "input_tokens_details": {"image_tokens": image, "cached_tokens": text},
        "output_tokens_details": {"text_tokens": text},
        "input_token_details": {"text_tokens": text},
    }
    for surface in (Surface.IMAGES, Surface.TRANSCRIPTIONS):
        found = told(surface, {"usage": usage})
        assert found
        assert found.total_tokens == into + out
        assert min(found.to_item().values()) >= 0


def test_a_web_page_is_no_transcript() -> None:
    request = asked(Surface.TRANSCRIPTIONS, response_format="text")
    translator = served_by(Surface.TRANSCRIPTIONS)
    assert translator.decode_whole(request, b"A red fox.\n", annotate).answer == {"text": "A red fox.\n"}
    with pytest.raises(ProviderFailure, match="web page"):
        translator.decode_whole(request, b"\n<!DOCTYPE html><html></html>", annotate)


@pytest.mark.parametrize("surface", JSON_SURFACES)
def test_the_body_goes_on_but_for_the_gateway_s_own(surface: Surface) -> None:
    request = replace(asked(surface, provider={"only": ["openai"]}, strange=[1, 2]), model_id="theirs")
    encoded = served_by(surface).encode_request(request)
    sent = json.loads(encoded.body)
    assert sent == {**BODIES[surface], "strange": [1, 2], "model": "theirs"}
    assert encoded.url.startswith("https://api.openai.com/v1/")
    assert "authorization" not in encoded.headers


@pytest.mark.parametrize("values", [{"output_format": "svg"}, {"svg": {"model": "gpt-5.4-pro"}}])
def test_a_picture_that_a_second_model_writes_is_for_own_keys_alone(values: dict[str, Any]) -> None:
    """Its tokens stand beside the usage, at another model's price: by the platform's key they would be free."""
    request, images = asked(Surface.IMAGES, **values), served_by(Surface.IMAGES)
    assert json.loads(images.encode_request(request).body) == IMAGES | values
    with pytest.raises(UnsupportedParameter) as refused:
        images.encode_request(replace(request, own=False))
    assert refused.value.param == next(iter(values))
    plain = asked(Surface.IMAGES, output_format="png", svg=None)
    assert images.encode_request(replace(plain, own=False)).dropped == ()


@pytest.mark.parametrize(
    ("surface", "name", "value"),
    [
        (Surface.SPEECH, "voice", {"id": "voice_1234"}),
        (Surface.SPEECH, "voice", "voice_1234"),
        (Surface.TRANSCRIPTIONS, "file_id", "file_1"),
    ],
)
def test_what_is_stored_under_another_s_key_is_not_for_clients_to_name(surface: Surface, name: str, value: Any) -> None:
    request, translator = asked(surface, **{name: value}), served_by(surface)
    translator.encode_request(request)
    with pytest.raises(UnsupportedParameter) as refused:
        translator.encode_request(replace(request, own=False))
    assert refused.value.param == name
    translator.encode_request(replace(asked(surface), own=False))


def test_a_form_goes_on_as_a_form() -> None:
    request = replace(asked(Surface.TRANSCRIPTIONS, provider="{}", prompt="red fox"), model_id="theirs")
    encoded = served_by(Surface.TRANSCRIPTIONS).encode_request(request)
    sent = Form.read(encoded.body, encoded.headers["content-type"])
    assert {name: sent.values[name] for name in sent.values if name != "file"} == {
        "model": "theirs",
        "prompt": "red fox",
    }
    assert sent.files[0].content == recording(1)


def test_what_is_named_otherwise_is_renamed() -> None:
    request = replace(call(RERANK, provider="voyage"), model_id="rerank-2.5")
    sent = json.loads(served_by(Surface.RERANK).encode_request(request).body)
    assert (sent["top_k"], "top_n" in sent) == (1, False)


@pytest.mark.parametrize("provider", ["voyage", "mistral"])
def test_dimensions_have_another_name_elsewhere(provider: str) -> None:
    """Both refuse members that they do not know."""
    request = call(EMBEDDINGS | {"dimensions": 8}, provider=provider)
    sent = json.loads(served_by(Surface.EMBEDDINGS).encode_request(request).body)
    assert (sent["output_dimension"], "dimensions" in sent) == (8, False)


def test_a_list_named_data_is_cohere_s_results() -> None:
    answer = {"object": "list", "data": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 26}}
    whole = served_by(Surface.RERANK).decode_whole(asked(Surface.RERANK), json.dumps(answer).encode(), annotate)
    shown = json.loads(whole.body)
    assert shown["results"] == answer["data"]
    assert "data" not in shown
    assert shown["usage"]["total_tokens"] == 26


def answered(surface: Surface, answer: Any, **values: Any) -> Any:
    whole = served_by(surface).decode_whole(asked(surface, **values), json.dumps(answer).encode(), annotate)
    return json.loads(whole.body)


VECTORS = [[0.25, -0.5], [1, 0.0]]


def vectors(*of: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(of)]
    return {"object": "list", "data": data, "model": "m", "usage": {"total_tokens": 8}}


def test_a_provider_that_knows_numbers_alone_answers_in_base64_where_that_was_asked() -> None:
    """The SDKs for Node and .NET decode whatever comes: a list of numbers becomes a vector of zeros, a quarter long."""
    shown = answered(Surface.EMBEDDINGS, vectors(*VECTORS), encoding_format="base64")
    coded = [base64.b64encode(struct.pack("<2f", *vector)).decode() for vector in VECTORS]
    assert [(each["index"], each["embedding"]) for each in shown["data"]] == list(enumerate(coded))
    for asked_for in ({}, {"encoding_format": "float"}):
        assert answered(Surface.EMBEDDINGS, vectors(*VECTORS), **asked_for)["data"] == vectors(*VECTORS)["data"]
    assert answered(Surface.EMBEDDINGS, vectors("AAAA"), encoding_format="base64")["data"] == vectors("AAAA")["data"]


@pytest.mark.parametrize("vector", [[1e300], ["a"], [None], [[1.0]]])
def test_what_is_no_vector_is_not_coded(vector: Any) -> None:
    with pytest.raises(ProviderFailure, match="no vector"):
        answered(Surface.EMBEDDINGS, vectors(vector), encoding_format="base64")


def test_tokens_have_openai_s_names_whatever_a_provider_calls_them() -> None:
    usage = answered(Surface.EMBEDDINGS, vectors(*VECTORS))["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (8, 8)
    assert CreateEmbeddingResponse.model_validate(answered(Surface.EMBEDDINGS, vectors(*VECTORS))).usage.prompt_tokens


def test_voyage_is_not_told_to_answer_with_numbers_which_it_refuses() -> None:
    for asked_for, sent_on in (("float", None), ("base64", "base64")):
        request = call(EMBEDDINGS | {"encoding_format": asked_for}, provider="voyage")
        encoded = served_by(Surface.EMBEDDINGS).encode_request(request)
        assert (json.loads(encoded.body).get("encoding_format"), encoded.dropped) == (sent_on, ())


@pytest.mark.parametrize("provider", ["alibaba", "alibaba-cn", "openrouter"])
def test_base64_is_made_here_where_a_provider_does_not_take_the_word(provider: str) -> None:
    request = call(EMBEDDINGS | {"encoding_format": "base64"}, provider=provider)
    encoded = served_by(Surface.EMBEDDINGS).encode_request(request)
    assert ("encoding_format" in json.loads(encoded.body), encoded.dropped) == (False, ())
    whole = served_by(Surface.EMBEDDINGS).decode_whole(request, json.dumps(vectors(*VECTORS)).encode(), annotate)
    assert isinstance(json.loads(whole.body)["data"][0]["embedding"], str)


def test_what_a_provider_refuses_is_left_out_and_told() -> None:
    encoded = served_by(Surface.EMBEDDINGS).encode_request(call(EMBEDDINGS | {"user": "ada"}, provider="mistral"))
    assert ("user" in json.loads(encoded.body), encoded.dropped) == (False, ("user",))


RANKED = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}


def test_documents_of_nothing_but_a_text_are_texts() -> None:
    """Cohere's v2 and Voyage refuse the objects that Cohere's v1 took; every one of them takes texts."""
    documents = ["a", {"text": "b"}, {"text": "c", "title": "d"}, {"image": "https://a.example/e.png"}]
    encoded = served_by(Surface.RERANK).encode_request(asked(Surface.RERANK, documents=documents))
    assert json.loads(encoded.body)["documents"] == ["a", "b", *documents[2:]]


def test_documents_are_returned_from_the_request_where_a_provider_does_not() -> None:
    documents = ["a fox", {"text": "a whale", "title": "b"}]
    shown = answered(Surface.RERANK, RANKED, documents=documents, return_documents=True)
    assert [each["document"] for each in shown["results"]] == [documents[1], {"text": "a fox"}]
    for asked_for in ({}, {"return_documents": False}):
        assert answered(Surface.RERANK, RANKED, documents=documents, **asked_for)["results"] == RANKED["results"]


@pytest.mark.parametrize("document", ["a fox", {"text": "a fox"}], ids=["voyage", "jina"])
def test_a_provider_s_own_documents_are_objects(document: Any) -> None:
    given = {"data": [{"index": 0, "relevance_score": 0.9, "document": document}]}
    assert answered(Surface.RERANK, given)["results"][0]["document"] == {"text": "a fox"}


@pytest.mark.parametrize("strange", [{"index": 9}, {"index": -1}, {"index": "0"}, {}, 7])
def test_a_result_of_no_document_goes_on_as_it_is(strange: Any) -> None:
    assert answered(Surface.RERANK, {"results": [strange]}, return_documents=True)["results"] == [strange]


def test_cohere_is_not_asked_for_what_its_v2_lacks() -> None:
    body = RERANK | {"return_documents": True, "max_chunks_per_doc": 3}
    encoded = served_by(Surface.RERANK).encode_request(call(body, provider="cohere"))
    assert json.loads(encoded.body).keys() == RERANK.keys()
    assert encoded.dropped == ("max_chunks_per_doc",)


@pytest.mark.parametrize(
    ("surface", "values", "kind"),
    [
        (Surface.EMBEDDINGS, {}, AnswerKind.WHOLE),
        (Surface.IMAGES, {"stream": True}, AnswerKind.EITHER),
        (Surface.SPEECH, {}, AnswerKind.BYTES),
        (Surface.SPEECH, {"stream_format": "sse"}, AnswerKind.EVENTS),
        (Surface.TRANSCRIPTIONS, {"stream": "true"}, AnswerKind.EITHER),
    ],
)
def test_how_an_answer_comes(surface: Surface, values: dict[str, Any], kind: AnswerKind) -> None:
    assert served_by(surface).encode_request(asked(surface, **values)).answer is kind


STREAMS = {
    Surface.IMAGES: [
        {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": "BBBB", "usage": DRAWN},
    ],
    Surface.TRANSCRIPTIONS: [
        {"type": "transcript.text.delta", "delta": "red "},
        {"type": "transcript.text.delta", "delta": "fox"},
        {"type": "transcript.text.done", "text": "red fox", "usage": HEARD},
    ],
    Surface.SPEECH: [
        {"type": "speech.audio.delta", "audio": "AAAA"},
        {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 30, "total_tokens": 34}},
    ],
}
BY_TOKENS = model(input="1", output="1")


def streamed(surface: Surface) -> tuple[Call, bytes]:
    values = {Surface.SPEECH: {"stream_format": "sse"}, Surface.TRANSCRIPTIONS: {"stream": "true"}}
    request = asked(surface, BY_TOKENS, **values.get(surface, {"stream": True}))
    return request, "".join(f"data: {json.dumps(each)}\n\n" for each in STREAMS[surface]).encode()


@pytest.mark.parametrize("surface", sorted(STREAMS))
@given(cuts=st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=25)
def test_a_stream_says_the_same_however_it_is_cut(surface: Surface, cuts: list[int]) -> None:
    request, stream = streamed(surface)
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(at)]
    went = passed(served_by(surface), request, pieces)
    assert went.decoder.finished
    assert [event["type"] for event in events(went.output)] == [event["type"] for event in STREAMS[surface]]
    assert events(went.output)[-1]["usage"]["is_byok"] is True
    usage = went.decoder.reading.usage
    assert usage
    assert usage.total_tokens == {Surface.IMAGES: 1066, Surface.TRANSCRIPTIONS: 59, Surface.SPEECH: 34}[surface]


def test_a_picture_of_20_megabytes_comes_in_a_stream_too() -> None:
    picture = "A" * 20_000_000
    last = {"type": "image_generation.completed", "b64_json": picture, "usage": DRAWN}
    stream = f"data: {json.dumps(last)}\n\n".encode()
    pieces = [stream[at : at + 65_536] for at in range(0, len(stream), 65_536)]
    went = passed(served_by(Surface.IMAGES), asked(Surface.IMAGES, stream=True), pieces)
    assert went.decoder.finished
    assert events(went.output)[0]["b64_json"] == picture


MISTRAL_STREAM = [
    {"type": "transcription.language", "audio_language": "en"},
    {"type": "transcription.text.delta", "text": "red "},
    {"type": "transcription.text.delta", "text": "fox"},
    {"type": "transcription.done", "model": "voxtral-mini", "text": "red fox", "usage": MISTRAL_HEARD},
]


@given(cuts=st.lists(st.integers(0, 500), max_size=6))
@settings(max_examples=25)
def test_mistral_s_transcript_comes_in_openai_s_events(cuts: list[int]) -> None:
    stream = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in MISTRAL_STREAM).encode()
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    request = asked(Surface.TRANSCRIPTIONS, stream="true")
    went = passed(served_by(Surface.TRANSCRIPTIONS), request, [stream[start:end] for start, end in pairwise(at)])
    assert went.decoder.finished
    assert went.decoder.reading.usage == Usage(audio_input_ms=30_000)
    seen = events(went.output)
    assert [event.get("delta") for event in seen if event["type"] == "transcript.text.delta"] == ["red ", "fox"]
    assert (seen[-1]["type"], seen[-1]["text"]) == ("transcript.text.done", "red fox")
    assert seen[-1]["usage"]["is_byok"] is True
    assert b"event: transcription.done" not in went.output


@pytest.mark.parametrize("surface", sorted(STREAMS))
def test_a_stream_without_its_last_event_is_broken(surface: Surface) -> None:
    request, stream = streamed(surface)
    cut = stream[: stream.index(b"\n\n") + 2]
    decoder = passed(served_by(surface), request, [cut]).decoder
    assert not decoder.finished
    assert decoder.failure
    assert decoder.failure.code == "provider_stream_broken"


@pytest.mark.parametrize("surface", [*JSON_SURFACES, Surface.TRANSCRIPTIONS])
@given(junk=st.binary(max_size=200), stream=st.booleans())
@settings(max_examples=25)
def test_whatever_a_provider_sends_is_an_answer_or_a_failure(surface: Surface, junk: bytes, stream: bool) -> None:
    translator = served_by(surface)
    try:
        if stream and surface in STREAMS:
            request, good = streamed(surface)
            went = passed(translator, request, [good[:60], junk, good[60:]])
            assert went.decoder.finished or went.decoder.failure
        elif surface is not Surface.SPEECH:
            translator.decode_whole(asked(surface), junk, annotate)
    except ProviderFailure:
        return
