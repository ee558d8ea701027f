"""Sharing: an account lets a credential of its own serve platform traffic of others, for a part of its cost. Pure.

Nothing is shared unless all of it holds, looked at anew with each request: the operator has put the provider on the
list, an owner or admin has shared this version of the credential, and the account has consented to the text as it is
now. What others learn of it is `SHARED`; what the account learns of others is a provider, a model and an amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ownkey.domain.times import parse_rfc3339

if TYPE_CHECKING:
    from ownkey.domain.accounts import AccountHead
    from ownkey.domain.credentials import Credential

SHARED = "shared"
"""What stands in the place of a shared credential's alias and id, wherever those whom it serves may read."""
SHARED_VERSION = 0
"""Likewise, of its version."""
WHOLE_BASIS_POINTS = 10_000
REWARD_BASIS_POINTS = 500
"""5 %."""


class Hindrance(StrEnum):
    """Why a credential does not serve others. The value is what the API shows."""

    NOT_SHARED = "not_shared"
    PROVIDER_NOT_PERMITTED = "provider_not_permitted"
    """The operator has not marked the provider's terms as permitting it."""
    CONSENT_MISSING = "consent_missing"
    CONSENT_OUTDATED = "consent_outdated"
    """The text has changed since."""
    ACCOUNT_DISABLED = "account_disabled"
    DISABLED = "disabled"
    EXPIRED = "expired"
    """Past the end that its owner noted."""
    OWN_ENDPOINT = "own_endpoint"
    """It goes to an address of its owner's: whoever runs that would read the requests of others."""
    KEYLESS = "keyless"
    """It stands for the identity of the deployment itself."""
    GATEWAY_KEYS = "gateway_keys"
    """It is for chosen gateway keys, and others' are not among them."""


@dataclass(frozen=True, slots=True)
class Consent:
    """An account's consent to one version of the text."""

    version: str
    digest: str
    """SHA-256 of the text, hex."""
    given_by: str
    """User id."""
    given_at: str


@dataclass(frozen=True, slots=True)
class SharingTerms:
    """What sharing goes by in this deployment."""

    consent_version: str
    consent_digest: str
    providers: frozenset[str] = frozenset()
    """Ids of those whose terms the operator has marked as permitting it. Empty: nothing is shared."""
    reward_basis_points: int = REWARD_BASIS_POINTS
    """Of the cost by the published prices; 100 are 1 %."""

    def consented(self, consent: Consent | None) -> bool:
        """Whether a consent is to the text as it is now."""
        return consent is not None and (consent.version, consent.digest) == (self.consent_version, self.consent_digest)


@dataclass(frozen=True, slots=True)
class Donation:
    """Whose credential served an attempt, and for what. Part of the attempt's record; no view shows it."""

    account_id: str
    credential_id: str
    credential_version: int
    reward_id: str
    """Made with the intent, and says nothing of the attempt: what it is posted under, once."""
    reward_basis_points: int

    def reward(self, cost_nanousd: int) -> int:
        """What the account is given for an attempt of this cost, in nano-dollars: half to even, as all money."""
        whole, rest = divmod(cost_nanousd * self.reward_basis_points, WHOLE_BASIS_POINTS)
        half = WHOLE_BASIS_POINTS // 2
        return whole + (rest > half or (rest == half and whole % 2 == 1))

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Donation:
        """From its plain values."""
        return Donation(**item)


def never_shared(credential: Credential) -> Hindrance | None:
    """What of the credential itself rules sharing out."""
    if credential.custom_base_url:
        return Hindrance.OWN_ENDPOINT
    if credential.keyless:
        return Hindrance.KEYLESS
    return None if credential.gateway_keys is None else Hindrance.GATEWAY_KEYS


def hindrance(terms: SharingTerms, head: AccountHead, credential: Credential, at: datetime) -> Hindrance | None:
    """Why a credential does not serve others; None: it does, as far as its health and the model allow."""
    if credential.shared_version != credential.version:
        return Hindrance.NOT_SHARED
    if credential.provider_id not in terms.providers:
        return Hindrance.PROVIDER_NOT_PERMITTED
    if not terms.consented(head.sharing_consent):
        return Hindrance.CONSENT_MISSING if head.sharing_consent is None else Hindrance.CONSENT_OUTDATED
    if head.disabled:
        return Hindrance.ACCOUNT_DISABLED
    if credential.disabled:
        return Hindrance.DISABLED
    if credential.expires_at is not None and parse_rfc3339(credential.expires_at) <= at:
        return Hindrance.EXPIRED
    return never_shared(credential)


def guest(account_id: str) -> str:
    """What stands for an account in the marks of one whose credential serves it, and tells nobody which it is."""
    return f"guest-{sha256(account_id.encode()).hexdigest()[:16]}"


def lent(credential: Credential) -> Credential:
    """The credential as it serves others: what its owner called it and wants of its own traffic is left out."""
    return replace(
        credential, alias=SHARED, mask="", previous=None, pricing=None, priority=0, weight=1, always_use=False
    )
