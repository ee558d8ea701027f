"""What requests that are no conversation come to before they are sent, and what their units cost, by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ownkey.catalog import Model, PriceList, Rates, Step, is_sold
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.ledger.pricing import Unpriced, cost_of, price
from ownkey.providers import Document, Form
from ownkey.router.sizes import at_most, estimated
from ownkey.router.tariff import Tariff
from tests.support.media import form, form_type, recording

AT = datetime(2026, 11, 21, tzinfo=UTC)


def priced(mode: str, fees: dict[str, str] | None = None, **rates: str) -> Model:
    prices = PriceList(
        "v1",
        (Step(0, Rates(**{name: Decimal(rate) for name, rate in rates.items()})),),
        fees={name: Decimal(fee) for name, fee in (fees or {}).items()},
    )
    return Model("openai", "m", "m", mode, None, None, frozenset(), (), (), prices)


def asked(**values: Any) -> Document:
    return Document.parse(json.dumps({"model": "m", **values}).encode())


# ── Units and their fees


@pytest.mark.parametrize(
    ("usage", "fees", "nanousd"),
    [
        (Usage(characters=1_000), {"character_input": "0.000015"}, 15_000_000),
        (Usage(images=3), {"image_output": "0.04"}, 120_000_000),
        (Usage(audio_input_ms=61_500), {"audio_second_input": "0.0001"}, 6_150_000),
        (Usage(audio_input_ms=1), {"audio_second_input": "0.0001"}, 100),
        (Usage(search_units=2), {"search_unit": "0.002"}, 4_000_000),
        (Usage(search_units=1), {"search_unit": "0.002", "request": "0.001"}, 3_000_000),
        (Usage(web_searches=2), {"web_search_medium": "0.01"}, 20_000_000),
    ],
)
def test_a_unit_has_its_fee(usage: Usage, fees: dict[str, str], nanousd: int) -> None:
    prices = priced("chat", fees).prices
    assert prices is not None
    assert price(usage, prices).total_nanousd == nanousd


def test_what_was_made_is_output_and_all_other_units_are_input() -> None:
    prices = priced("chat", {"image_output": "0.04", "character_input": "0.01"}).prices
    assert prices is not None
    cost = price(Usage(images=1, characters=1), prices)
    assert (cost.input_nanousd, cost.output_nanousd) == (10_000_000, 40_000_000)


def test_a_unit_without_a_fee_has_no_price() -> None:
    prices = priced("chat", {"image_output": "0.04"}).prices
    assert prices is not None
    with pytest.raises(Unpriced, match="characters"):
        price(Usage(images=1, characters=1), prices)
    assert cost_of(Usage(images=1, characters=1), prices, CredentialSource.BYOK, at=AT) is None
    on_platform = cost_of(Usage(images=1, characters=1, output=7), prices, CredentialSource.PLATFORM, at=AT)
    assert on_platform
    assert on_platform.total_nanousd == 40_000_000


@pytest.mark.parametrize(
    ("model", "surface", "sold"),
    [
        (priced("embedding", input="0.02"), Surface.EMBEDDINGS, True),
        (priced("embedding", output="0.02"), Surface.EMBEDDINGS, False),
        (priced("audio_speech", {"character_input": "1"}), Surface.SPEECH, True),
        (priced("audio_speech", input="1"), Surface.SPEECH, False),
        (priced("audio_transcription", {"audio_second_input": "1"}), Surface.TRANSCRIPTIONS, True),
        (priced("audio_transcription", {"audio_second_output": "1"}), Surface.TRANSLATIONS, False),
        (priced("image_generation", input="5", image_output="30"), Surface.IMAGES, True),
        (priced("image_generation", {"image_input": "1"}), Surface.IMAGES, False),
        (priced("rerank", {"search_unit": "1"}), Surface.RERANK, True),
        (priced("rerank"), Surface.RERANK, False),
        (priced("moderation", input="0"), Surface.MODERATIONS, True),
        (priced("chat", input="1"), Surface.CHAT, False),
    ],
)
def test_the_platform_sells_what_all_of_has_a_price(model: Model, surface: Surface, sold: bool) -> None:
    assert is_sold(model, surface) is sold


# ── Sizes


SPOKEN_BY_CHARACTERS = priced("audio_speech", {"character_input": "0.000015"})
SPOKEN_BY_TOKENS = priced("audio_speech", input="0.6", audio_output="12")
DRAWN_BY_PIECES = priced("image_generation", {"image_output": "0.04"})
DRAWN_BY_TOKENS = priced("image_generation", input="5", image_output="30")


def test_characters_and_pictures_are_exact() -> None:
    text = "Grüße 👋"
    assert estimated(Surface.SPEECH, asked(input=text), SPOKEN_BY_CHARACTERS, 9) == Usage(characters=7)
    assert at_most(Surface.SPEECH, asked(input=text), SPOKEN_BY_CHARACTERS, 9) == Usage(characters=7)
    assert at_most(Surface.IMAGES, asked(prompt="a", n=3), DRAWN_BY_PIECES, 9) == Usage(images=3)
    assert at_most(Surface.IMAGES, asked(prompt="a", n=True), DRAWN_BY_PIECES, 9) == Usage(images=1)


def test_speech_by_tokens_takes_longer_the_slower_it_is() -> None:
    assert estimated(Surface.SPEECH, asked(input="x" * 100), SPOKEN_BY_TOKENS, 9) == Usage(input=9, audio_output=150)
    assert at_most(Surface.SPEECH, asked(input="x" * 100), SPOKEN_BY_TOKENS, 10) == Usage(input=13, audio_output=600)
    slow = asked(input="x" * 100, speed=0.5)
    assert at_most(Surface.SPEECH, slow, SPOKEN_BY_TOKENS, 10).audio_output == 1_200
    assert at_most(Surface.SPEECH, asked(input="x" * 100, speed=0), SPOKEN_BY_TOKENS, 10).audio_output == 2_400


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ({"size": "1024x1024"}, 8_192),
        ({"size": "1024x1024", "n": 2, "partial_images": 3}, 2 * (8_192 + 300)),
        ({"size": "3840x2160"}, 64_800),
        ({"size": "auto"}, 12_288),
        ({"size": "9999999999999x1"}, 12_288),
        ({"size": "1024x1024", "output_format": "gif"}, 9 * 8_192),
        ({"size": "1024x1024", "quality": "high"}, 8_192),
        ({"size": "1024x1024", "quality": "xhigh"}, 2 * 8_192),
        ({"size": "1024x1024", "quality": "max", "partial_images": 2}, 8 * 8_192 + 200),
        ({"size": "1024x1024", "quality": ["max"]}, 8_192),
    ],
)
def test_pictures_by_tokens_are_held_by_their_pixels(values: dict[str, Any], tokens: int) -> None:
    assert at_most(Surface.IMAGES, asked(prompt="a", **values), DRAWN_BY_TOKENS, 0).image_output == tokens


def test_a_high_quality_picture_of_today_is_within_the_hold() -> None:
    """OpenAI's own figures for gpt-image-1, high: 4,160 tokens for a square, 6,240 for the larger sizes."""
    for size, tokens in (("1024x1024", 4_160), ("1536x1024", 6_240)):
        assert at_most(Surface.IMAGES, asked(prompt="a", size=size), DRAWN_BY_TOKENS, 0).image_output >= tokens


def test_what_may_be_told_in_either_unit_is_held_for_both() -> None:
    either = priced("image_generation", {"image_output": "0.04"}, input="5", image_output="30")
    assert estimated(Surface.IMAGES, asked(prompt="a"), either, 2) == Usage(images=1)
    assert at_most(Surface.IMAGES, asked(prompt="a"), either, 2) == Usage(images=1, input=3, image_output=12_288)
    listened = priced(
        "audio_transcription", {"audio_second_input": "0.0001"}, input="2.5", audio_input="6", output="10"
    )
    most = at_most(Surface.TRANSCRIPTIONS, heard(b"x" * 7_500), listened, 0)
    assert most == Usage(audio_input_ms=10_000, audio_input=200, output=80)


def heard(file: bytes, **fields: str) -> Form:
    return Form.read(form({"model": "m"} | fields, file), form_type())


def test_a_wav_says_how_long_it_is_and_other_sound_is_taken_by_its_size() -> None:
    by_seconds = priced("audio_transcription", {"audio_second_input": "0.0001"})
    wav = recording(5)
    assert estimated(Surface.TRANSCRIPTIONS, heard(wav), by_seconds, 0).audio_input_ms == pytest.approx(5_000, abs=10)
    assert estimated(Surface.TRANSCRIPTIONS, heard(b"x" * 16_000), by_seconds, 0) == Usage(audio_input_ms=2_000)
    assert estimated(Surface.TRANSCRIPTIONS, heard(b"RIFF" + b"x" * 15_996), by_seconds, 0).audio_input_ms == 2_000
    # Whatever its head says, no file is held for less than the longest sound of its size.
    assert at_most(Surface.TRANSCRIPTIONS, heard(wav), by_seconds, 0).audio_input_ms >= len(wav) / 750 * 1000


def test_a_recording_by_tokens() -> None:
    by_tokens = priced("audio_transcription", input="2.5", audio_input="6", output="10")
    form_of = heard(b"x" * 75_000, prompt="red fox")
    assert estimated(Surface.TRANSCRIPTIONS, form_of, by_tokens, 0) == Usage(input=2, audio_input=94)
    assert at_most(Surface.TRANSCRIPTIONS, form_of, by_tokens, 0) == Usage(input=2, audio_input=2_000, output=800)


def test_a_ranking_counts_its_documents_a_hundred_to_the_unit() -> None:
    by_units = priced("rerank", {"search_unit": "0.002"})
    short = asked(query="red fox", documents=["a fox"] * 101)
    assert estimated(Surface.RERANK, short, by_units, 0) == Usage(search_units=2)
    long = asked(query="red fox", documents=["word " * 2_000] * 50)
    assert estimated(Surface.RERANK, long, by_units, 0).search_units > 1
    by_tokens = priced("rerank", input="0.05")
    assert estimated(Surface.RERANK, asked(query="red fox", documents=["a fox", {"t": "b"}]), by_tokens, 0).input == 7
    assert estimated(Surface.RERANK, asked(query="red", documents=[]), by_units, 0) == Usage(search_units=1)


def test_what_has_no_price_reserves_its_tokens_and_holds_nothing() -> None:
    tariff = Tariff(CredentialSource.BYOK, None, Decimal(5), AT)
    worst = tariff.worst(asked(input="hello"), None, 10, Surface.EMBEDDINGS)
    assert (worst.tokens, worst.cost_nanousd, worst.charge_nanousd) == (13, 0, 0)
    assert tariff.hold(asked(input="hello"), None, 10, Surface.EMBEDDINGS) == 0
