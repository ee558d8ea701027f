"""Accounts (tenants), their members, and what a role may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ownkey.domain.sharing import Consent

PLATFORM_ACCOUNT = "platform"
"""The operator's own account: its credentials are the platform credentials. Nobody's gateway key belongs to it."""

ACCOUNT_ID_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,46}[A-Za-z0-9])?$"


class Role(StrEnum):
    """What a member may do in an account; the table is in docs/contracts/management-api.md."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    BILLING = "billing"


class OnDisconnect(StrEnum):
    """What becomes of an answer whose client has gone, as far as the function learns of it."""

    DRAIN = "drain"
    """It is read to its end: the usage is the provider's own, and a repeat of the request finds the answer."""
    ABORT = "abort"
    """The provider is left at once: it generates no more, and what it had generated is estimated."""


@dataclass(frozen=True, slots=True)
class AccountHead:
    """The one item of an account that every request reads.

    `version` rises in the same transaction as any change to the account's credentials or settings, so that a
    warm function knows its snapshot is stale.
    """

    id: str
    name: str
    version: int
    created_at: str
    disabled: bool = False
    platform_allowed: bool = True
    """False: requests of this account never fall back to platform credentials."""
    pools: Mapping[str, str] = field(default_factory=dict)
    """Provider id → `PoolStrategy` of the account's credentials for it; absent: `fallback`."""
    kms_key_arn: str | None = None
    """The KMS key of the account's own, which its credentials are wrapped under. None: the deployment's."""
    credit_shards: int = 1
    """Sub-balances that its holds are spread over (1 to `ledger.MAX_SHARDS`), where they wait for each other at one. It
    may be lowered: the ones that were opened are still summed, and drawn from."""
    on_disconnect: OnDisconnect = OnDisconnect.DRAIN
    sharing_consent: Consent | None = None
    """To the text about sharing credentials with other accounts. None: never given, or withdrawn."""


@dataclass(frozen=True, slots=True)
class Member:
    """A user (a subject of the Cognito pool) in an account."""

    account_id: str
    user_id: str
    email: str
    role: Role
    added_at: str
