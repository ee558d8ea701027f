"""providers.toml -> checked rows. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ownkey.catalog.providers import QUIRKS, Kind, Provider, Validation, decode_provider

Row = Mapping[str, Any]

_ID = re.compile(r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
_HEADER = re.compile(r"^[A-Za-z0-9-]+$")
_PRICE_SOURCE_FIELDS = {"litellm", "bare_ids", "genai_prices", "inclusive_thresholds"}
_KINDS = list(Kind)


def problems(rows: Iterable[Row]) -> list[str]:
    """What is wrong with the rows, one sentence each, naming the provider; empty where all is well."""
    found: list[str] = []
    owners: dict[str, tuple[int, str]] = {}
    kinds: list[Kind] = []
    for number, row in enumerate(rows):
        name = str(row.get("id", f"row {number}"))
        try:
            provider = decode_provider(row)
        except (KeyError, TypeError, ValueError) as e:
            found.append(f"{name}: {type(e).__name__}: {e}")
            continue
        found += [f"{name}: {problem}" for problem in _problems_of(provider, row)]
        for alias in {alias.casefold() for alias in provider.names}:
            owner, owner_name = owners.setdefault(alias, (number, name))
            if owner != number:
                found.append(f"{name}: the name {alias!r} is also {owner_name}'s")
        kinds.append(provider.kind)
    if kinds != sorted(kinds, key=_KINDS.index):
        found.append(f"rows are not in the order of their kinds: {', '.join(_KINDS)}")
    return found


def _problems_of(provider: Provider, row: Row) -> Iterable[str]:
    if not _ID.match(provider.id):
        yield "the id is not lower-case words joined by hyphens"
    if (provider.base_url is None) != (provider.kind is Kind.CUSTOM):
        yield "a provider has a base URL unless it is a custom one"
    if provider.base_url is not None and not _is_https(provider.base_url):
        yield "the base URL is not plain https without a trailing slash"
    if "{key}" not in provider.auth.template:
        yield "the auth template has no place for the key"
    for header in (provider.auth.header, *provider.headers, *provider.credential_headers.values()):
        if not _HEADER.match(header):
            yield f"{header!r} is no name of a header"
    if not provider.surfaces:
        yield "it serves no surface"
    if strange := provider.quirks - QUIRKS.keys():
        yield f"unknown quirks: {', '.join(sorted(strange))}"
    if strange := frozenset(row.get("price_source", {})) - _PRICE_SOURCE_FIELDS:
        yield f"unknown fields of price_source: {', '.join(sorted(strange))}"
    yield from _pattern_problems(provider.key_hint.pattern or "")
    yield from _validation_problems(provider.validation)


def _validation_problems(validation: Validation) -> Iterable[str]:
    if not validation.path.startswith("/") and not _is_https(validation.path):
        yield "the validation path is neither a path nor an https URL"
    if not validation.accepted or not validation.rejected:
        yield "the validation needs accepted and rejected statuses"
    meanings = (validation.accepted, validation.limited, validation.rejected)
    if len(frozenset().union(*meanings)) != sum(map(len, meanings)):
        yield "a validation status has two meanings"
    if (validation.method, validation.body is None) not in (("GET", True), ("POST", False)):
        yield "the validation is a GET, or a POST with a body"
    try:
        json.loads(validation.body or "{}")
    except ValueError as e:
        yield f"the validation body is not JSON: {e}"


def _is_https(url: str) -> bool:
    parts = urlsplit(url)
    return (
        parts.scheme == "https"
        and bool(parts.hostname)
        and "{" not in url
        and not url.endswith("/")
        and not parts.fragment
    )


def _pattern_problems(pattern: str) -> Iterable[str]:
    try:
        re.compile(pattern)
    except re.error as e:
        yield f"the key pattern is no regular expression: {e}"


def compiled(rows: Iterable[Row]) -> str:
    """The text of providers.json: the rows without what only the build reads, a line each."""
    kept = ({name: value for name, value in row.items() if name != "price_source"} for row in rows)
    lines = ",\n".join(json.dumps(row, default=str, ensure_ascii=False, separators=(",", ":")) for row in kept)
    return f'{{"providers":[\n{lines}\n]}}\n'
