"""Embeddings asked in OpenAI's words of providers that have others."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Any

import cohere
import pytest
from google.genai import types as google
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from ownkey.catalog import Provider
from ownkey.domain.errors import InvalidParameter, ProviderFailure, UnsupportedParameter
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Call, Translator, translator_of
from tests.support.providers import CATALOG, annotate, call

ASKED = {"model": "m", "input": ["red", "fox"], "dimensions": 2, "user": "ada"}
VECTORS = [[0.25, -0.5], [1.0, 0.0]]
CODED = [base64.b64encode(struct.pack("<2f", *vector)).decode() for vector in VECTORS]
COHERE: dict[str, Any] = {
    "response_type": "embeddings_by_type",
    "id": "9f2e",
    "embeddings": {"float": VECTORS},
    "texts": ["red", "fox"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2}},
}
GOOGLE: dict[str, Any] = {
    "embeddings": [{"values": vector} for vector in VECTORS],
    "usageMetadata": {"promptTokenCount": 2},
}
PREDICTED: dict[str, Any] = {
    "predictions": [{"embeddings": {"values": each, "statistics": {"token_count": 1}}} for each in VECTORS]
}
TITAN: dict[str, Any] = {"embedding": VECTORS[0], "inputTextTokenCount": 2, "embeddingsByType": {"float": VECTORS[0]}}
WIRES = {Dialect.COHERE.value: COHERE, Dialect.GEMINI.value: GOOGLE, "gemini_vertex": PREDICTED}
WIRE = pytest.mark.parametrize("wire", sorted(WIRES))


def translator(wire: str) -> Translator:
    found = translator_of(Surface.EMBEDDINGS, wire)
    assert found
    return found


def row(wire: str) -> Provider:
    return CATALOG.provider({"gemini_vertex": "vertex"}.get(wire, wire))


def asked(wire: str, **values: Any) -> Call:
    made = call(ASKED | values)
    model_id = {"gemini_vertex": "text-embedding-005"}.get(wire, "theirs-1")
    return replace(made, provider=row(wire), model_id=model_id, base_url="https://api.example/v9")


def sent(request: Call, wire: str) -> tuple[str, Any]:
    encoded = translator(wire).encode_request(request)
    return encoded.url, json.loads(encoded.body)


def answered(wire: str, answer: Any, **values: Any) -> tuple[Any, Any]:
    request = asked(wire, **values)
    translator(wire).encode_request(request)
    whole = translator(wire).decode_whole(request, json.dumps(answer).encode(), annotate)
    return json.loads(whole.body), whole.reading


def test_to_cohere() -> None:
    url, body = sent(asked("cohere"), "cohere")
    assert url == "https://api.example/v9/embed"
    assert body == {
        "model": "theirs-1",
        "texts": ["red", "fox"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 2,
    }
    query = asked("cohere", input="red", input_type="search_query", encoding_format="base64", dimensions=None)
    assert sent(query, "cohere")[1] == {
        "model": "theirs-1",
        "texts": ["red"],
        "input_type": "search_query",
        "embedding_types": ["base64"],
    }


def test_to_google() -> None:
    url, body = sent(asked("gemini"), "gemini")
    assert url == "https://api.example/v9/models/theirs-1:batchEmbedContents"
    assert body["requests"][1] == {
        "model": "models/theirs-1",
        "content": {"parts": [{"text": "fox"}]},
        "outputDimensionality": 2,
    }


def test_to_vertex() -> None:
    url, body = sent(asked("gemini_vertex"), "gemini_vertex")
    assert url == "https://api.example/v9/publishers/google/models/text-embedding-005:predict"
    assert body == {
        "instances": [{"content": "red"}, {"content": "fox"}],
        "parameters": {"outputDimensionality": 2},
    }
    gemini = replace(asked("gemini_vertex"), model_id="gemini-embedding-2")
    url, body = sent(gemini, "gemini_vertex")
    assert url.endswith("/gemini-embedding-2:batchEmbedContents")
    assert body["requests"][0] == {
        "content": {"parts": [{"text": "red"}]},
        "embedContentConfig": {"outputDimensionality": 2},
    }


def test_the_vendors_own_types_read_what_stands_here_for_their_answers() -> None:
    assert cohere.EmbedByTypeResponse.model_validate(COHERE).embeddings.float_ == VECTORS
    found = google.EmbedContentResponse.model_validate(GOOGLE)
    assert [each.values for each in found.embeddings or ()] == VECTORS
    assert found.usage_metadata
    assert found.usage_metadata.prompt_token_count == 2


@WIRE
@pytest.mark.parametrize("coding", [None, "float", "base64"])
def test_the_answer_is_openai_s(wire: str, coding: str | None) -> None:
    answer = WIRES[wire]
    if wire == "cohere" and coding == "base64":
        answer = COHERE | {"embeddings": {"base64": CODED}}
    body, reading = answered(wire, answer, encoding_format=coding)
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] == 2
    if coding != "base64":  # the SDK decodes it before it reads it
        assert CreateEmbeddingResponse.model_validate(body).data[1].index == 1
    assert [each["embedding"] for each in body["data"]] == (CODED if coding == "base64" else VECTORS)
    assert reading.usage == Usage(input=2)
    assert body["usage"]["is_byok"] is True


@WIRE
def test_what_no_other_api_has_is_dropped_and_told(wire: str) -> None:
    assert translator(wire).encode_request(asked(wire)).dropped == ("user",)


@WIRE
def test_an_answer_without_usage_shows_the_estimate(wire: str) -> None:
    answer = {name: value for name, value in WIRES[wire].items() if name not in ("meta", "usageMetadata")}
    if wire == "gemini_vertex":
        answer = {"predictions": [{"embeddings": {"values": each}} for each in VECTORS]}
    body, reading = answered(wire, answer)
    assert reading.usage is None
    assert body["usage"]["prompt_tokens"] == 2


@WIRE
def test_openai_s_tokens_are_refused(wire: str) -> None:
    for given_input in ([1, 2], [[1, 2], [3]]):
        with pytest.raises(UnsupportedParameter) as caught:
            translator(wire).encode_request(asked(wire, input=given_input))
        assert caught.value.param == "input"


@pytest.mark.parametrize(("wire", "most"), [("cohere", 96), ("gemini", 100), ("gemini_vertex", 250)])
def test_more_texts_than_an_api_takes_are_refused_with_the_batch_to_send(wire: str, most: int) -> None:
    translator(wire).encode_request(asked(wire, input=["a"] * most))
    with pytest.raises(UnsupportedParameter, match=f"at most {most} texts") as caught:
        translator(wire).encode_request(asked(wire, input=["a"] * (most + 1)))
    assert (caught.value.param, f"batches of {most} " in caught.value.fix) == ("input", True)


@WIRE
@pytest.mark.parametrize("change", [{"input": []}, {"input": [None]}, {"dimensions": 0}, {"encoding_format": "int8"}])
def test_what_is_of_the_wrong_kind(wire: str, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        translator(wire).encode_request(asked(wire, **change))
    assert caught.value.param == next(iter(change))


@WIRE
@pytest.mark.parametrize("answer", [{}, {"embeddings": []}, {"embeddings": {"float": [[1.0]]}}, {"predictions": [7]}])
def test_fewer_vectors_than_texts_are_no_answer(wire: str, answer: Any) -> None:
    with pytest.raises(ProviderFailure):
        answered(wire, answer)


NAMES = st.sampled_from(["embeddings", "float", "values", "statistics", "input", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["embeddings", "float", "values", "statistics", "input", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@WIRE
@given(junk=JSON, member=st.sampled_from(["embeddings", "predictions", "meta", "usageMetadata"]))
@settings(max_examples=40)
def test_whatever_a_provider_answers_is_vectors_or_a_failure(wire: str, junk: Any, member: str) -> None:
    try:
        answered(wire, {**WIRES[wire], member: junk}, encoding_format="base64")
    except ProviderFailure:
        return


@WIRE
@given(values=st.dictionaries(st.sampled_from(["input", "dimensions", "encoding_format", "x"]), JSON))
@settings(max_examples=40)
def test_whatever_a_client_asks_is_sent_or_refused(wire: str, values: dict[str, Any]) -> None:
    with suppress(InvalidParameter, UnsupportedParameter):
        translator(wire).encode_request(asked(wire, **values))


@pytest.mark.parametrize(
    ("surface", "path"),
    [
        (Surface.EMBEDDINGS, "embeddings"),
        (Surface.IMAGES, "images/generations"),
        (Surface.SPEECH, "audio/speech"),
    ],
)
def test_azure_has_openai_s_at_the_deployment(surface: Surface, path: str) -> None:
    found = translator_of(surface, Dialect.AZURE)
    assert found
    made = call({"model": "ours", "input": "a", "prompt": "a"})
    at = replace(
        made,
        provider=CATALOG.provider("azure"),
        base_url="https://ours.openai.azure.com",
        fields={"deployment": "vectors", "api_version": "2024-10-21"},
    )
    encoded = found.encode_request(at)
    assert encoded.url == (f"https://ours.openai.azure.com/openai/deployments/vectors/{path}?api-version=2024-10-21")
    assert json.loads(encoded.body)["model"] == "vectors"
    plain = found.encode_request(replace(at, fields={"deployment": "vectors"}))
    assert plain.url == f"https://ours.openai.azure.com/openai/v1/{path}"


def at_bedrock(model_id: str, **values: Any) -> Call:
    made = call({"model": "m", "input": "red", "dimensions": 256, "user": "ada"} | values)
    return replace(made, provider=CATALOG.provider("bedrock"), model_id=model_id, base_url="https://bedrock.example")


def test_titan_at_bedrock_takes_one_text() -> None:
    request = at_bedrock("amazon.titan-embed-text-v2:0", input_type="search_query")
    encoded = translator("bedrock").encode_request(request)
    assert encoded.url == "https://bedrock.example/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert json.loads(encoded.body) == {"inputText": "red", "dimensions": 256}
    assert encoded.dropped == ("user", "input_type")
    whole = translator("bedrock").decode_whole(request, json.dumps(TITAN).encode(), annotate)
    assert json.loads(whole.body)["data"][0]["embedding"] == VECTORS[0]
    assert whole.reading.usage == Usage(input=2)
    with pytest.raises(UnsupportedParameter) as caught:
        translator("bedrock").encode_request(at_bedrock("amazon.titan-embed-text-v2:0", input=["red", "fox"]))
    assert caught.value.param == "input"


@pytest.mark.parametrize("embeddings", [VECTORS, {"float": VECTORS}], ids=["v3", "by type"])
def test_cohere_at_bedrock_tells_no_usage(embeddings: Any) -> None:
    request = at_bedrock("us.cohere.embed-v4:0", input=["red", "fox"])
    assert sent(request, "bedrock")[1] == {
        "texts": ["red", "fox"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    answer = json.dumps({"embeddings": embeddings, "id": "1", "texts": ["red", "fox"]}).encode()
    whole = translator("bedrock").decode_whole(request, answer, annotate)
    assert [each["embedding"] for each in json.loads(whole.body)["data"]] == VECTORS
    assert whole.reading.usage is None


def test_other_models_that_embed_at_bedrock_are_refused() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translator("bedrock").encode_request(at_bedrock("twelvelabs.marengo-embed-2-7-v1:0"))
    assert caught.value.param == "model"
