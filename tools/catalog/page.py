"""The catalog's providers as a page for people: docs/providers.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ownkey.catalog import Kind, Provider, ValidationStatus
from ownkey.catalog.catalog import Catalog
from ownkey.catalog.providers import decode_provider

_HEADINGS: Mapping[Kind, str] = {
    Kind.MAKER: "Makers of models",
    Kind.HOST: "Hosts",
    Kind.GATEWAY: "Gateways",
    Kind.CUSTOM: "Your own",
}
_HEAD = """# Providers

Built by `python -m tools.catalog build` from `shared/ownkey/catalog/providers.toml`: {count} providers.

A key is proven by one call before it is saved. **unverified** means that nobody could confirm that the call refuses a
bad key; the card of a credential then says so. Of `chat`, `messages` and `responses` any one stands for all three: what
a provider does not speak is translated. Models without a price can be called; their cost is unknown, not zero.
[The catalog](catalog.md) says where the facts are from.
"""
_NAMES = ("Provider", "id, and other names", "Speaks", "Serves", "Proof of a key", "Priced models", "A key")
_COLUMNS = f"| {' | '.join(_NAMES)} |\n|---|---|---|---|---|--:|---|"


def provider_page(table: Iterable[Mapping[str, Any]], catalog: Catalog) -> str:
    """The page's text."""
    providers = [decode_provider(row) for row in table]
    parts = [_HEAD.format(count=len(providers))]
    for kind, heading in _HEADINGS.items():
        lines = [_line(each, catalog) for each in providers if each.kind is kind]
        parts.append(f"## {heading}\n\n{_COLUMNS}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(provider: Provider, catalog: Catalog) -> str:
    cells = (
        provider.display_name,
        ", ".join((f"`{provider.id}`", *_further_names(provider))),
        provider.family.value,
        ", ".join(sorted(each.value for each in provider.surfaces)) or "not yet: its keys are kept and validated",
        _proof(provider),
        str(sum(model.prices is not None for model in catalog.models(provider.id)) or ""),
        f"[where]({provider.key_url})" if provider.key_url else "",
    )
    return f"| {' | '.join(cells)} |"


def _further_names(provider: Provider) -> list[str]:
    shown = {provider.id, provider.display_name.casefold()}
    return [alias for alias in provider.aliases if alias.casefold() not in shown]


def _proof(provider: Provider) -> str:
    statuses = {form.validation.status for form in provider.forms}
    return "**unverified**" if ValidationStatus.UNVERIFIED in statuses else "verified"
