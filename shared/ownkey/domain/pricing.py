"""A credential's own price list: what its provider bills its owner, where that is not the published price."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ownkey.domain.scopes import admits_model, model_pattern
from ownkey.domain.usage import TOKEN_BUCKETS

FEES = (
    "request",
    "web_search_low",
    "web_search_medium",
    "web_search_high",
    "image_output",
    "character_input",
    "audio_second_input",
    "search_unit",
)
"""What a list of one's own may name beside tokens, in USD each."""

_MAX_LISTS = 50
_MAX_PATTERN = 128
_HUNDRED = Decimal(100)
_AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")
"""Exact whatever it is multiplied with: six digits before the point, nine behind."""
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")


class PricingMode(StrEnum):
    """Where a credential's prices come from."""

    CATALOG = "catalog"
    """The published prices: what every credential has that says nothing."""
    FLAT = "flat"
    """A plan that is paid for otherwise: every request costs nothing."""
    DISCOUNT = "discount"
    """The published prices, less a percentage."""
    CUSTOM = "custom"
    """Rates of one's own for some models; the others have the published ones."""


@dataclass(frozen=True, slots=True)
class ModelRates:
    """What the models that a pattern fits cost."""

    models: str
    """A model's name, or the beginning of names with a `*` behind it (`domain.scopes`)."""
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    """USD per million tokens, by bucket. A bucket that is left out pays its kind's plain rate."""
    fees: Mapping[str, Decimal] = field(default_factory=dict)
    """USD each, of `FEES`. One that is left out is the published one."""


@dataclass(frozen=True, slots=True)
class CredentialPricing:
    """One credential's price list."""

    mode: PricingMode
    discount_percent: Decimal = Decimal(0)
    models: tuple[ModelRates, ...] = ()
    """Of `custom`: the first whose pattern fits decides."""

    def version(self, credential_id: str, catalog_version: str | None) -> str | None:
        """What stands in a record's `price_version`: the catalog's version, and behind a `+` whose list this is.

        Another list has another digest, and the same list again the same. A record whose version has a `+` is not to
        be priced again by a catalog.
        """
        if self.mode is PricingMode.CATALOG:
            return catalog_version
        text = json.dumps(self.to_body(), sort_keys=True)
        return f"{catalog_version or 'none'}+{credential_id}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def rates_for(self, model_id: str) -> ModelRates | None:
        """The rates of one's own for a model, by the provider's name for it."""
        return next((each for each in self.models if admits_model((each.models,), (model_id,))), None)

    def to_item(self) -> dict[str, Any]:
        """Plain values; decimals are text."""
        return {
            "mode": self.mode.value,
            "discount_percent": str(self.discount_percent),
            "models": [
                {"models": each.models, "rates": _texts(each.rates), "fees": _texts(each.fees)} for each in self.models
            ],
        }

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> CredentialPricing:
        """The inverse of `to_item`."""
        return CredentialPricing(
            PricingMode(item["mode"]),
            Decimal(item["discount_percent"]),
            tuple(
                ModelRates(each["models"], _decimals(each["rates"]), _decimals(each["fees"])) for each in item["models"]
            ),
        )

    def to_body(self) -> dict[str, Any]:
        """As `read_pricing` takes it."""
        body: dict[str, Any] = {"mode": self.mode.value}
        if self.mode is PricingMode.DISCOUNT:
            body["percent"] = f"{self.discount_percent:f}"
        if self.mode is PricingMode.CUSTOM:
            body["models"] = [
                {"model": each.models, "rates": _texts(each.rates), "fees": _texts(each.fees)} for each in self.models
            ]
        return body


def read_pricing(body: Mapping[str, Any]) -> CredentialPricing:
    """A price list as people write it:

    ```
    {"mode": "catalog"}
    {"mode": "flat"}
    {"mode": "discount", "percent": "12.5"}
    {"mode": "custom", "models": [{"model": "gpt-5*", "rates": {"input": "1.1", "output": "8"},
                                   "fees": {"web_search_medium": "0.008"}}]}
    ```

    Amounts are decimal strings in USD, never JSON numbers with a fraction; the first model that fits decides.

    Raises:
        ValueError: it is none; the message says which member, and what it may be.
    """
    try:
        mode = PricingMode(body.get("mode", ""))
    except ValueError:
        raise ValueError(f"`mode` is one of {', '.join(PricingMode)}") from None
    takes = {PricingMode.DISCOUNT: {"percent"}, PricingMode.CUSTOM: {"models"}}.get(mode, set())
    if strange := body.keys() - takes - {"mode"}:
        raise ValueError(f"`{min(strange)}` has no meaning with mode {mode}")
    percent = _percent(body.get("percent")) if mode is PricingMode.DISCOUNT else Decimal(0)
    models = _read_models(body.get("models")) if mode is PricingMode.CUSTOM else ()
    return CredentialPricing(mode, percent, models)


def _read_models(value: Any) -> tuple[ModelRates, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_LISTS:
        raise ValueError(f"`models` is a list of 1 to {_MAX_LISTS}")
    return tuple(_read_model(each) for each in value)


def _read_model(value: Any) -> ModelRates:
    if not isinstance(value, Mapping) or value.keys() - {"model", "rates", "fees"}:
        raise ValueError("each of `models` is an object of `model`, `rates` and `fees`")
    name = value.get("model")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_PATTERN:
        raise ValueError(f"`model` is text of 1 to {_MAX_PATTERN} characters")
    pattern = name if name == "*" else model_pattern(name)
    rates = _amounts(value.get("rates", {}), "rates", TOKEN_BUCKETS)
    if not {"input", "output"} <= rates.keys():
        raise ValueError("`rates` has at least `input` and `output`")
    return ModelRates(pattern, rates, _amounts(value.get("fees", {}), "fees", FEES))


def _amounts(value: Any, member: str, names: tuple[str, ...]) -> dict[str, Decimal]:
    if not isinstance(value, Mapping):
        raise ValueError(f"`{member}` is an object")
    if strange := value.keys() - set(names):
        raise ValueError(f"`{member}` has no `{min(strange)}`; it may have {', '.join(names)}")
    return {name: _amount(amount, f"{member}.{name}") for name, amount in value.items()}


def _amount(value: Any, member: str) -> Decimal:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise ValueError(f'`{member}` is a decimal string of USD such as "2.50", at most 9 digits behind the point')
    return Decimal(value)


def _percent(value: Any) -> Decimal:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value) or Decimal(value) > _HUNDRED:
        raise ValueError('`percent` is a decimal string from "0" to "100", with at most 4 digits behind the point')
    return Decimal(value)


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{amount:f}" for name, amount in amounts.items()}


def _decimals(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in texts.items()}
