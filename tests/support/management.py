"""The management API in process: real registry and ledger tables, a validation that answers as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from ownkey.catalog import Catalog
from ownkey.catalog.sharing import sharing_terms
from ownkey.domain.accounts import Member, Role
from ownkey.domain.errors import CredentialUndecryptable, InvalidSession
from ownkey.http.management import ManagementDeps, create_management_app
from ownkey.http.sessions import Session
from ownkey.ledger.activity import Activity
from ownkey.ledger.counters import Counters
from ownkey.ledger.movements import Movements
from ownkey.ledger.records import Records
from ownkey.ledger.rollups import Rollups
from ownkey.ledger.statements import Statements
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.registry.key_use import KeyUse
from ownkey.upstream import UrlPolicy
from ownkey.validation import Candidate, Finding, Verdict
from ownkey.validation.opening import OpenCheck
from ownkey.vault import Opener, Sealer
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, FakeKms
from tests.support.openapi import check_answer

CATALOG = Catalog.load()
NOW = "2026-11-21T08:00:00.000000Z"
OPERATOR = "op"
PEOPLE = {
    "acme": {"ann": Role.OWNER, "adi": Role.ADMIN, "mia": Role.MEMBER, "bea": Role.BILLING},
    "other": {"oz": Role.OWNER},
}

OPENAI_KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"
OPENAI_KEY_2 = "sk-proj-zyxwvutsrqponmlkjihgfedcba9876543210WXYZ"
ANTHROPIC_KEY = "sk-ant-api03-0123456789abcdefghijklmnopqrstuvEFGH"


@dataclass
class FakeSessions:
    """`Bearer ann` is Ann's session."""

    async def check(self, authorization: str | None) -> Session:
        name = (authorization or "").removeprefix("Bearer ")
        if not name:
            raise InvalidSession("The request has no session token.")
        return Session(name, operator=name == OPERATOR)


@dataclass
class FakeUserPool:
    """Everybody's id is the part before the @."""

    invited: list[str] = field(default_factory=list)
    unverified: set[str] = field(default_factory=set)

    async def user_id(self, email: str) -> str:
        self.invited.append(email)
        return email.partition("@")[0]

    async def email(self, user_id: str) -> str:
        return f"{user_id}@ownkey.example"

    async def verified_email(self, user_id: str) -> str | None:
        return None if user_id in self.unverified else await self.email(user_id)


class FakeValidation:
    """Accepts every key but those it was told about; opens the candidate as the real function does."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.findings: dict[str, Finding] = {}
        self.asked: list[tuple[str, str, str]] = []
        """(provider id, key, destination) of each call."""
        self.candidates: list[Candidate] = []

    async def validate(self, candidate: Candidate) -> Finding:
        fields = {} if candidate.sealed is None else await self._opener.open(candidate.binding, candidate.sealed)
        # Of a structured secret its parts, in the order of their names; of none "".
        key = " ".join(fields[name].reveal() for name in sorted(fields))
        self.asked.append((candidate.binding.provider_id, key, candidate.binding.destination))
        self.candidates.append(candidate)
        return self.findings.get(key, Finding(Verdict.ACCEPTED, None, 200))

    async def open_check(self, check: OpenCheck) -> str | None:
        try:
            await self._opener.open(check.binding, check.sealed)
        except CredentialUndecryptable as e:
            return e.message
        return None

    def reject(self, key: str, reason: str = "Incorrect API key provided.", status: int = 401) -> None:
        self.findings[key] = Finding(Verdict.REJECTED, reason, status)

    def lose(self, key: str) -> None:
        self.findings[key] = Finding(Verdict.UNREACHABLE, "the provider could not be reached", None)


@dataclass
class Management:
    """The API and what stands behind it."""

    client: httpx.AsyncClient
    tables: Tables
    registry: Registry
    records: Records
    validation: FakeValidation
    opener: Opener
    user_pool: Any
    clock: list[datetime]
    app: FastAPI
    kms: FakeKms

    async def call(self, method: str, path: str, *, by: str = "ann", **options: Any) -> httpx.Response:
        """One request of a person. Whatever comes has to be as the API's own document says."""
        headers = {"authorization": f"Bearer {by}", **options.pop("headers", {})}
        response = await self.client.request(method, path, headers=headers, **options)
        check_answer(response)
        return response

    async def ok(self, method: str, path: str, *, by: str = "ann", **options: Any) -> dict[str, Any]:
        """The body of a request that succeeds."""
        response = await self.call(method, path, by=by, **options)
        assert response.is_success, response.text
        return response.json()

    async def refused(self, method: str, path: str, *, by: str = "ann", **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and error of a request that does not; without the request's id, so that two can be compared."""
        response = await self.call(method, path, by=by, **options)
        assert response.is_error, response.text
        error = response.json()["error"]
        assert error["metadata"].pop("request_id") == response.headers["x-ownkey-request-id"]
        return response.status_code, error

    async def log(self, query: str = "", *, by: str = "ann") -> list[dict[str, Any]]:
        """The account's audit log, newest first."""
        return (await self.ok("GET", f"/api/audit{query}", by=by))["data"]

    async def gateway_key(self, by: str = "ann", **body: Any) -> dict[str, Any]:
        """A new gateway key."""
        return await self.ok("POST", "/api/gateway-keys", by=by, json=body)

    async def save(self, by: str = "ann", **body: Any) -> dict[str, Any]:
        """A new credential: OpenAI's unless said otherwise."""
        return await self.ok("POST", "/api/byok", by=by, json={"provider": "OpenAI", "key": OPENAI_KEY, **body})

    async def stored(self, account_id: str = "acme") -> dict[str, str]:
        """What the vault holds: credential id → key in the clear."""
        keys = {}
        for each in await self.registry.stored_credentials(account_id):
            fields = await self.opener.open(each.credential.binding(), each.sealed)
            keys[each.credential.id] = fields["key"].reveal()
        return keys


class _Current:
    """Stands for what a test brings, in an app that serves one test after another."""

    def __init__(self) -> None:
        self.target: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def __call__(self) -> Any:
        return self.target()


_BEHIND = frozenset({"sealer", "validation", "user_pool"})
"""What a test may change under routes that stay as they are."""


@cache
def _shared_app(*names: str) -> tuple[FastAPI, dict[str, _Current]]:
    """One app for all tests that want its routes as they are: making them takes longer than a test."""
    stands_in = {name: _Current() for name in names}
    deps: dict[str, Any] = {**stands_in, "catalog": CATALOG, "url_policy": UrlPolicy()}
    return create_management_app(ManagementDeps(**deps)), stands_in


def _app_of(deps: dict[str, Any]) -> FastAPI:
    app, stands_in = _shared_app(*sorted(deps.keys() - {"catalog", "url_policy"}))
    for name, current in stands_in.items():
        current.target = deps[name]
    return app


@asynccontextmanager
async def management(tables: Tables, **changes: Any) -> AsyncIterator[Management]:
    """The API with two accounts, their members, and an operator."""
    kms = changes.pop("kms", None) or FakeKms()
    opener = Opener(kms, on_open=lambda _: None)
    registry = Registry(tables.db, tables.registry)
    for account_id, people in PEOPLE.items():
        await registry.create_account(account_id, account_id.title(), now=NOW)
        for user_id, role in people.items():
            await registry.add_member(Member(account_id, user_id, f"{user_id}@{account_id}.example", role, NOW))
    records, validation, clock = Records(tables.db, tables.records), FakeValidation(opener), []
    deps = {
        "registry": registry,
        "catalog": CATALOG,
        "sealer": Sealer(kms, KMS_KEY),
        "validation": validation,
        "sessions": FakeSessions(),
        "user_pool": FakeUserPool(),
        "records": records,
        "activity": Activity(tables.db, tables.records),
        "rollups": Rollups(tables.db, tables.rollups),
        "movements": Movements(tables.db, tables.rollups),
        "statements": Statements(tables.db, tables.credits, tables.ledger),
        "counters": Counters(tables.db, tables.counters),
        "audit": AuditTrail(tables.db, tables.audit),
        "health": HealthBook(tables.db, tables.health),
        "key_use": KeyUse(tables.db, tables.health),
        "url_policy": UrlPolicy(),
        "sharing": sharing_terms(CATALOG, (), 500),
        "now": lambda: clock[-1] if clock else datetime.now(UTC),
        **changes,
    }
    app = _app_of(deps) if changes.keys() <= _BEHIND else create_management_app(ManagementDeps(**deps))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://ownkey.example") as client:
        yield Management(client, tables, registry, records, validation, opener, deps["user_pool"], clock, app, kms)
