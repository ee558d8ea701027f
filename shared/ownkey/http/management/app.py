"""The management API as an ASGI application."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ownkey.catalog import Catalog, wire_members
from ownkey.catalog.sharing import consent_text
from ownkey.domain import ids
from ownkey.domain.reconciliation import Leak
from ownkey.domain.sharing import SharingTerms
from ownkey.http.management import (
    accounts,
    admin_credentials,
    audit_log,
    byok,
    deposits,
    errors,
    export,
    gateway_keys,
    invitations,
    kms_keys,
    limits,
    members,
    openapi,
    pools,
    provider_list,
    reconciliations,
    rewrapping,
    settings,
    sharing,
    statements,
    usage,
)
from ownkey.http.management.access import Access
from ownkey.http.management.admin_desk import AdminDesk
from ownkey.http.management.auditing import Auditor
from ownkey.http.management.cards import Cards
from ownkey.http.management.credentials import CredentialDesk
from ownkey.http.management.idempotency import Idempotency
from ownkey.http.management.kms_keys import KmsKeyDesk, OpeningPort
from ownkey.http.management.provider_keys import ProviderKeysDesk
from ownkey.http.management.proving import ValidationPort
from ownkey.http.management.shaping import Shaper
from ownkey.http.management.user_pool import UserPool
from ownkey.http.sessions import Session, Sessions
from ownkey.ledger.activity import Activity
from ownkey.ledger.counters import Counters
from ownkey.ledger.exports import Exports
from ownkey.ledger.movements import Movements
from ownkey.ledger.records import Records
from ownkey.ledger.rollups import Rollups
from ownkey.ledger.statements import Statements
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.registry.key_use import KeyUse
from ownkey.upstream import UrlPolicy
from ownkey.vault import Sealer

_PUBLIC = frozenset({openapi.PATH})
_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Validation(ValidationPort, OpeningPort, Protocol):
    """The function that may decrypt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementDeps:
    """What the management API works with. There is no `Opener` in it."""

    registry: Registry
    catalog: Catalog
    sealer: Sealer
    validation: Validation
    sessions: Sessions
    user_pool: UserPool
    records: Records
    activity: Activity
    rollups: Rollups
    movements: Movements
    statements: Statements
    counters: Counters
    audit: AuditTrail
    key_use: KeyUse
    health: HealthBook
    url_policy: UrlPolicy
    sharing: SharingTerms
    """Which providers' credentials accounts may share, under which text, for what."""
    imported_gateway_keys: bool = False
    """Whether gateway keys of a foreign format may be taken over."""
    keyless_credentials: bool = False
    """Whether credentials without a secret may be saved."""
    sign_up_credit_nanousd: int = 0
    """What every new account is given."""
    now: Callable[[], datetime] = _now


def create_management_app(deps: ManagementDeps) -> FastAPI:
    """All routes under /api."""
    app = FastAPI(
        title="Ownkey management",
        # FastAPI's own would describe a 422 that this API never answers, and no answer: tools/openapi builds ours.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
    )
    auditor = Auditor(deps.audit, deps.now)
    access = Access(deps.registry, auditor)
    idempotency = Idempotency(deps.registry, deps.now)
    shaper = Shaper(deps.url_policy, keyless=deps.keyless_credentials)
    desk = CredentialDesk(deps.registry, deps.catalog, deps.sealer, deps.validation, shaper, deps.now)
    provider_keys = ProviderKeysDesk(deps.registry, desk)

    async def last_used(account_id: str) -> Mapping[str, str]:
        return await deps.rollups.versions_last_used(account_id, deps.now().astimezone(UTC).date())

    async def leaks(account_id: str) -> Mapping[str, Leak]:
        return await deps.registry.leaks(account_id)

    cards = Cards(deps.catalog, last_used, deps.health, leaks, deps.now)
    kms_desk = KmsKeyDesk(deps.registry, deps.sealer, deps.validation, deps.now)
    app.include_router(export.routes(access, desk, cards))
    app.include_router(byok.routes(access, desk, provider_keys, deps.catalog, cards, idempotency))
    app.include_router(provider_list.routes(deps.catalog, deps.now, keyless=deps.keyless_credentials))
    app.include_router(pools.routes(access, deps.registry, desk, deps.catalog))
    share = sharing.routes(
        access, deps.registry, desk, cards, deps.records, deps.catalog, deps.sharing, consent_text(), deps.now
    )
    app.include_router(share)
    app.include_router(kms_keys.routes(access, kms_desk, desk))
    app.include_router(rewrapping.routes(access, deps.registry, idempotency, deps.now))
    app.include_router(
        gateway_keys.routes(
            access,
            deps.registry,
            deps.catalog,
            deps.key_use,
            idempotency,
            deps.now,
            allow_foreign=deps.imported_gateway_keys,
        )
    )
    people = access, deps.registry, deps.user_pool
    credit = deps.sign_up_credit_nanousd
    app.include_router(accounts.routes(*people, deps.records, idempotency, deps.now, credit))
    app.include_router(deposits.routes(access, deps.records, deps.statements, idempotency, deps.now))
    app.include_router(members.routes(*people, idempotency, deps.now))
    app.include_router(invitations.routes(*people, idempotency, deps.now))
    app.include_router(invitations.received_routes(deps.registry, deps.user_pool, auditor, deps.now))
    app.include_router(settings.routes(*people, _deployment(deps)))
    app.include_router(limits.routes(access, deps.registry, deps.counters, idempotency, deps.now))
    app.include_router(usage.routes(access, deps.activity, deps.rollups, deps.statements, deps.now))
    exports = Exports(deps.movements, deps.rollups)
    app.include_router(statements.routes(access, deps.registry, deps.catalog, exports, deps.rollups, deps.now))
    admins = AdminDesk(deps.registry, deps.catalog, deps.sealer, deps.validation, shaper, desk, deps.now)
    app.include_router(admin_credentials.routes(access, admins, deps.catalog, idempotency))
    app.include_router(reconciliations.routes(access, deps.registry, admins, idempotency, deps.now))
    app.include_router(audit_log.routes(access, deps.audit))
    app.include_router(openapi.routes())
    reporting = [each.for_reports() for each in deps.catalog.providers if each.report]
    errors.install(app, frozenset[str]().union(*map(wire_members, (*deps.catalog.providers, *reporting))))
    app.add_middleware(Envelope, sessions=deps.sessions, auditor=auditor)
    return app


def _deployment(deps: ManagementDeps) -> Mapping[str, bool]:
    """What the stack's parameters allow."""
    return {
        "imported_gateway_keys": deps.imported_gateway_keys,
        "keyless_credentials": deps.keyless_credentials,
    }


class Envelope:
    """Around every request: its id, the headers of every answer, an answer to any failure, the end of its audit entry.

    The session is checked here, before a body is read or a path looked up: strangers learn nothing of either. The one
    path that needs none has nothing to tell.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, auditor: Auditor) -> None:
        self._app = app
        self._sessions = sessions
        self._auditor = auditor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began_s, status = ids.new_id(ids.REQUEST), time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Ownkey-Request-Id"] = headers["x-request-id"] = request_id
                headers["Cache-Control"] = "no-store"
                headers["Vary"] = "Authorization"
            await send(message)

        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        try:
            if scope["path"] not in _PUBLIC:
                state["session"] = await self._sessions.check(Headers(scope=scope).get("authorization"))
            await self._app(scope, receive, send_with_headers)
        except Exception as e:  # noqa: BLE001 - the last stop: answered, logged, and the environment lives on
            if status == 0:
                await errors.render(Request(scope), e)(scope, receive, send_with_headers)
            else:
                _log.error("failed after the answer had begun", exc_info=e)
        await self._auditor.end(Request(scope), status)
        _log_line(scope, request_id, status, time.monotonic() - began_s)


def _log_line(scope: Scope, request_id: str, status: int, took_s: float) -> None:
    """Who did what to which account. The route's template, not its path; no header, no body."""
    state: dict[str, Any] = scope["state"]
    session: Session | None = state.get("session")
    _log.info(
        "management",
        extra={
            "request_id": request_id,
            "method": scope["method"],
            "route": getattr(scope.get("route"), "path", None),
            # What a path names is logged where it was found to be something: else it is whatever was pasted there.
            "target": (scope.get("path_params") or None) if status < 400 else None,
            "user_id": session and session.user_id,
            "account_id": state.get("account_id"),
            "status": status,
            "took_ms": round(took_s * 1000),
        },
    )
