"""Puts models.json and providers.json together."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from ownkey.catalog.catalog import Catalog
from ownkey.catalog.listing import Listing, encoded
from ownkey.catalog.providers import decode_provider
from tools.catalog import oracle, providers
from tools.catalog.page import provider_page
from tools.catalog.source import Pins, parse
from tools.catalog.transform import Row, provider_rows, share

TOOLS = Path(__file__).parent
PACKAGE = TOOLS.parents[1] / "shared" / "ownkey" / "catalog"
PAGE = TOOLS.parents[1] / "docs" / "providers.md"
PINS = TOOLS / "pins.toml"
SIGNED_OFF = TOOLS / "signed_off.toml"


class BuildError(Exception):
    """The data may not be published as it is; the message has a line for each problem."""


def provider_table(path: Path = PACKAGE / "providers.toml") -> list[dict[str, Any]]:
    """The rows of providers.toml.

    Raises:
        BuildError: a row is not as the head of the file says.
    """
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text())["providers"]
    if found := providers.problems(rows):
        raise BuildError("\n".join(found))
    return rows


def model_file(
    entries: Mapping[str, Any], table: Sequence[Mapping[str, Any]], pins: Pins, sign_offs: Sequence[oracle.SignOff]
) -> dict[str, Any]:
    """The content of models.json.

    Raises:
        BuildError: a correction that was signed off no longer fits.
        UnknownPriceFieldError: see the class.
    """
    models: dict[str, Any] = {}
    unfit: list[str] = []
    for row in table:
        if where := row.get("price_source"):
            rows = _rows(entries, where)
            unfit += oracle.correct(row["id"], rows, sign_offs)
            models[row["id"]] = share(rows)
    if unfit:
        raise BuildError("\n".join(unfit))
    digest = hashlib.sha256(json.dumps(models, sort_keys=True).encode()).hexdigest()
    return {
        "version": f"{pins.as_of}.{digest[:8]}",
        "as_of": str(pins.as_of),
        "source": {
            "name": "litellm",
            "version": pins.litellm_version,
            "file": pins.file,
            "sha256": pins.sha256,
            "licence": pins.licence,
            "checked_against": f"genai-prices {pins.genai_prices_version}",
        },
        "models": models,
    }


def _rows(entries: Mapping[str, Any], where: Mapping[str, Any]) -> dict[str, Row]:
    """The rows that a `price_source` tells of; of an id that several of its places have, the first one's."""
    places = [{k: v for k, v in where.items() if k not in ("genai_prices", "also")}, *where.get("also", ())]
    rows: dict[str, Row] = {}
    for place in reversed(places):
        rows |= provider_rows(entries, **place)
    return dict(sorted(rows.items()))


def catalog_of(content: Mapping[str, Any], table: Sequence[Mapping[str, Any]]) -> Catalog:
    """The catalog that the files would make, as the functions would read it."""
    return Catalog(tuple(decode_provider(row) for row in table), Listing(encoded(content).encode()))


def check_prices(catalog: Catalog, table: Sequence[Mapping[str, Any]], sign_offs: Sequence[oracle.SignOff]) -> None:
    """Compares every price with the oracle, at noon (UTC) of the day the prices were taken.

    Raises:
        BuildError: a disagreement that is not signed off, or a sign-off of none.
    """
    their_names = {row["id"]: name for row in table if (name := row.get("price_source", {}).get("genai_prices"))}
    noon = datetime.combine(catalog.as_of, time(12), UTC)
    if found := oracle.problems(oracle.disagreements(catalog, their_names, noon), sign_offs):
        raise BuildError("\n".join(found))


def build(content: bytes, pins: Pins, *, sign_offs: Sequence[oracle.SignOff]) -> dict[Path, str]:
    """The texts of the built files by their path, from the price file's bytes.

    Raises:
        BuildError, UnknownPriceFieldError: the inputs may not be published as they are.
    """
    table = provider_table()
    models = model_file(parse(content), table, pins, sign_offs)
    catalog = catalog_of(models, table)
    check_prices(catalog, table, sign_offs)
    return {
        PACKAGE / "providers.json": providers.compiled(table),
        PACKAGE / "models.json": encoded(models),
        PAGE: provider_page(table, catalog),
    }
