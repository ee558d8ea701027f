"""Which units a model is billed by: a usage is in those alone, so that nothing is paid for twice."""

from __future__ import annotations

from ownkey.catalog import Model
from ownkey.domain.usage import COUNTED, TOKEN_BUCKETS, Usage

IMAGE = "image_output"
CHARACTER = "character_input"
SECOND = "audio_second_input"
SEARCH = "search_unit"

_FEES = {"images": IMAGE, "characters": CHARACTER, "audio_input_ms": SECOND, "search_units": SEARCH}


def has_fee(model: Model | None, fee: str) -> bool:
    """Whether the model has a price for this unit; one without any price is counted by it as well."""
    return model is None or model.prices is None or fee in model.prices.fees


def is_by(model: Model | None, fee: str, bucket: str) -> bool:
    """Whether it is this unit that is paid for, whatever tokens an answer tells: it has a fee, and the tokens of the
    bucket are free or have no rate.
    """
    if model is None or model.prices is None or fee not in model.prices.fees:
        return False
    return not getattr(model.prices.rates(), bucket)


def billable(model: Model | None, usage: Usage | None) -> Usage | None:
    """The usage, where the model's price list has a price for each of its buckets or knows no price at all.

    None: what the provider told is not what it bills by. What it bills by is then estimated, rather than free.
    """
    if usage is None or model is None or model.prices is None:
        return usage
    rates, fees = model.prices.rates(), model.prices.fees
    counted = all(not getattr(usage, bucket) or _FEES.get(bucket, bucket) in fees for bucket in COUNTED)
    tokens = all(not getattr(usage, bucket) or getattr(rates, bucket) is not None for bucket in TOKEN_BUCKETS)
    return usage if counted and tokens else None
