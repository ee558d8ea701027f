"""The audit log of the management API: an entry before anything happens, its end when the request is answered.

```
Access lets a caller in on POST, PUT, PATCH or DELETE    the entry, outcome unknown; where it cannot be written,
                                                         nothing is done and the request is answered with 503
the route                                                note(request, credential_id=…, version=…)
the answer                                               the end: outcome, status, error code, what was noted
```
A member whose role does not reach is logged as refused. A stranger's 404 is not: the log is the account's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request

from ownkey.domain.audit import ActorKind, AuditEntry, AuditOutcome, Fact, new_audit_id
from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.scrub import scrub
from ownkey.domain.times import rfc3339
from ownkey.registry.audit import AuditTrail
from ownkey.store.aws import AwsError

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""The methods whose use is logged."""

ACTIONS: Mapping[tuple[str, str], str] = {
    ("POST", "/api/byok"): "credential.created",
    ("PATCH", "/api/byok/{credential_id}"): "credential.updated",
    ("DELETE", "/api/byok/{credential_id}"): "credential.deleted",
    ("POST", "/api/byok/{credential_id}/rotate"): "credential.rotated",
    ("POST", "/api/byok/{credential_id}/retire"): "credential.retired",
    ("POST", "/api/byok/{credential_id}/shred"): "credential.shredded",
    ("POST", "/api/byok/{credential_id}/validate"): "credential.validated",
    ("PUT", "/api/byok/{credential_id}/sharing"): "credential.sharing_set",
    ("PUT", "/api/sharing/consent"): "sharing.consented",
    ("DELETE", "/api/sharing/consent"): "sharing.consent_withdrawn",
    ("PATCH", "/api/auth"): "gateway_key.provider_keys_set",
    ("PUT", "/api/pools/{provider}"): "pool.changed",
    ("POST", "/api/gateway-keys"): "gateway_key.created",
    ("PATCH", "/api/gateway-keys/{key_id}"): "gateway_key.updated",
    ("DELETE", "/api/gateway-keys/{key_id}"): "gateway_key.revoked",
    ("POST", "/api/gateway-keys/{key_id}/rotate"): "gateway_key.rotated",
    ("POST", "/api/limits"): "limit.created",
    ("PATCH", "/api/limits/{limit_id}"): "limit.updated",
    ("DELETE", "/api/limits/{limit_id}"): "limit.deleted",
    ("POST", "/api/accounts"): "account.created",
    ("PATCH", "/api/accounts/{account_id}"): "account.updated",
    ("PATCH", "/api/settings"): "account.updated",
    ("PUT", "/api/accounts/{account_id}/kms-key"): "account.kms_key_set",
    ("DELETE", "/api/accounts/{account_id}/kms-key"): "account.kms_key_removed",
    ("POST", "/api/accounts/{account_id}/shred"): "account.shredded",
    ("POST", "/api/accounts/{account_id}/deposits"): "deposit.requested",
    ("POST", "/api/accounts/{account_id}/corrections"): "deposit.corrected",
    ("POST", "/api/accounts/{account_id}/members"): "member.set",
    ("PATCH", "/api/accounts/{account_id}/members/{user_id}"): "member.set",
    ("DELETE", "/api/accounts/{account_id}/members/{user_id}"): "member.removed",
    ("POST", "/api/accounts/{account_id}/invitations"): "invitation.created",
    ("DELETE", "/api/accounts/{account_id}/invitations/{invitation_id}"): "invitation.revoked",
    ("POST", "/api/invitations/{invitation_id}/accept"): "invitation.accepted",
    ("POST", "/api/invitations/{invitation_id}/decline"): "invitation.declined",
    ("POST", "/api/rewrap"): "rewrap.started",
    ("POST", "/api/admin-credentials"): "admin_credential.created",
    ("POST", "/api/admin-credentials/{admin_id}/rotate"): "admin_credential.rotated",
    ("DELETE", "/api/admin-credentials/{admin_id}"): "admin_credential.deleted",
    ("POST", "/api/reconciliations"): "reconciliation.started",
    ("PUT", "/api/reconciliation-settings"): "reconciliation.settings_set",
}
"""What each request is called in the log, by method and route: names that filters may lean on."""

_NAMES = {"key_id": "gateway_key_id", "admin_id": "credential_id"}
"""Parameters of paths that the log calls otherwise."""
_IN_EVERY_ENTRY = frozenset({"account_id"})
_OUR_ID = re.compile(r"^(?:cred|adm|rec|gk|acc|dep|inv|lim|rw|job)_[0-9a-hjkmnp-tv-z]{26}$")
_MAX_CHARS = 200
_MAX_VALUES = 50
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """The entry of a request under way."""

    entry: AuditEntry
    facts: dict[str, Fact] = field(default_factory=dict)


class Auditor:
    """Opens and ends the entries of requests."""

    def __init__(self, trail: AuditTrail, now: Callable[[], datetime]) -> None:
        self._trail = trail
        self._now = now

    async def begin(self, request: Request, account_id: str, kind: ActorKind, user_id: str) -> None:
        """Writes the entry of a request that changes something, once; called when it is known who the caller is.

        Raises:
            StoreUnavailable: it cannot be written; what is not logged is not done.
        """
        if request.method not in CHANGING or _open(request.scope["state"]) is not None:
            return
        at = self._now()
        entry = AuditEntry(
            id=new_audit_id(at),
            account_id=account_id,
            at=rfc3339(at),
            actor_kind=kind,
            actor_id=user_id,
            action=action_of(request),
            source_ip=request.client.host if request.client else None,
            user_agent=_text(request.headers.get("user-agent")),
            request_id=request.state.request_id,
            facts=_targets(request, only_ours=True),
        )
        await self._trail.append(entry)
        request.state.audit = _Open(entry)

    async def end(self, request: Request, status: int) -> None:
        """Writes what came of the request's entry, if it has one. An end that is lost is logged: it was answered."""
        opened = _open(request.scope["state"])
        if opened is None:
            return
        succeeded = status < 400
        outcome = AuditOutcome.SUCCEEDED if succeeded else AuditOutcome.REFUSED if status < 500 else AuditOutcome.FAILED
        # What a path names is noted where it was found to be something: else it is whatever was pasted there.
        facts = {**(_targets(request) if succeeded else {}), **opened.facts}
        code = request.scope["state"].get("error_code")
        try:
            await self._trail.end(replace(opened.entry, outcome=outcome, status=status, error_code=code, facts=facts))
        except (StoreUnavailable, AwsError) as e:
            facts_known = {"audit_id": opened.entry.id, "account_id": opened.entry.account_id, "outcome": outcome.value}
            _log.error("the end of an audit entry was lost", exc_info=e, extra=facts_known)


def note(request: Request, **facts: Fact) -> None:
    """Adds what a route found or made to its entry: ids, versions, what was changed. Never a secret, never a body."""
    opened = _open(request.scope["state"])
    if opened is not None:
        opened.facts |= {name: _plain(value) for name, value in facts.items()}


def action_of(request: Request) -> str:
    """The request's name in the log."""
    path = getattr(request.scope.get("route"), "path", "")
    return ACTIONS.get((request.method, path), f"{request.method} {path}")


def _open(state: Mapping[str, Any]) -> _Open | None:
    return state.get("audit")


def _targets(request: Request, *, only_ours: bool = False) -> dict[str, Fact]:
    """What the path names."""
    return {
        _NAMES.get(name, name): str(value)
        for name, value in request.path_params.items()
        if name not in _IN_EVERY_ENTRY and not (only_ours and not _OUR_ID.match(str(value)))
    }


def _plain(value: Fact) -> Fact:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int):
        return value
    return tuple(_text(each) or "" for each in value[:_MAX_VALUES])


def _text(value: str | None) -> str | None:
    """Printable, without anything that looks like a key, and short."""
    if value is None:
        return None
    return scrub("".join(char for char in value[: 4 * _MAX_CHARS] if char.isprintable()))[:_MAX_CHARS]
