"""Admin credentials: kept like provider keys, and of use for nothing but reports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ownkey.domain.gateway_keys import present
from ownkey.registry import Registry
from tests.support.aws import Tables
from tests.support.management import OPENAI_KEY, Management, management

ADMIN_KEY = "sk-admin-0123456789abcdefghijklmnopqrstuvwxyzABCD"
PATH = "/api/admin-credentials"


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def save(api: Management, key: str = ADMIN_KEY) -> str:
    made = await api.ok("POST", PATH, json={"provider": "OpenAI", "key": key})
    return str(made["id"])


async def test_it_is_proven_sealed_and_shown_by_its_mask(api: Management) -> None:
    admin_id = await save(api)
    assert api.validation.asked == [("openai", ADMIN_KEY, "https://api.openai.com/v1")]
    shown = await api.call("GET", f"{PATH}/{admin_id}")
    assert shown.json()["mask"] == "sk-…ABCD"
    assert ADMIN_KEY not in shown.text
    (stored,) = await api.registry.admin_credentials("acme")
    opened = await api.opener.open(stored.credential.binding(), stored.sealed)
    assert opened["key"].reveal() == ADMIN_KEY


async def test_no_request_ever_meets_it(api: Management, tables: Tables) -> None:
    await save(api)
    saved = await api.save()
    gateway_key = (await api.gateway_key())["key"]
    presented = present(gateway_key)
    assert presented is not None
    view = await Registry(tables.db, tables.registry).read_for_request(presented)
    assert [each.credential.id for each in view.own.credentials] == [saved["id"]]
    assert [each["id"] for each in (await api.ok("GET", "/api/byok"))["data"]] == [saved["id"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"alias": "mine"}),
        ("DELETE", "", None),
        ("POST", "/rotate", {"key": OPENAI_KEY}),
        ("POST", "/retire", None),
        ("POST", "/validate", None),
    ],
)
async def test_it_is_no_provider_key(api: Management, method: str, path: str, body: dict[str, str] | None) -> None:
    admin_id = await save(api)
    content = {} if body is None else {"json": body}
    status, error = await api.refused(method, f"/api/byok/{admin_id}{path}", **content)
    assert (status, error["code"]) == (404, "not_found")
    saved = await api.save()
    assert (await api.refused("GET", f"{PATH}/{saved['id']}"))[0] == 404


async def test_it_is_rotated_and_removed(api: Management) -> None:
    admin_id = await save(api)
    rotated = await api.ok("POST", f"{PATH}/{admin_id}/rotate", json={"key": ADMIN_KEY[:-4] + "WXYZ"})
    assert (rotated["version"], rotated["mask"]) == (2, "sk-…WXYZ")
    await api.ok("DELETE", f"{PATH}/{admin_id}")
    assert await api.registry.all_secrets("acme") == []
    actions = [entry["action"] for entry in await api.log("?action=admin_credential")]
    assert actions == ["admin_credential.deleted", "admin_credential.rotated", "admin_credential.created"]


async def test_one_that_is_refused_is_not_kept(api: Management) -> None:
    api.validation.reject(ADMIN_KEY)
    status, error = await api.refused("POST", PATH, json={"provider": "OpenAI", "key": ADMIN_KEY})
    assert (status, error["code"]) == (422, "credential_rejected")
    assert await api.registry.all_secrets("acme") == []


async def test_there_is_one_a_provider_and_only_where_there_is_a_report(api: Management) -> None:
    await save(api)
    assert (await api.refused("POST", PATH, json={"provider": "OpenAI", "key": ADMIN_KEY}))[0] == 409
    status, error = await api.refused("POST", PATH, json={"provider": "Groq", "key": ADMIN_KEY})
    assert (status, error["param"]) == (400, "provider")
    assert "anthropic" in error["metadata"]["fix"]


async def test_shredding_the_account_shreds_it_too(api: Management) -> None:
    admin_id = await save(api)
    shredded = await api.ok("POST", "/api/accounts/acme/shred", json={"confirm": "acme"})
    assert shredded["shredded"] == [admin_id]
    (stored,) = await api.registry.admin_credentials("acme")
    assert stored.sealed is not None
    assert stored.sealed.wrapped_key == b""


@pytest.mark.parametrize(
    "days",
    [
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2026-01-01", "to": "2026-02-01"},
        {"from": "2999-01-01", "to": "2999-01-01"},
        {"from": "yesterday", "to": "2026-11-01"},
    ],
)
async def test_days_that_cannot_be_compared(api: Management, days: dict[str, str]) -> None:
    await save(api)
    assert (await api.refused("POST", "/api/reconciliations", json={"provider": "OpenAI", **days}))[0] == 400


async def test_without_an_admin_credential_nothing_is_compared(api: Management) -> None:
    body = {"provider": "OpenAI", "from": "2026-11-01", "to": "2026-11-02"}
    status, error = await api.refused("POST", "/api/reconciliations", json=body)
    assert (status, error["param"]) == (400, "provider")
