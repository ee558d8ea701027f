"""Vectors, pictures, sound, verdicts and ranks on the wire: each fixture parsed by the vendor's own types, read by our
translators, and priced by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import cohere
import pytest
from openai.types import (
    CreateEmbeddingResponse,
    EmbeddingCreateParams,
    ImageGenStreamEvent,
    ImagesResponse,
    ModerationCreateParams,
    ModerationCreateResponse,
)
from openai.types.audio import (
    SpeechCreateParams,
    Transcription,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    Translation,
)
from openai.types.image_generate_params import ImageGenerateParamsStreaming
from pydantic import TypeAdapter

from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.ledger.pricing import price
from ownkey.providers import Call, Form, translator_for
from tests.contract.test_pricing_golden import worked_out
from tests.support.media import EMBEDDINGS, IMAGES, RERANK, form, form_type
from tests.support.providers import CATALOG, annotate, call, events, fixture, passed

REQUESTS = {
    "embeddings": EmbeddingCreateParams,
    "images": ImageGenerateParamsStreaming,
    "speech": SpeechCreateParams,
    "moderations": ModerationCreateParams,
}
ANSWERS: dict[str, Any] = {
    "embeddings.json": CreateEmbeddingResponse,
    "images.json": ImagesResponse,
    "transcription_tokens.json": Transcription,
    "transcription_seconds.json": TranscriptionVerbose,
    "translation.json": Translation,
    "moderation.json": ModerationCreateResponse,
    "rerank_tokens.json": cohere.V2RerankResponse,
}
STREAMS: dict[str, Any] = {"images.sse": ImageGenStreamEvent, "transcription.sse": TranscriptionStreamEvent}
BODIES = {Surface.EMBEDDINGS: EMBEDDINGS, Surface.IMAGES: IMAGES, Surface.RERANK: RERANK}
CASES = [pytest.param(case, id=case["name"]) for case in json.loads(fixture("media", "costs.json"))]


def asked(surface: Surface, provider: str, model_id: str, **values: Any) -> Call:
    if surface is Surface.TRANSCRIPTIONS:
        body = Form.read(form({"model": model_id} | values, b"sound"), form_type())
        made = replace(call({"model": model_id}, provider=provider), body=body)
    else:
        made = call(BODIES[surface] | {"model": model_id} | values, provider=provider)
    return replace(made, model=CATALOG.model(provider, model_id))


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_requests_are_what_the_sdk_sends(name: str) -> None:
    values = json.loads(fixture("media", "requests.json"))[name]
    assert values.keys() <= REQUESTS[name].__annotations__.keys() | {"stream", *_inherited(REQUESTS[name])}


def _inherited(params: Any) -> set[str]:
    return {name for base in getattr(params, "__orig_bases__", ()) for name in getattr(base, "__annotations__", ())}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answers_are_read_by_the_sdk(name: str) -> None:
    values = json.loads(fixture("media", name))
    parsed = ANSWERS[name].model_validate(values)
    assert not parsed.model_extra or name.startswith("rerank")


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_events_are_read_by_the_sdk(name: str) -> None:
    adapter = TypeAdapter[Any](STREAMS[name])
    found = [adapter.validate_python(event) for event in events(fixture("media", name).decode().encode())]
    assert [each.type for each in found] == [event["type"] for event in events(fixture("media", name))]
    assert all(not each.model_extra for each in found)


@pytest.mark.parametrize(
    ("surface", "model_id", "stream", "whole", "values"),
    [
        (Surface.IMAGES, "gpt-image-2", "images.sse", "images.json", {"stream": True}),
        (
            Surface.TRANSCRIPTIONS,
            "gpt-4o-transcribe",
            "transcription.sse",
            "transcription_tokens.json",
            {"stream": "true"},
        ),
    ],
)
def test_a_stream_and_its_whole_twin_use_the_same(
    surface: Surface, model_id: str, stream: str, whole: str, values: dict[str, Any]
) -> None:
    request = asked(surface, "openai", model_id, **values)
    translator = translator_for(surface, request.provider, model_id, request.model)
    assert translator
    reading = translator.decode_whole(request, fixture("media", whole), annotate).reading
    streamed = passed(translator, request, [fixture("media", stream)]).decoder
    assert streamed.finished
    assert streamed.reading.usage == reading.usage != Usage()


@pytest.mark.parametrize("case", CASES)
def test_the_cost_is_the_one_worked_out(case: dict[str, Any]) -> None:
    expression, _, result = case["working"].rpartition("=")
    assert worked_out(expression) == Fraction(result.strip())
    assert case["cost_nanousd"] == Fraction(result.strip()) * 1_000
    surface = Surface(case["surface"])
    request = asked(surface, case["provider"], case["model"])
    assert request.model
    assert request.model.prices
    rates, fees = request.model.prices.rates(), request.model.prices.fees
    assert {name: getattr(rates, name) for name in case.get("prices", {})} == {
        name: Decimal(published) for name, published in case.get("prices", {}).items()
    }
    assert {name: fees[name] for name in case.get("fees", {})} == {
        name: Decimal(published) for name, published in case.get("fees", {}).items()
    }
    translator = translator_for(surface, request.provider, case["model"], request.model)
    assert translator
    usage = translator.decode_whole(request, fixture("media", case["answer"]), annotate).reading.usage
    assert usage
    assert price(usage, request.model.prices).total_nanousd == case["cost_nanousd"]
