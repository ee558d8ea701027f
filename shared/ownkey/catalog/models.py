"""One model as one provider serves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ownkey.catalog.prices import PriceList, decode_prices


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model at a provider. Unknown is None or absent, never a guess."""

    provider_id: str
    id: str
    """As the caller named it, and as the provider is to be asked for it."""
    listed_as: str
    """The catalog's id whose facts these are: another than `id` for a snapshot or fine-tune it has not seen."""
    mode: str
    """What it does: `chat`, `responses` (only through the Responses API), `completion`, `embedding`, `rerank`,
    `moderation`, `image_generation`, `audio_transcription`, `audio_speech`."""
    context_length: int | None
    """The most tokens a prompt may have."""
    max_output: int | None
    """The most tokens an answer may have."""
    capabilities: frozenset[str]
    """Known to be supported, of: `tools`, `parallel_tools`, `schema`, `vision`, `pdf`, `audio_input`, `audio_output`,
    `reasoning`, `prompt_cache`, `web_search`, `streaming`. Absence is not proof that it is not."""
    input_modalities: tuple[str, ...]
    """Of `text`, `image`, `audio`, `video`, `file`."""
    output_modalities: tuple[str, ...]
    """Of `text`, `image`, `audio`, `video`, `embedding`."""
    prices: PriceList | None
    """None: no known price. The model can be called; its cost cannot be told."""
    retires_on: date | None = None
    """The day the provider announced to stop serving it."""

    def retired(self, today: date) -> bool:
        """Whether that day has come."""
        return self.retires_on is not None and self.retires_on <= today


def decode_model(provider_id: str, model_id: str, listed_as: str, row: Mapping[str, Any], version: str) -> Model:
    """The model of a row of models.json; a key that is not there has the value most rows would have."""
    return Model(
        provider_id=provider_id,
        id=model_id,
        listed_as=listed_as,
        mode=row.get("mode", "chat"),
        context_length=row.get("context"),
        max_output=row.get("max_output"),
        capabilities=frozenset(row.get("can", "").split()),
        input_modalities=tuple(row.get("in", "text").split()),
        output_modalities=tuple(row.get("out", "text").split()),
        prices=decode_prices(row, version),
        retires_on=date.fromisoformat(row["retires"]) if "retires" in row else None,
    )
