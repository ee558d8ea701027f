"""`GET /api/byok/export`: what there is to know of an account's provider keys, in one file; never a key."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, OPENAI_KEY_2, Management, management

FORMULAS = ('=HYPERLINK("http://evil.example")', "+1", "-1", "@SUM(A1)")


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def test_json_is_the_credentials_as_the_api_shows_them(api: Management) -> None:
    ids = [(await api.save())["id"] for _ in range(3)]
    await api.save(by="oz")
    answer = await api.call("GET", "/api/byok/export?format=json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="provider-keys.json"'
    rows = answer.json()["data"]
    assert [row["id"] for row in rows] == ids
    assert rows == (await api.ok("GET", "/api/byok"))["data"]


async def test_csv_has_a_line_for_each_credential(api: Management) -> None:
    saved = await api.save(alias='Team "A", main', allowed_models=["gpt-4o"], expires_at="2027-01-31T12:00:00Z")
    body = {"key": OPENAI_KEY_2, "keep_previous": True, "share_percent": 25, "expires_at": "2028-01-31T12:00:00Z"}
    await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json=body)
    answer = await api.call("GET", "/api/byok/export?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["id"] == saved["id"]
    assert (row["alias"], row["mask"], row["provider_name"]) == ('Team "A", main', "sk-…WXYZ", "OpenAI")
    assert (row["version"], row["previous_version"], row["previous_share_percent"]) == ("2", "1", "25")
    assert json.loads(row["allowed_models"]) == ["gpt-4o"]
    assert (row["gateway_keys"], row["disabled"]) == ("", "false")
    assert row["expires_at"] == "2028-01-31T12:00:00.000000Z"


async def test_no_key_and_no_ciphertext_is_in_it(api: Management) -> None:
    await api.save()
    (stored,) = await api.registry.stored_credentials("acme")
    assert stored.sealed is not None
    for kind in ("json", "csv"):
        text = (await api.call("GET", f"/api/byok/export?format={kind}")).text
        assert OPENAI_KEY not in text
        assert "wrapped" not in text
        assert "ciphertext" not in text
        assert stored.sealed.ciphertext.hex() not in text


async def test_no_cell_is_a_formula(api: Management) -> None:
    """An alias is whatever a member types; the file is opened by whoever asked for it."""
    for alias in FORMULAS:
        await api.save(alias=alias)
    answer = await api.call("GET", "/api/byok/export?format=csv")
    aliases = [row["alias"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert aliases == [f"'{alias}" for alias in FORMULAS]


async def test_who_may_see_the_keys_may_export_them(api: Management) -> None:
    for who, expected in (("adi", 200), ("mia", 200), ("bea", 403), ("op", 400)):
        assert (await api.call("GET", "/api/byok/export", by=who)).status_code in (expected, 403), who
    assert (await api.refused("GET", "/api/byok/export?format=xlsx"))[0] == 400
