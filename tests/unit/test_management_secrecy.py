"""A key that was pasted appears nowhere again: no response, no error, no log line, no item."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from ownkey.domain.scrub import scrub
from ownkey.http.management import bodies
from tests.support.aws import Tables, boto
from tests.support.management import OPERATOR, Management, management

CANARY = "sk-CANARY+fUq7/Zt2Lw9Xb4Nc6Vd8Kp1Hs3=Gj5"
_SECRET = CANARY.removeprefix("sk-CANARY")
_RUN = 8
FORMS = (
    _SECRET,
    quote(_SECRET, safe=""),
    *(base64.b64encode(b" " * n + CANARY.encode()).decode()[4:-4] for n in range(3)),
)


def traces(text: str) -> set[str]:
    """Every run of eight characters of the canary, in any form, that stands in a text."""
    return {
        form[at : at + _RUN] for form in FORMS for at in range(len(form) - _RUN + 1) if form[at : at + _RUN] in text
    }


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


WHOLE = {"provider": "OpenAI", "key": CANARY}

REQUESTS: list[tuple[str, str, Any]] = [
    *(("POST", "/api/byok", {**WHOLE, name: CANARY}) for name in bodies.CreateCredential.model_fields if name != "key"),
    *(("POST", "/api/byok", {**WHOLE, name: [CANARY]}) for name in ("allowed_models", "gateway_keys", "alias")),
    *(("POST", "/api/byok", {**WHOLE, name: {CANARY: CANARY}}) for name in ("alias", "priority", "headers")),
    ("POST", "/api/byok", {"provider": "OpenAI", "key": [CANARY]}),
    ("POST", "/api/byok", {"provider": "OpenAI", "key": {"value": CANARY}}),
    ("POST", "/api/byok", {"provider": "OpenAI", "key": f"{CANARY} {CANARY}"}),
    ("POST", "/api/byok", {"provider": "OpenAI", "key": CANARY * 300}),
    ("POST", "/api/byok", {"provider": "OpenAI", "Key": CANARY}),
    ("POST", "/api/byok", {"provider": "OpenAI", CANARY: "x"}),
    ("POST", "/api/byok", CANARY),
    ("POST", "/api/byok", [CANARY]),
    ("POST", f"/api/byok/{quote(CANARY, safe='')}/rotate", {"key": CANARY}),
    ("PATCH", "/api/auth?keyId=gk_1", {"providerKeys": {"OpenAI": CANARY}}),
    ("PATCH", "/api/auth?keyId={key_id}", {"providerKeys": {CANARY: "OpenAI"}}),
    ("PATCH", "/api/auth?keyId={key_id}", {"providerKeys": {"OpenAI": [CANARY]}}),
    ("PATCH", "/api/auth?keyId={key_id}", {"providerKeys": [CANARY]}),
    ("PATCH", "/api/auth?keyId={key_id}", {"providerKeys": CANARY}),
    ("PATCH", f"/api/auth?keyId={quote(CANARY, safe='')}", {"providerKeys": None}),
    ("POST", "/api/gateway-keys", {"key": CANARY}),
    ("POST", "/api/gateway-keys", {"expires_at": CANARY}),
    ("POST", "/api/gateway-keys", {"usage_cost_mode": CANARY}),
    ("POST", "/api/accounts/acme/members", {"email": CANARY, "role": CANARY}),
    ("POST", "/api/accounts/acme/deposits", {"amount_usd": CANARY}),
    ("POST", "/api/accounts/acme/invitations", {"email": CANARY, "role": "member"}),
    ("PATCH", f"/api/accounts/acme/members/{quote(CANARY, safe='')}", {"role": "billing"}),
    ("DELETE", f"/api/accounts/acme/members/{quote(CANARY, safe='')}", None),
    ("DELETE", f"/api/accounts/acme/invitations/{quote(CANARY, safe='')}", None),
    ("POST", f"/api/invitations/{quote(CANARY, safe='')}/accept", None),
    ("GET", f"/api/audit?from={quote(CANARY, safe='')}", None),
    ("GET", f"/api/audit/export?format={quote(CANARY, safe='')}", None),
    ("GET", f"/api/usage?dimension={quote(CANARY, safe='')}", None),
    ("GET", f"/api/activity?cursor={quote(CANARY, safe='')}", None),
    ("GET", f"/api/byok?account={quote(CANARY, safe='')}", None),
    ("GET", f"/api/{quote(CANARY, safe='')}", None),
]


def everything_stored(api: Management) -> str:
    """Every item of every table. Ciphertext is base64 here, as are the other bytes."""
    found = []
    for table in ("registry", "records", "credits", "ledger", "rollups", "health", "audit"):
        pages = boto("dynamodb", api.tables.endpoint).get_paginator("scan")
        found += [page["Items"] for page in pages.paginate(TableName=getattr(api.tables, table))]
    return str(found)


async def test_no_refusal_repeats_what_was_sent(api: Management, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key_id = (await api.gateway_key())["id"]
    for method, path, body in REQUESTS:
        caplog.clear()
        headers = {"idempotency-key": f"again-{CANARY}", "if-match": f'"{CANARY}"'}
        response = await api.call(method, path.replace("{key_id}", key_id), json=body, headers=headers)
        assert 400 <= response.status_code < 500, (method, path, body)
        assert not traces(response.text + str(response.headers)), (method, path, body)
        # The test's own client logs the URL; what the product logs must not.
        lines = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "asyncio"))]
        assert lines
        assert not traces("\n".join(f"{record.getMessage()} {record.__dict__}" for record in lines)), (method, path)
    assert await api.registry.credentials("acme") == []
    assert not traces(everything_stored(api))


@pytest.mark.parametrize(
    "content", [b'{"provider": "OpenAI", "key": "%s"', b"%s", b'"%s"', b"\xff%s", b'{"key": NaN %s}']
)
async def test_a_body_that_is_no_json_is_not_repeated_either(api: Management, content: bytes) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        response = await api.call(
            "POST",
            "/api/byok",
            content=content.replace(b"%s", CANARY.encode()),
            headers={"content-type": content_type},
        )
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")
        assert not traces(response.text)


async def test_a_whole_life_leaves_no_trace(api: Management, caplog: pytest.LogCaptureFixture) -> None:
    """Saved, listed, changed, validated, rotated, scoped, rejected: only the mask was ever seen."""
    caplog.set_level(logging.DEBUG)
    key_id = (await api.gateway_key())["id"]
    again = {"idempotency-key": f"once-{CANARY}"}
    saved = await api.ok("POST", "/api/byok", json=WHOLE, headers=again)
    seen = [
        await api.ok("POST", "/api/byok", json=WHOLE, headers=again),
        saved,
        await api.ok("GET", "/api/byok"),
        await api.ok("PATCH", f"/api/byok/{saved['id']}", json={"alias": "renamed"}),
        await api.ok("POST", f"/api/byok/{saved['id']}/validate"),
        await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": CANARY}),
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": CANARY}}),
    ]
    api.validation.reject(CANARY, f"Incorrect API key provided: {CANARY}")
    seen.append(await api.refused("POST", "/api/byok", json=WHOLE))
    assert saved["mask"] == f"sk-…{CANARY[-4:]}"
    assert not traces(json.dumps(seen, ensure_ascii=False))
    assert not traces("\n".join(str(record.__dict__) for record in caplog.records))
    assert not traces(everything_stored(api))


async def test_what_was_pasted_does_not_shape_later_answers(api: Management) -> None:
    """The scrubber knows a key only while it is in hand: an account must not blank out another's words."""
    await api.save(key="available_usd")
    assert scrub("available_usd") == "available_usd"
    assert "available_usd" in await api.ok("GET", "/api/balance", by="oz")


async def test_an_unexpected_failure_says_nothing_of_itself(
    api: Management, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> Any:
        raise RuntimeError(f"could not handle {CANARY}")

    monkeypatch.setattr(api.registry, "stored_credentials", broken)
    response = await api.call("GET", "/api/byok")
    assert response.status_code == 500
    error = response.json()["error"]
    assert (error["code"], error["metadata"]["source"]) == ("internal_error", "gateway")
    assert error["metadata"]["request_id"] == response.headers["x-ownkey-request-id"]
    assert not traces(response.text)
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


async def test_every_answer_forbids_caches_and_names_the_request(api: Management) -> None:
    for method, path in (("GET", "/api/byok"), ("GET", "/api/nowhere"), ("PUT", "/api/byok"), ("POST", "/api/byok")):
        headers = (await api.call(method, path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"] == headers["x-ownkey-request-id"]


async def test_one_line_of_audit_for_each_request(api: Management, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ownkey.http.management.app")
    saved = await api.save()
    await api.call("DELETE", f"/api/byok/{saved['id']}")
    await api.call("DELETE", f"/api/byok/{saved['id']}")
    await api.call("GET", "/api/nowhere", by=OPERATOR)
    lines = [
        tuple(getattr(record, name) for name in ("method", "route", "target", "user_id", "account_id", "status"))
        for record in caplog.records
        if record.name == "ownkey.http.management.app"
    ]
    assert lines == [
        ("POST", "/api/byok", None, "ann", "acme", 201),
        ("DELETE", "/api/byok/{credential_id}", {"credential_id": saved["id"]}, "ann", "acme", 200),
        ("DELETE", "/api/byok/{credential_id}", None, "ann", "acme", 404),
        ("GET", None, None, OPERATOR, None, 404),
    ]


async def test_the_trap_is_real() -> None:
    """FastAPI's own answer repeats the body, `SecretStr` or not: why the handler of our own has to stay."""
    app = FastAPI()

    @app.post("/")
    async def save(body: bodies.CreateCredential) -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://x.example") as client:
        response = await client.post("/", json={"key": CANARY})
    assert response.status_code == 422
    assert traces(response.text)
