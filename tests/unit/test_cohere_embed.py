"""OpenAI's embeddings, and rankings, from Cohere."""

from __future__ import annotations

import json
from typing import Any

import cohere
import pytest

from ownkey.domain.errors import InvalidParameter, ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Translator, translator_of
from tests.support.providers import annotate, call, fixture

ASKED = {"model": "embed-v4.0", "input": ["red fox", "blue whale"]}


def translator(surface: Surface = Surface.EMBEDDINGS) -> Translator:
    found = translator_of(surface, "cohere")
    assert found is not None
    return found


def encoded(**changes: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    made = translator().encode_request(call(ASKED | changes, provider="cohere"))
    assert made.url == "https://api.cohere.com/v2/embed"
    return json.loads(made.body), made.dropped


def test_texts_are_embedded_as_documents_unless_told() -> None:
    assert encoded() == (
        {
            "model": "embed-v4.0",
            "input_type": "search_document",
            "texts": ["red fox", "blue whale"],
            "embedding_types": ["float"],
        },
        (),
    )
    body, dropped = encoded(
        input="red", input_type="search_query", dimensions=256, encoding_format="base64", truncate="END", user="ada"
    )
    assert body == {
        "model": "embed-v4.0",
        "input_type": "search_query",
        "texts": ["red"],
        "embedding_types": ["base64"],
        "output_dimension": 256,
        "truncate": "END",
    }
    assert dropped == ("user",)


@pytest.mark.parametrize("given", [[1, 2], [[1], [2]], ["a"] * 97])
def test_what_cohere_does_not_embed_is_refused(given: list[Any]) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        encoded(input=given)
    assert refused.value.param == "input"


@pytest.mark.parametrize("given", [None, [], 3])
def test_what_is_no_input_is_said(given: Any) -> None:
    with pytest.raises(InvalidParameter):
        encoded(input=given)


@pytest.mark.parametrize("kind", ["float", "base64"])
def test_vectors_come_back_in_openais_form(kind: str) -> None:
    answer = fixture("cohere", f"embed_{kind}.json")
    cohere.EmbedByTypeResponse.model_validate_json(answer)
    whole = translator().decode_whole(call(ASKED | {"encoding_format": kind}, provider="cohere"), answer, annotate)
    vectors = json.loads(answer)["embeddings"][kind]
    assert json.loads(whole.body) == {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)],
        "model": "embed-v4.0",
        "usage": {"prompt_tokens": 4, "total_tokens": 4, "is_byok": True, "cost": 4, "tier": None},
    }
    assert whole.reading.usage == Usage(input=4)


def test_an_answer_without_vectors_is_none() -> None:
    for body in (b"{}", b'{"embeddings":{"int8":[[1]]}}', b"[]", b'{"message":"no"}'):
        with pytest.raises(ProviderFailure):
            translator().decode_whole(call(ASKED, provider="cohere"), body, annotate)
    with pytest.raises(ProviderInvalidResponse):
        translator().decode_stream(call(ASKED, provider="cohere"), annotate)


def test_a_ranking_passes_through_and_is_billed_by_its_search_units() -> None:
    body = {"model": "rerank-v4.0-pro", "query": "red", "documents": ["a red fox", "a whale"], "top_n": 1}
    made = translator(Surface.RERANK).encode_request(call(body, provider="cohere"))
    assert (made.url, json.loads(made.body)) == ("https://api.cohere.com/v2/rerank", body)
    answer = fixture("cohere", "rerank.json")
    cohere.V2RerankResponse.model_validate_json(answer)
    whole = translator(Surface.RERANK).decode_whole(call(body, provider="cohere"), answer, annotate)
    assert whole.reading.usage == Usage(search_units=1)
    assert json.loads(whole.body)["results"] == json.loads(answer)["results"]
