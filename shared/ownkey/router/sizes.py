"""What a request that is no conversation comes to, before it is sent: about, and at most.

Characters and pictures are exact. A recording's length is known only of uncompressed sound; of compressed sound its
size bounds it, but silence may be packed smaller than any bound: what is beyond the hold is the operator's risk.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from math import ceil
from typing import Any

from ownkey.catalog import Model
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Document, Form, tokens_of
from ownkey.providers.media.billed import CHARACTER, IMAGE, SEARCH, SECOND, billable, has_fee

SIZED = frozenset(
    {
        Surface.EMBEDDINGS,
        Surface.RERANK,
        Surface.IMAGES,
        Surface.SPEECH,
        Surface.TRANSCRIPTIONS,
        Surface.TRANSLATIONS,
        Surface.MODERATIONS,
    }
)
"""The surfaces that are sized here."""

MARGIN = 1.3
"""On estimated tokens, for a hold."""
_USUAL_BYTES_A_S, _LEAST_BYTES_A_S = 8_000, 750
"""Of compressed sound: 64 kbit/s is usual, 6 kbit/s the least that speech is coded with (RFC 6716, Opus)."""
_AUDIO_TOKENS_A_S = {False: 10, True: 20}
_TEXT_TOKENS_A_S = {False: 4, True: 8}
_SPOKEN_TOKENS_A_CHARACTER = {False: 1.5, True: 6.0}
"""At about 20 tokens a second of sound and 14 characters a second of speech; at most, three a second."""
_PIXELS_A_TOKEN = {False: 252, True: 128}
"""High quality: 4,160 tokens for 1024 × 1024."""
_QUALITIES: Mapping[str, int] = {"xhigh": 2, "max": 8}
"""Of what is held, which is twice high's. Nothing is published above high; each step up to there takes four times the
tokens of the one before (272, 1,056, 4,160)."""
_USUAL_PIXELS = 1536 * 1024
_PARTIAL_IMAGE_TOKENS = 100
_MAX_IMAGES, _MAX_FRAMES, _USUAL_FRAMES = 128, 64, 9
_DOCUMENTS_A_UNIT, _TOKENS_A_DOCUMENT, _LEAST_CHUNK = 100, 500, 50


def estimated(surface: Surface, body: Document, model: Model | None, input_tokens: int) -> Usage:
    """What a request is likely to use, in the units that the model is billed by."""
    return _size(surface, body, model, input_tokens, most=False)


def at_most(surface: Surface, body: Document, model: Model | None, input_tokens: int) -> Usage:
    """The most it may use."""
    return _size(surface, body, model, ceil(input_tokens * MARGIN), most=True)


def _size(surface: Surface, body: Document, model: Model | None, tokens: int, *, most: bool) -> Usage:
    values = body.values
    if surface is Surface.IMAGES:
        images = _count(values.get("n"), 1, _MAX_IMAGES)
        drawn = Usage(input=tokens, image_output=images * _image_tokens(values, most=most))
        if has_fee(model, IMAGE):
            return replace(drawn, images=images) if most and _told_in_tokens(model, drawn) else Usage(images=images)
        return drawn
    if surface is Surface.SPEECH:
        characters = len(values["input"]) if isinstance(values.get("input"), str) else 0
        if has_fee(model, CHARACTER):
            return Usage(characters=characters)
        return Usage(input=tokens, audio_output=ceil(characters * _SPOKEN_TOKENS_A_CHARACTER[most] / _speed(values)))
    if surface in (Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS):
        return _of_sound(body, model, most=most)
    if surface is Surface.RERANK:
        return _of_rerank(values, model, most=most)
    return Usage(input=tokens)


def _of_sound(body: Document, model: Model | None, *, most: bool) -> Usage:
    files = body.files if isinstance(body, Form) else []
    seconds = sum(_seconds(part.content, most=most) for part in files)
    length = ceil(seconds * 1000)
    output = ceil(seconds * _TEXT_TOKENS_A_S[most])
    if model is not None and model.max_output:
        output = min(output, model.max_output)
    prompt = body.values.get("prompt")
    text = tokens_of(prompt) if isinstance(prompt, str) else 0
    heard = Usage(input=text, audio_input=ceil(seconds * _AUDIO_TOKENS_A_S[most]), output=output if most else 0)
    if has_fee(model, SECOND):
        both = most and _told_in_tokens(model, heard)
        return replace(heard, audio_input_ms=length) if both else Usage(audio_input_ms=length)
    return heard


def _told_in_tokens(model: Model | None, usage: Usage) -> bool:
    """Whether a model that has a fee for the unit may be billed by tokens as well, should its answer tell them."""
    return model is not None and model.prices is not None and billable(model, usage) is not None


def _seconds(sound: bytes, *, most: bool) -> float:
    if not most and sound.startswith(b"RIFF"):
        try:
            with wave.open(BytesIO(sound)) as file:
                a_second: int = file.getframerate() * file.getnchannels() * file.getsampwidth()
                return len(sound) / max(a_second, _LEAST_BYTES_A_S)
        except (wave.Error, EOFError):
            return len(sound) / _USUAL_BYTES_A_S
    return len(sound) / (_LEAST_BYTES_A_S if most else _USUAL_BYTES_A_S)


def _of_rerank(values: Mapping[str, Any], model: Model | None, *, most: bool) -> Usage:
    """Cohere cuts a document that is longer than 500 tokens with the query into several; tokens are counted with the
    query before each document.
    """
    margin = MARGIN if most else 1.0
    query = ceil(tokens_of(_text_of(values.get("query"))) * margin)
    given = values.get("documents")
    documents = [ceil(tokens_of(_text_of(each)) * margin) for each in given] if isinstance(given, list) else []
    if not has_fee(model, SEARCH):
        return Usage(input=sum(documents) + query * len(documents))
    room = max(_TOKENS_A_DOCUMENT - query, _LEAST_CHUNK)
    chunks = sum(max(1, ceil(each / room)) for each in documents)
    return Usage(search_units=max(1, ceil(chunks / _DOCUMENTS_A_UNIT)))


def _text_of(value: Any) -> str:
    """A document's text: as it is, or all that its members say."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return " ".join(_text_of(each) for each in value.values())
    return str(value)


def _image_tokens(values: Mapping[str, Any], *, most: bool) -> int:
    width, by, height = str(values.get("size")).partition("x")
    sized = by and width.isdecimal() and height.isdecimal() and len(width + height) < 12
    pixels = int(width) * int(height) if sized else _USUAL_PIXELS
    frames = (
        _count(values.get("frame_count"), _USUAL_FRAMES, _MAX_FRAMES) if values.get("output_format") == "gif" else 1
    )
    partial = _count(values.get("partial_images"), 0, _MAX_IMAGES) * _PARTIAL_IMAGE_TOKENS
    finer = _QUALITIES.get(str(values.get("quality")), 1) if most else 1
    return ceil(pixels / _PIXELS_A_TOKEN[most]) * finer * frames + partial


def _speed(values: Mapping[str, Any]) -> float:
    """Below 1 the sound is longer; faster, it may still be billed as if it were not."""
    speed = values.get("speed")
    return min(1.0, max(0.25, speed)) if isinstance(speed, int | float) and not isinstance(speed, bool) else 1.0


def _count(value: Any, usual: int, most: int) -> int:
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else usual
