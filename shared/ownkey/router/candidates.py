"""What a plan is made from and of: what accounts have, who may serve, who may not and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from ownkey.catalog import Form, Model, Provider
from ownkey.domain.credentials import Credential, CredentialSource, PoolStrategy, StoredCredential
from ownkey.domain.health import HEALTHY, Health, HealthState, Mark, credential_key, model_key, provider_key
from ownkey.providers import Translator
from ownkey.router.pools import Draws, first_turn

NO_PROBES: Mapping[str, Mark] = MappingProxyType({})
_ALL_FALLBACK: Mapping[str, PoolStrategy] = MappingProxyType({})


class Reason(StrEnum):
    """Why a credential may not serve. The value is what people read."""

    DISABLED = "it is disabled"
    OTHER_GATEWAY_KEY = "it is for other gateway keys"
    PROVIDER_OUT_OF_SCOPE = "its provider is not in the gateway key's scope"
    MODEL_OUT_OF_SCOPE = "the model, at its provider, is not in the gateway key's scope"
    MODEL_NOT_ALLOWED = "it is not allowed for this model"
    NOT_WANTED = "the request leaves its provider out"
    ACCOUNT_FORBIDS_PLATFORM = "the account forbids platform credentials"
    REQUEST_FORBIDS_PLATFORM = "the request forbids platform credentials"
    CREDENTIAL_FORBIDS_PLATFORM = "an own credential for this provider says never to fall back"
    UNPRICED = "the model has no known price, so the platform does not serve it"
    OTHER_SURFACE = "its provider does not serve this endpoint"
    REJECTED = "its provider refused it"
    COOLING = "it is cooling down"
    UNDECRYPTABLE = "it cannot be decrypted"
    PROVIDER_FAILING = "its provider is failing"


OF_HEALTH: Mapping[HealthState, Reason] = {
    HealthState.REJECTED: Reason.REJECTED,
    HealthState.COOLING: Reason.COOLING,
    HealthState.UNDECRYPTABLE: Reason.UNDECRYPTABLE,
    HealthState.OPEN: Reason.PROVIDER_FAILING,
}
"""The reason that a mark is. All others are the account's, the operator's or the client's own will."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One credential that may serve, and what for."""

    provider: Provider
    model_id: str
    """As the provider names it."""
    model: Model | None
    """None: the catalog does not know it, so its price is unknown."""
    stored: StoredCredential
    source: CredentialSource
    translator: Translator
    probes: Mapping[str, Mark] = NO_PROBES
    """Marks, by their key, that this attempt may end: it needs the right to be their probe. Mostly none."""
    lent: bool = False
    """Whether another account shares it: whom it serves learns nothing of whose it is, nor its owner of the request."""

    @property
    def credential(self) -> Credential:
        """The credential's public part."""
        return self.stored.credential

    @property
    def side(self) -> str:
        """Whose marks are about it: the client's account's, the operator's, or those of the account that shares it."""
        # No account's id begins with a hash sign.
        return f"#{self.credential.account_id}" if self.lent else self.source.value

    @property
    def health_keys(self) -> tuple[str, str, str]:
        """Of the marks that may stand in its way: the credential's, the one for the model, the provider's."""
        return health_keys(self.provider, self.model_id, self.credential)

    def dropped(self, mark: Mark) -> Dropped:
        """The same, where a mark stands in its way."""
        reason = OF_HEALTH[mark.state]
        if self.lent:
            mark = replace(mark, reason=None)
        return Dropped(self.provider, self.model_id, self.credential, self.source, reason, mark)

    @property
    def form(self) -> Form:
        """How the credential was given, and so how it is presented."""
        return self.provider.form(self.stored.credential.form)

    @property
    def base_url(self) -> str:
        """Where the key may go: the base URL it was sealed for, whatever the catalog says by now.

        A keyless credential's token goes to the catalog's address alone: nothing is sealed that would bind it.
        """
        credential = self.stored.credential
        if credential.keyless:
            return self.provider.address(self.form, credential.fields) or ""
        return credential.destination


@dataclass(frozen=True, slots=True)
class Dropped:
    """One credential that may not serve, and why."""

    provider: Provider
    model_id: str
    credential: Credential
    source: CredentialSource
    reason: Reason
    mark: Mark | None = None
    """What stands in its way, where it is its health."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What one account, the client's, the operator's or one that shares, has to serve with."""

    credentials: Sequence[StoredCredential] = ()
    health: Health = HEALTHY
    pools: Mapping[str, PoolStrategy] = _ALL_FALLBACK
    """By provider's id; absent: `fallback`."""
    lender: str | None = None
    """The account that shares them, where they serve others."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What differs between two equal requests: when they come, and what chance says."""

    at_ms: int = 0
    """Epoch milliseconds."""
    draws: Draws = first_turn


def health_keys(provider: Provider, model_id: str, credential: Credential) -> tuple[str, str, str]:
    """Of the marks that may stand in a credential's way: its own, the one for the model, its provider's."""
    return (
        credential_key(credential.id, credential.version),
        model_key(credential.id, credential.version, model_id),
        provider_key(provider.id, credential.destination),
    )
