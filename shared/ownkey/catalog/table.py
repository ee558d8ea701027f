"""The rows of providers.json as providers, each decoded when it is first asked for: a cold start needs but a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ownkey.catalog.providers import Provider, UpstreamOverride, decode_provider


class ProviderTable:
    """Providers by id and by name, in order of preference. Immutable to its users."""

    __slots__ = ("_ids_by_name", "_known", "_make", "ids")

    def __init__(self, names: Mapping[str, Iterable[str]], make: Callable[[str], Provider]) -> None:
        """Of ids in their order, each with the names it goes by, and what makes the provider of one."""
        self.ids = tuple(names)
        self._ids_by_name = {name.casefold(): each for each, its_names in names.items() for name in its_names}
        self._make = make
        self._known: dict[str, Provider] = {}

    @staticmethod
    def of(providers: Iterable[Provider]) -> ProviderTable:
        """Of providers that are decoded already."""
        by_id = {provider.id: provider for provider in providers}
        return ProviderTable({each: provider.names for each, provider in by_id.items()}, by_id.__getitem__)

    @staticmethod
    def of_rows(rows: Iterable[Mapping[str, Any]]) -> ProviderTable:
        """Of the rows of providers.json."""
        by_id = {row["id"]: row for row in rows}
        names = {each: (each, row["display_name"], *row.get("aliases", ())) for each, row in by_id.items()}
        return ProviderTable(names, lambda provider_id: decode_provider(by_id[provider_id]))

    def moved(self, moves: Mapping[str, UpstreamOverride]) -> ProviderTable:
        """The same, with those of these ids found elsewhere."""
        if not moves:
            return self

        def make(provider_id: str) -> Provider:
            provider = self.get(provider_id)
            return provider.at(moves[provider_id]) if provider_id in moves else provider

        names: dict[str, list[str]] = {each: [] for each in self.ids}
        for name, each in self._ids_by_name.items():
            names[each].append(name)
        return ProviderTable(names, make)

    def __contains__(self, provider_id: str) -> bool:
        return provider_id in self._known or provider_id in self.ids

    def get(self, provider_id: str) -> Provider:
        """The provider of this id.

        Raises:
            KeyError: there is none.
        """
        known = self._known.get(provider_id)
        if known is None:
            known = self._known[provider_id] = self._make(provider_id)
        return known

    def id_of(self, name: str) -> str | None:
        """The id of the provider of this id, display name or alias, in any case."""
        return self._ids_by_name.get(name.strip().casefold())
