"""The catalog as a whole: lookups by id, by name, by model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ownkey.catalog.models import Model, decode_model
from ownkey.catalog.providers import Provider, UpstreamOverride
from ownkey.catalog.table import ProviderTable

MAX_AGE_DAYS = 60
"""Providers change prices and bring out models about monthly."""

_HERE = Path(__file__).parent
_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")
_FINE_TUNE = re.compile(r"^(ft:[^:]+):")


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as a request names it, taken apart."""

    provider_id: str | None
    """None: any provider that lists the model."""
    model_id: str
    """As the provider names it."""


class Catalog:
    """Providers and models. Immutable to its users; each is decoded when first asked for, and kept."""

    def __init__(self, providers: tuple[Provider, ...] | ProviderTable, models: Mapping[str, Any]) -> None:
        """`models` is the content of models.json."""
        self._providers = ProviderTable.of(providers) if isinstance(providers, tuple) else providers
        self.version: str = models["version"]
        self.as_of = date.fromisoformat(models["as_of"])
        """The day the prices were taken from their source."""
        self._rows: Mapping[str, Mapping[str, Any]] = models["models"]
        self._decoded: dict[tuple[str, str], Model] = {}

    @staticmethod
    def load(overrides: Mapping[str, UpstreamOverride | str | Mapping[str, str]] | None = None) -> Catalog:
        """The catalog of this package, with providers moved to where `overrides` (by provider id) say.

        An override is a base URL, an `UpstreamOverride`, or a mapping of its fields.

        Raises:
            ValueError: an override of a provider that is not in the catalog, or one that cannot be read.
        """
        moves = {provider_id: UpstreamOverride.of(value) for provider_id, value in (overrides or {}).items()}
        providers = _package_providers()
        if unknown := moves.keys() - set(providers.ids):
            raise ValueError(f"no such provider in the catalog: {', '.join(sorted(unknown))}")
        return Catalog(providers.moved(moves), _read("models.json"))

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All of them, in order of preference. What needs but one asks for that one: this decodes every row."""
        return tuple(map(self._providers.get, self._providers.ids))

    def is_stale(self, today: date) -> bool:
        """Whether the prices are older than `MAX_AGE_DAYS`: time to rebuild."""
        return today - self.as_of > timedelta(days=MAX_AGE_DAYS)

    def provider(self, provider_id: str) -> Provider:
        """The provider of this id.

        Raises:
            KeyError: there is none.
        """
        return self._providers.get(provider_id)

    def knows_provider(self, provider_id: str) -> bool:
        """Whether there is a provider of this id."""
        return provider_id in self._providers

    def find_provider(self, name: str) -> Provider | None:
        """The provider of this id, display name or alias, in any case, if there is one."""
        provider_id = self._providers.id_of(name)
        return None if provider_id is None else self._providers.get(provider_id)

    def model(self, provider_id: str, model_id: str) -> Model | None:
        """What is known of a provider's model.

        A dated snapshot (`-2026-01-31`, `-20260131`, `@20260131`) or a fine-tune (`ft:base:…`) that is not listed has
        the facts of the model it was made from; `listed_as` then says which. None: nothing is known.
        """
        known = self._decoded.get((provider_id, model_id))
        if known is None and (listed_as := self._listed_as(provider_id, model_id)):
            rows = self._rows[provider_id]
            row = rows[listed_as]
            row = rows[row] if isinstance(row, str) else row
            known = decode_model(provider_id, model_id, listed_as, row, self.version)
            if listed_as == model_id:
                self._decoded[provider_id, model_id] = known
        return known

    def models(self, provider_id: str) -> tuple[Model, ...]:
        """Every model the catalog lists for the provider, by id; none for a provider whose models are not known."""
        listed = (self.model(provider_id, model_id) for model_id in self._rows.get(provider_id, ()))
        return tuple(model for model in listed if model)

    def providers_of(self, model_id: str) -> tuple[Provider, ...]:
        """The providers that list a bare model id, in order of preference.

        The order is that of providers.toml: makers of models, then hosts, then gateways. Providers that list the very
        id keep out those that only list what it was made from.
        """
        listing = {each: self._listed_as(each, model_id) for each in self._providers.ids}
        exact = [each for each, listed_as in listing.items() if listed_as == model_id]
        return tuple(map(self._providers.get, exact or [each for each, listed_as in listing.items() if listed_as]))

    def resolve(self, model: str) -> ModelRef:
        """Takes `vendor/model` apart where `vendor` is a provider's id or alias; else the whole is a bare id.

        Providers name models with slashes too (`openai/gpt-oss-120b` at several hosts): where the vendor does not list
        the rest, but others list the whole, the whole is meant.
        """
        vendor, slash, rest = model.partition("/")
        provider = self.find_provider(vendor) if slash and rest else None
        if provider is None:
            return ModelRef(None, model)
        if self._listed_as(provider.id, rest) is None and self.providers_of(model):
            return ModelRef(None, model)
        return ModelRef(provider.id, rest)

    def _listed_as(self, provider_id: str, model_id: str) -> str | None:
        """The id under which the provider's rows have this model."""
        rows = self._rows.get(provider_id, {})
        if model_id in rows:
            return model_id
        origin = _FINE_TUNE.match(model_id)
        base = origin[1] if origin else _DATED.sub("", model_id)
        return base if base in rows else None


@cache
def _package_providers() -> ProviderTable:
    return ProviderTable.of_rows(_read("providers.json")["providers"])


@cache
def _read(name: str) -> Any:
    return json.loads((_HERE / name).read_bytes())
