"""The audit log's entries: who did what, to what, from where, and what came of it. Never a secret, never a body.

An entry of a request is written before anything happens, and its end beside it when the request is answered: one
without an end is of a request whose outcome nobody saw. What a function does by itself is one entry, whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from ownkey.domain import ids

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Fact = str | int | bool | None | Sequence[str]
"""What may stand in an entry beside its own fields."""


class ActorKind(StrEnum):
    """Who acts."""

    USER = "user"
    """A member of the account, or somebody who was invited to it."""
    OPERATOR = "operator"
    """The deployment's operator, who is no member of the account."""
    FUNCTION = "function"
    """A function on behalf of a request: `actor_id` is its name."""
    SYSTEM = "system"
    """A schedule."""


class AuditOutcome(StrEnum):
    """What came of it."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """The caller's fault: no right, a bad request, a key that its provider or KMS refuses."""
    FAILED = "failed"
    """Ours."""
    UNKNOWN = "unknown"
    """The end was never written: the function died, or the table could not be reached."""


TARGETS = (
    "account_id",
    "credential_id",
    "version",
    "provider",
    "gateway_key_id",
    "user_id",
    "invitation_id",
    "deposit_id",
    "limit_id",
    "job_id",
    "reconciliation_id",
)
"""The facts that say what was acted on; all others are details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action in one account's log."""

    id: str
    """Time-ordered; where it says so, made of what the entry is about, so that it is written once."""
    account_id: str
    """Whose log."""
    at: str
    """RFC 3339, UTC."""
    actor_kind: ActorKind
    actor_id: str
    action: str
    """A stable name: `credential.rotated`, `gateway_key.revoked`, `credential.unwrapped`."""
    outcome: AuditOutcome = AuditOutcome.UNKNOWN
    status: int | None = None
    """Of the HTTP answer."""
    error_code: str | None = None
    source_ip: str | None = None
    """As API Gateway saw it: what a client says of itself in headers does not count."""
    user_agent: str | None = None
    request_id: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What was acted on (`TARGETS`), and further details."""


def new_audit_id(at: datetime) -> str:
    """An id for something that happens once."""
    return ids.new_id(ids.AUDIT, milliseconds(at))


def settled_audit_id(at: datetime, *about: str) -> str:
    """The same id for the same things: repeated writes of the entry leave one."""
    digest = sha256("\x1f".join(about).encode()).digest()
    return ids.made_id(ids.AUDIT, milliseconds(at), int.from_bytes(digest[:10], "big"))


def milliseconds(at: datetime) -> int:
    """Since the epoch, whole: as ids have them."""
    return (at - _EPOCH) // timedelta(milliseconds=1)
