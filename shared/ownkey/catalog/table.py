"""The rows of providers.json as providers, each decoded when it is first asked for: a cold start needs but a few."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ownkey.catalog.providers import Provider, UpstreamOverride, decode_provider

_OPENS = ',"providers":['


class ProviderTable:
    """Providers by id and by name, in order of preference. Immutable to its users."""

    __slots__ = ("_ids_by_name", "_known", "_make", "ids", "served")

    def __init__(
        self, names: Mapping[str, Iterable[str]], served: Iterable[str], make: Callable[[str], Provider]
    ) -> None:
        """Of ids in their order, each with the names it goes by; of those that are served; of what makes a provider."""
        self.ids = tuple(names)
        self.served = tuple(served)
        """Of them, those that a request can be sent to."""
        self._ids_by_name = {name.casefold(): each for each, its_names in names.items() for name in its_names}
        self._make = make
        self._known: dict[str, Provider] = {}

    @staticmethod
    def of(providers: Iterable[Provider]) -> ProviderTable:
        """Of providers that are decoded already."""
        by_id = {provider.id: provider for provider in providers}
        served = [each for each, provider in by_id.items() if provider.surfaces]
        return ProviderTable({each: provider.names for each, provider in by_id.items()}, served, by_id.__getitem__)

    @staticmethod
    def of_text(text: bytes) -> ProviderTable:
        """Of the bytes of providers.json. Its first line has the names, each further one a row in the order of them."""
        head, *lines = text.splitlines()
        first = json.loads(head.removesuffix(_OPENS.encode()) + b"}")
        rows = dict(zip(first["names"], lines, strict=False))
        return ProviderTable(
            first["names"], first["served"], lambda each: decode_provider(json.loads(rows[each].rstrip(b",")))
        )

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
        return ProviderTable(names, self.served, make)

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


def encoded_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of providers.json: a line for each row."""
    listed = list(rows)
    head = {
        "names": {row["id"]: [row["id"], row["display_name"], *row.get("aliases", ())] for row in listed},
        "served": [row["id"] for row in listed if row["surfaces"]],
    }
    return f"{_compact(head)[:-1]}{_OPENS}\n" + ",\n".join(map(_compact, listed)) + "\n]}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
