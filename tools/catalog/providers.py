"""providers.toml -> checked rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ownkey.catalog.parameters import Parameters
from ownkey.catalog.providers import QUIRKS, Kind, Provider, ReportSource, decode_provider
from ownkey.catalog.table import encoded_table
from ownkey.domain.surfaces import Surface
from ownkey.providers.reports import REPORTS
from tools.catalog.forms import form_problems, is_https, pattern_problems

Row = Mapping[str, Any]

_ID = re.compile(r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
_HEADER = re.compile(r"^[A-Za-z0-9-]+$")
_PRICE_SOURCE_FIELDS = {
    "litellm", "prefix", "bare_ids", "both_ids", "ids", "regional", "genai_prices", "inclusive_thresholds", "uplifts",
    "also", "free",
}  # fmt: skip
_KINDS = list(Kind)
_PROTOCOL = re.compile(r"^[a-z]+(?:_[a-z]+)*$")
_UNSUPPORTED = re.compile(r"^(?:(?:messages|messages\.content|messages\.tool_calls|tools)\.)?[a-z_]+(?:=[a-z0-9_]+)?$")
_PARAMETER = re.compile(r"^[a-z_]+$")


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
    addressed = all(form.base_url for form in provider.forms)
    if (provider.base_url is None) != (provider.kind is Kind.CUSTOM or addressed):
        yield "a provider has a base URL unless it is a custom one, or its forms have"
    if provider.base_url is not None and not is_https(provider.base_url):
        yield "the base URL is not plain https without a trailing slash"
    for header in (*provider.headers, *provider.credential_headers.values()):
        if not _HEADER.match(header):
            yield f"{header!r} is no name of a header"
    for host, uplift in provider.regions.items():
        if not re.fullmatch(r"\*?[a-z0-9.-]+", host) or not uplift.startswith("region:"):
            yield f"{host!r} = {uplift!r} is no host with the uplift of a region"
    if strange := provider.quirks - QUIRKS.keys():
        yield f"unknown quirks: {', '.join(sorted(strange))}"
    source = row.get("price_source", {})
    if strange := frozenset(source).union(*source.get("also", ())) - _PRICE_SOURCE_FIELDS:
        yield f"unknown fields of price_source: {', '.join(sorted(strange))}"
    for parameters in (provider.parameters, *(narrower for _, narrower in provider.model_parameters)):
        yield from _parameter_problems(parameters)
    if provider.responses is not None and Surface.RESPONSES not in provider.surfaces:
        yield "it has a part of Responses, which its surfaces do not name"
    if strange := {protocol for _, protocol in provider.protocols if not _PROTOCOL.match(protocol)}:
        yield f"no name of a protocol: {', '.join(sorted(strange))}"
    yield from pattern_problems("the key pattern", provider.key_hint.pattern or "")
    yield from form_problems(provider.forms, row.get("fields", {}))
    if provider.report is not None:
        yield from _report_problems(provider, provider.report, row["report"])


def _parameter_problems(parameters: Parameters) -> Iterable[str]:
    if strange := {name for name in parameters.unsupported if not _UNSUPPORTED.match(name)}:
        yield f"no members of a request: {', '.join(sorted(strange))}"
    if strange := {name for pair in parameters.renamed.items() for name in pair if not _PARAMETER.match(name)}:
        yield f"no names of a parameter: {', '.join(sorted(strange))}"
    if both := parameters.unsupported & parameters.renamed.keys():
        yield f"unsupported, and renamed too: {', '.join(sorted(both))}"


def _report_problems(provider: Provider, report: ReportSource, row: Row) -> Iterable[str]:
    if report.api not in REPORTS:
        yield f"no report is read by {report.api!r}"
    if provider.base_url is None and not all(form.base_url for form in report.forms):
        yield "a report without an address of its own needs the provider's base URL"
    if any(form.scheme.exchanges for form in report.forms):
        yield "an admin credential is presented as it is, or signs"
    yield from (f"report: {problem}" for problem in form_problems(report.forms, row.get("fields", {})))


def compiled(rows: Iterable[Row]) -> str:
    """The text of providers.json: the rows without what only the build reads."""
    return encoded_table({name: value for name, value in row.items() if name != "price_source"} for row in rows)
