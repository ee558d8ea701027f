"""The catalog as a whole: lookups by id, by name, by model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ownkey.catalog.listing import Listing, encoded
from ownkey.catalog.models import Model, decode_model
from ownkey.catalog.naming import Names, plain_name
from ownkey.catalog.providers import Provider, UpstreamOverride
from ownkey.catalog.table import ProviderTable

MAX_AGE_DAYS = 60
"""Providers change prices and bring out models about monthly."""

_MAX_REMEMBERED = 20_000
"""Clients make names up: what was found of that many is forgotten again."""
_HERE = Path(__file__).parent
_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")
_FINE_TUNE = re.compile(r"^(ft:[^:]+):")
_OF_A_LISTED_ONE = re.compile(r"^arn:aws[a-z-]*:bedrock:[^/]*:(?:foundation-model|inference-profile)/")
"""Before an id of AWS's own, in an ARN that means the same; an application's profile has a name that tells nothing."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as a request names it, taken apart."""

    provider_id: str | None
    """None: any provider that lists the model."""
    model_id: str
    """As the provider names it."""


class Catalog:
    """Providers and models. Immutable to its users; each is decoded when first asked for, and kept."""

    def __init__(self, providers: tuple[Provider, ...] | ProviderTable, models: Mapping[str, Any] | Listing) -> None:
        """`models` is the content of models.json."""
        self._providers = ProviderTable.of(providers) if isinstance(providers, tuple) else providers
        self._listing = models if isinstance(models, Listing) else Listing(encoded(models).encode())
        self.version = self._listing.version
        self.as_of = self._listing.as_of
        """The day the prices were taken from their source."""
        self._decoded: dict[tuple[str, str], Model | None] = {}
        self._listed_by: dict[str, tuple[str, ...]] = {}
        self._plain_ids: dict[str, dict[str, str]] = {}
        self._names: dict[str, Names] = {}

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
        return Catalog(providers.moved(moves), _package_listing())

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """Their ids, in order of preference."""
        return self._providers.ids

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All of them, in order of preference. What needs but one asks for that one: this decodes every row."""
        return tuple(map(self._providers.get, self._providers.ids))

    @property
    def stale_after(self) -> date:
        """The last day on which the prices are taken for current."""
        return self.as_of + timedelta(days=MAX_AGE_DAYS)

    def is_stale(self, today: date) -> bool:
        """Whether the prices are older than `MAX_AGE_DAYS`: time to rebuild."""
        return today > self.stale_after

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
        the facts of the model it was made from, and an ARN of a listed id that one's; `listed_as` then says which.
        None: nothing is known.
        """
        key = provider_id, model_id
        if key not in self._decoded:
            listed_as = self._listed_as(provider_id, model_id)
            row = None if listed_as is None else self._listing.row(provider_id, listed_as)
            return self._remembered(key, row, listed_as or model_id)
        return self._decoded[key]

    def models(self, provider_id: str) -> tuple[Model, ...]:
        """Every model the catalog lists for the provider, by id; none for a provider whose models are not known."""
        rows = self._listing.rows(provider_id)
        known = {model_id: self._decoded.get((provider_id, model_id)) for model_id in rows}
        listed = (known[each] or self._remembered((provider_id, each), row, each) for each, row in rows.items())
        return tuple(model for model in listed if model)

    def model_alike(self, provider_id: str, name: str) -> str | None:
        """The listed model that a name of people's own reads like (`gpt-5-4`, `gpt-35-turbo`), if there is one."""
        if provider_id not in self._plain_ids:
            self._plain_ids[provider_id] = {plain_name(each): each for each in self._listing.ids(provider_id)}
        return self._plain_ids[provider_id].get(plain_name(name))

    def lists(self, provider_id: str, model_id: str) -> bool:
        """Whether the provider lists the very id."""
        return self._listing.lists(provider_id, model_id)

    def id_at(self, provider_id: str, model: str, fields: Mapping[str, str]) -> str | None:
        """What the provider calls a model that its maker or people call `model`, for a credential with these public
        fields; None: it lists none that is surely the same.

        As its row's `naming` has it (`anthropic/claude-haiku-4.5` at Bedrock); where it has none, the id that differs
        in punctuation and case alone, with the maker before it or without.
        """
        naming = self._providers.get(provider_id).naming
        vendor, slash, name = model.rpartition("/")
        if naming is None:
            return self.model_alike(provider_id, model) or (self.model_alike(provider_id, name) if slash else None)
        if provider_id not in self._names:
            self._names[provider_id] = Names(naming, self._listing.ids(provider_id))
        return self._names[provider_id].id_of(vendor, name, fields)

    def providers_of(self, model_id: str) -> tuple[Provider, ...]:
        """The providers that list a bare model id and are served, in order of preference.

        The order is that of providers.toml: makers of models, then hosts, then gateways. Providers that list the very
        id keep out those that only list what it was made from.
        """
        found = self._listed_by.get(model_id)
        if found is None:
            listing = {each: self._listed_as(each, model_id) for each in self._providers.served}
            exact = tuple(each for each, listed_as in listing.items() if listed_as == model_id)
            found = exact or tuple(each for each, listed_as in listing.items() if listed_as)
            if len(self._listed_by) >= _MAX_REMEMBERED:
                self._listed_by.clear()
            self._listed_by[model_id] = found
        return tuple(map(self._providers.get, found))

    def resolve(self, model: str) -> ModelRef:
        """Takes `vendor/model` apart where `vendor` is a provider's id or alias; else the whole is a bare id.

        Names that differ from a listed one in their punctuation mean that one (`anthropic/claude-haiku-4.5`). Providers
        name models with slashes too (`openai/gpt-oss-120b` at several hosts): where the vendor does not list the rest,
        but others list the whole, the whole is meant.
        """
        vendor, slash, rest = model.partition("/")
        provider = self.find_provider(vendor) if slash and rest else None
        if provider is None:
            return ModelRef(None, model)
        if self._listed_as(provider.id, rest) is None:
            if alike := self.model_alike(provider.id, rest):
                return ModelRef(provider.id, alike)
            if self.providers_of(model):
                return ModelRef(None, model)
        return ModelRef(provider.id, rest)

    def _remembered(self, key: tuple[str, str], row: Mapping[str, Any] | None, listed_as: str) -> Model | None:
        """The model of a row, kept; None, kept too, where there is no row."""
        if len(self._decoded) >= _MAX_REMEMBERED:
            self._decoded.clear()
        model = None if row is None else decode_model(*key, listed_as, row, self.version)
        self._decoded[key] = model
        return model

    def _listed_as(self, provider_id: str, model_id: str) -> str | None:
        """The id under which the provider's rows have this model."""
        if self._listing.lists(provider_id, model_id):
            return model_id
        model_id = _OF_A_LISTED_ONE.sub("", model_id)
        if self._listing.lists(provider_id, model_id):
            return model_id
        origin = _FINE_TUNE.match(model_id)
        base = origin[1] if origin else _DATED.sub("", model_id)
        return base if base != model_id and self._listing.lists(provider_id, base) else None


@cache
def _package_providers() -> ProviderTable:
    return ProviderTable.of_text((_HERE / "providers.json").read_bytes())


@cache
def _package_listing() -> Listing:
    return Listing((_HERE / "models.json").read_bytes())
