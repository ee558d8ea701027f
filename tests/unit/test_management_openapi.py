"""`/api/openapi.json`: current, valid, free for everybody, and complete; and what it says of answers is so.

`Management.call` compares each answer of every test of the management API with the document (tests/support/openapi.py).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from openapi_spec_validator import validate

from ownkey.http.management.access import Right
from ownkey.http.management.auditing import CHANGING
from tests.support.aws import Tables
from tests.support.management import Management, management
from tests.support.openapi import Operation, check_answer, document, operations
from tools.openapi.document import FILE, MissingOperationError, build
from tools.openapi.document import document as described
from tools.openapi.operations import Who

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


def test_the_file_is_what_the_routes_make_of_it() -> None:
    assert build() == FILE.read_text(), "python -m tools.openapi build"


def test_it_is_valid_openapi() -> None:
    validate(document())


async def test_it_has_every_route_and_no_other(api: Management) -> None:
    routes = {(method, route.path) for route in iter_route_contexts(api.app.routes) for method in route.methods or ()}
    assert {(each.method, each.path) for each in operations()} == {pair for pair in routes if pair[0] != "HEAD"}


def test_a_route_that_nobody_described_fails_the_build(api: Management) -> None:
    async def surprise() -> None: ...

    api.app.add_api_route("/api/surprise", surprise)
    with pytest.raises(MissingOperationError, match="/api/surprise"):
        described(api.app)


async def test_it_needs_no_session_and_is_the_only_one(api: Management) -> None:
    for each in operations():
        values = dict.fromkeys(each.places, "x")
        wanted = each.request(values)
        response = await api.client.request(
            wanted["method"], wanted["path"], params=wanted["params"], json=wanted.get("json")
        )
        assert (response.status_code == 200) == (each.may == Who.EVERYBODY), str(each)
        assert response.status_code in (200, 401)
        if response.status_code == 200:
            assert response.json() == document()
            assert response.headers["content-type"] == "application/json"


async def test_a_session_that_is_over_does_not_hide_it(api: Management) -> None:
    assert (await api.client.get("/api/openapi.json", headers={"authorization": "Bearer over"})).status_code == 200


def test_it_knows_nothing_of_the_framework() -> None:
    text = FILE.read_text()
    assert "HTTPValidationError" not in text
    assert all("422" not in each.row["responses"] for each in operations())
    names = [each.row["operationId"] for each in operations()]
    assert len(names) == len(set(names))


def test_every_operation_says_who_may_call_it() -> None:
    assert {each.may for each in operations()} <= {*map(str, Right), *map(str, Who)}
    assert {str(right) for right in Right} - {each.may for each in operations()} == {
        str(Right.CHANGE_GATEWAY_KEYS)  # On top of creating them: whose key it is decides.
    }


def test_lists_come_in_pages() -> None:
    for each in operations():
        schema = answer(each)["content"].get("application/json", {}).get("schema", {})
        listed = {"limit", "cursor"} <= {parameter["name"] for parameter in each.row["parameters"]}
        assert ("next_cursor" in schema.get("properties", {})) == listed or each.path.endswith("/export"), str(each)


def test_what_has_a_tag_is_changed_under_it() -> None:
    tagged = {each.path for each in operations() if each.method == "GET" and "ETag" in answer(each)["headers"]}
    for each in operations():
        if each.path in tagged and each.method != "GET":
            assert each.takes("If-Match"), str(each)


def answer(each: Operation) -> dict[str, Any]:
    """What an operation answers where it succeeds."""
    first: dict[str, Any] = next(iter(each.row["responses"].values()))
    return first


async def test_a_tag_of_another_state_is_refused_wherever_one_is_taken(api: Management) -> None:
    """Before anything else is looked at that the resource is needed for, and without a trace but in the log."""
    saved, key_id = await api.save(), (await api.gateway_key())["id"]
    invited = await api.ok(
        "POST", "/api/accounts/acme/invitations", json={"email": "neo@ownkey.example", "role": "member"}
    )
    rate = {"measure": "requests", "window": "minute", "amount": 60}
    admin = {"provider": "OpenAI", "key": "sk-admin-0123456789abcdefghijkl"}
    values = {
        "account_id": "acme",
        "user_id": "mia",
        "credential_id": saved["id"],
        "key_id": key_id,
        "invitation_id": invited["id"],
        "limit_id": (await api.ok("POST", "/api/limits", json=rate))["id"],
        "admin_id": (await api.ok("POST", "/api/admin-credentials", json=admin))["id"],
        "provider": "openai",
    }
    conditional = [each for each in operations() if each.takes("If-Match")]
    assert len(conditional) >= 14
    for each in conditional:
        wanted = each.request(values, "acme")
        method, path = wanted.pop("method"), wanted.pop("path")
        wanted["headers"]["if-match"] = '"another"'
        status, error = await api.refused(method, path, **wanted)
        assert (status, error["code"]) == (412, "precondition_failed"), str(each)


def test_every_creation_may_be_repeated() -> None:
    """What answers 201 or 202 makes something: it takes an Idempotency-Key."""
    for each in operations():
        creates = any(status in ("201", "202") for status in each.row["responses"])
        assert creates == each.takes("Idempotency-Key"), str(each)
        assert not creates or each.method in CHANGING


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"available_usd": "1", "held_usd": "0", "total_usd": "1"}, True),
        ({"available_usd": "1", "held_usd": "0", "total_usd": "1", "more": 1}, False),
        ({"available_usd": "1", "held_usd": "0"}, False),
        ({"available_usd": 1, "held_usd": "0", "total_usd": "1"}, False),
        ({"available_usd": "1.0000000001", "held_usd": "0", "total_usd": "1"}, False),
    ],
)
def test_the_check_itself_sees_what_does_not_fit(body: dict[str, object], fits: bool) -> None:
    response = httpx.Response(200, json=body, request=httpx.Request("GET", "https://ownkey.example/api/balance"))
    if fits:
        check_answer(response)
    else:
        with pytest.raises(AssertionError, match="/api/balance"):
            check_answer(response)


async def test_the_function_that_serves_it_imports_no_schema() -> None:
    """A cold start pays for what it imports."""
    program = "import sys, ownkey.http.management; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "shared")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"jsonschema", "tools", "local"} & set(json.loads(done.stdout.replace("'", '"')))
