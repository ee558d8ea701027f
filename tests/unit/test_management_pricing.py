"""`/api/byok`: a credential's own price list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.aws import Tables
from tests.support.management import Management, management

DISCOUNT = {"mode": "discount", "percent": "12.5"}
CUSTOM = {
    "mode": "custom",
    "models": [{"model": "gpt-5*", "rates": {"input": "1.1", "output": "8"}, "fees": {"web_search_medium": "0.008"}}],
}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.mark.parametrize("pricing", [{"mode": "flat"}, DISCOUNT, CUSTOM], ids=lambda each: each["mode"])
async def test_a_list_is_saved_and_shown(api: Management, pricing: dict[str, Any]) -> None:
    saved = await api.save(pricing=pricing)
    assert saved["pricing"] == pricing
    assert (await api.ok("GET", f"/api/byok/{saved['id']}"))["pricing"] == pricing
    stored = await api.registry.credential("acme", saved["id"])
    assert stored.credential.pricing is not None
    assert stored.credential.pricing.to_body() == pricing


@pytest.mark.parametrize("published", [None, {"mode": "catalog"}])
async def test_it_changes_without_the_key_and_back_to_the_published_prices(api: Management, published: Any) -> None:
    saved = await api.save()
    assert saved["pricing"] == {"mode": "catalog"}
    assert (await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"pricing": CUSTOM}))["pricing"] == CUSTOM
    assert (await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"weight": 7}))["pricing"] == CUSTOM
    back = await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"pricing": published})
    assert back["pricing"] == {"mode": "catalog"}
    assert (await api.registry.credential("acme", saved["id"])).credential.pricing is None
    assert len(api.validation.asked) == 1


@pytest.mark.parametrize(
    "pricing",
    ["flat", {}, {"mode": "free"}, {"mode": "discount", "percent": 12.5}, {"mode": "custom", "models": []}, [{}]],
    ids=str,
)
async def test_what_is_no_list_is_refused_and_nothing_stored(api: Management, pricing: Any) -> None:
    saved = await api.save()
    status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"pricing": pricing})
    assert (status, error["param"]) == (400, "pricing")
    assert (await api.registry.credential("acme", saved["id"])).credential.pricing is None
