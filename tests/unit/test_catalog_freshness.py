"""Old prices: who is told, and how."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta

import pytest

from ownkey.catalog import MAX_AGE_DAYS, Catalog, ValidationStatus
from ownkey.runtime.freshness import warn_of_stale_prices
from tests.support.aws import Tables
from tests.support.management import Management, management

CATALOG = Catalog.load()
FRESH = CATALOG.as_of + timedelta(days=MAX_AGE_DAYS)
OLD = FRESH + timedelta(days=1)


class TestTheLog:
    def test_warns_of_old_prices_and_counts_their_days(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            warn_of_stale_prices(CATALOG, "ownkey-upkeep", OLD)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        told = vars(record)
        assert told["catalog_version"] == CATALOG.version
        assert (told["CatalogAgeDays"], told["FunctionName"]) == (MAX_AGE_DAYS + 1, "ownkey-upkeep")
        assert told["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "CatalogAgeDays", "Unit": "Count"}]
        json.dumps(told["_aws"])

    def test_says_nothing_of_current_ones(self, caplog: pytest.LogCaptureFixture) -> None:
        warn_of_stale_prices(CATALOG, "ownkey-upkeep", FRESH)
        assert caplog.records == []


def late_on(day: date) -> datetime:
    return datetime.combine(day, time(23, 59), UTC)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


class TestTheApi:
    async def test_says_of_which_day_the_prices_are(self, api: Management) -> None:
        api.clock.append(late_on(FRESH))
        assert await api.ok("GET", "/api/catalog", by="bea") == {
            "version": CATALOG.version,
            "as_of": CATALOG.as_of.isoformat(),
            "stale_after": FRESH.isoformat(),
            "stale": False,
            "providers": len(CATALOG.providers),
        }

    async def test_and_that_they_are_old(self, api: Management) -> None:
        api.clock.append(late_on(OLD))
        assert (await api.ok("GET", "/api/catalog"))["stale"] is True

    async def test_strangers_are_told_nothing(self, api: Management) -> None:
        assert (await api.client.get("/api/catalog")).status_code == 401

    async def test_says_whose_keys_nobody_could_confirm_the_proof_of(self, api: Management) -> None:
        pages = [await api.ok("GET", "/api/providers?limit=100")]
        while cursor := pages[-1]["next_cursor"]:
            pages.append(await api.ok("GET", f"/api/providers?limit=100&cursor={cursor}"))
        shown = {row["id"]: row for page in pages for row in page["data"]}
        assert len(shown) >= 100
        for provider in CATALOG.providers:
            assert shown[provider.id]["validation"] == provider.validation.status.value
            forms = {form["id"]: form["validation"] for form in shown[provider.id]["forms"]}
            assert forms == {form.id: form.validation.status.value for form in provider.forms}
        assert ValidationStatus.UNVERIFIED.value in {row["validation"] for row in shown.values()}
