"""A key that is about to be stored: sealed, and accepted by its provider when asked once.

The function this runs in can seal and cannot open: what travels to the validation is the ciphertext.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ownkey.catalog import Provider, ValidationStatus
from ownkey.domain import scrub
from ownkey.domain.credentials import Credential, SealedSecret
from ownkey.domain.errors import BadRequest, CredentialRejected, ProviderUnreachable, VaultUnavailable
from ownkey.domain.secrets import Secret, mask
from ownkey.http.management.key_format import unusual
from ownkey.validation import Candidate, Finding, Verdict
from ownkey.vault import Sealer

_MIN_LEAK_CHARS = 8


class ValidationPort(Protocol):
    """Asks the credential's provider, once, whether the sealed key is good."""

    async def validate(self, candidate: Candidate) -> Finding:
        """The finding.

        Raises:
            GatewayFailure: it could not be asked.
        """


@dataclass(frozen=True, slots=True)
class Proven:
    """A key that its provider accepted, sealed; not stored yet."""

    credential: Credential
    sealed: SealedSecret
    warnings: tuple[str, ...]


class Prover:
    """Seals keys and has them validated.

    Args:
        timestamp: Now, as items have it.
    """

    def __init__(self, sealer: Sealer, validation: ValidationPort, timestamp: Callable[[], str]) -> None:
        self._sealer = sealer
        self._validation = validation
        self._timestamp = timestamp

    async def prove(self, credential: Credential, provider: Provider, key: Secret) -> Proven:
        """Seals the key for this credential and asks its provider, exactly once.

        Raises:
            CredentialRejected, ProviderUnreachable: what the provider said, or did not.
            VaultUnavailable: it could not be sealed, or the sealed key could not be opened for the question.
        """
        _refuse_leaks(credential, key)
        with _live(key):
            at = self._timestamp()
            proven = replace(credential, mask=mask(key.reveal()), validated_at=at, updated_at=at)
            sealed = await self._sealer.seal(proven.binding(), {"key": key}, now=at)
            finding = await self._validation.validate(Candidate.of(proven, sealed))
            _raise_for(finding, provider)
            return Proven(proven, sealed, tuple(_warnings(provider, key, finding)))


@contextmanager
def _live(key: Secret) -> Iterator[None]:
    """While the key is in hand, the scrubber knows it. Not longer: what users paste must not shape others' logs."""
    scrub.register(key)
    try:
        yield
    finally:
        scrub.unregister(key)


def _raise_for(finding: Finding, provider: Provider) -> None:
    reason = scrub.scrub(finding.reason or "")
    details = {"provider": provider.id, "provider_status": finding.status}
    match finding.verdict:
        case Verdict.ACCEPTED:
            return
        case Verdict.REJECTED:
            raise CredentialRejected(
                f"{provider.display_name} refused the key: {reason or 'it gave no reason'}",
                param="key",
                details=details,
            )
        case Verdict.UNREACHABLE:
            raise ProviderUnreachable(
                f"{provider.display_name} could not confirm the key, so nothing was stored: {reason or 'no answer'}",
                details=details,
            )
        case Verdict.UNDECRYPTABLE:
            raise VaultUnavailable("The vault could not open the key for its validation. Nothing was stored.")


def _warnings(provider: Provider, key: Secret, finding: Finding) -> list[str]:
    warnings = unusual(provider, key)
    if finding.reason:
        warnings.append(scrub.scrub(finding.reason))
    if provider.validation.status is ValidationStatus.UNVERIFIED:
        warnings.append(f"{provider.display_name} may answer its validation call without checking the key.")
    return warnings


def _refuse_leaks(credential: Credential, key: Secret) -> None:
    """A key pasted into a second field as well would be stored, and shown, in the clear."""
    plain = key.reveal()
    public = [
        credential.alias,
        credential.destination,
        *credential.headers.values(),
        *(credential.allowed_models or ()),
    ]
    if len(plain) >= _MIN_LEAK_CHARS and any(plain in text for text in public):
        raise BadRequest("The key also stands in another field, which is not kept secret.", fix="Leave it out there.")
