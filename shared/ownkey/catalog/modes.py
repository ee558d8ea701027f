"""What a model does: which endpoints reach it, and what of it must have a price for the platform to sell it."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.catalog.models import Model
from ownkey.domain.surfaces import Surface

_CONVERSATION = frozenset({Surface.CHAT, Surface.MESSAGES, Surface.COUNT_TOKENS, Surface.RESPONSES})
_SURFACES: Mapping[str, frozenset[Surface]] = {
    "chat": _CONVERSATION,
    "responses": _CONVERSATION,
    "completion": frozenset(),
    "embedding": frozenset({Surface.EMBEDDINGS}),
    "rerank": frozenset({Surface.RERANK}),
    "moderation": frozenset({Surface.MODERATIONS}),
    "image_generation": frozenset({Surface.IMAGES}),
    "audio_transcription": frozenset({Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS}),
    "audio_speech": frozenset({Surface.SPEECH}),
}

_PRICED: Mapping[Surface, tuple[tuple[str, ...], ...]] = {
    Surface.EMBEDDINGS: (("input",),),
    Surface.RERANK: (("search_unit",), ("request",), ("input",)),
    Surface.MODERATIONS: (("input",),),
    Surface.IMAGES: (("image_output",), ("input", "image_output"), ("input", "output")),
    Surface.SPEECH: (("character_input",), ("input", "audio_output"), ("input", "output")),
    Surface.TRANSCRIPTIONS: (("audio_second_input",), ("input", "output")),
    Surface.TRANSLATIONS: (("audio_second_input",), ("input", "output")),
}
"""The fees or rates, any of the tuples whole, that an endpoint is billed by."""
_OF_CONVERSATIONS = (("input", "output"),)


def does(model: Model | None, surface: Surface) -> bool:
    """Whether a model may be asked at an endpoint; what the catalog does not know may be asked at any."""
    return model is None or surface in _SURFACES.get(model.mode, _CONVERSATION)


def is_sold(model: Model | None, surface: Surface) -> bool:
    """Whether all that an endpoint is billed by has a price."""
    if model is None or model.prices is None:
        return False
    base, fees = model.prices.base, model.prices.fees
    return any(
        all(name in fees or getattr(base, name, None) is not None for name in names)
        for names in _PRICED.get(surface, _OF_CONVERSATIONS)
    )
