"""A key that is about to be stored: sealed, and accepted by its provider when asked once.

The function this runs in can seal and cannot open: what travels to the validation is the ciphertext.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ownkey.catalog import Provider, ValidationStatus
from ownkey.domain import scrub
from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Credential, SealedSecret
from ownkey.domain.errors import (
    BadRequest,
    CredentialRejected,
    KmsKeyUnusable,
    ProviderUnreachable,
    VaultUnavailable,
)
from ownkey.domain.secrets import Secret
from ownkey.http.management.key_format import unusual
from ownkey.validation import Candidate, Finding, Kept, Verdict
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
    """A credential that its provider accepted, its secret sealed; not stored yet."""

    credential: Credential
    sealed: SealedSecret | None
    """None: keyless, or nothing new was sealed."""
    head: AccountHead
    """The account when the secret was sealed: it is stored only where the account still has that KMS key."""
    warnings: tuple[str, ...]


class Prover:
    """Seals secrets and has them validated.

    Args:
        timestamp: Now, as items have it.
    """

    def __init__(self, sealer: Sealer, validation: ValidationPort, timestamp: Callable[[], str]) -> None:
        self._sealer = sealer
        self._validation = validation
        self._timestamp = timestamp

    async def prove(
        self, credential: Credential, provider: Provider, secrets: Mapping[str, Secret], head: AccountHead
    ) -> Proven:
        """Seals the secrets (none: keyless) for this credential and asks its provider, exactly once.

        Raises:
            CredentialRejected, ProviderUnreachable: what the provider said, or did not.
            KmsKeyUnusable: the account's own KMS key does not do what it is needed for.
            VaultUnavailable: it could not be sealed, or the sealed secret could not be opened for the question.
        """
        _refuse_leaks(credential, secrets.values())
        with _live(secrets.values()):
            at = self._timestamp()
            proven = replace(credential, validated_at=at, updated_at=at, secret_created_at=at)
            sealed = None
            if secrets:
                sealed = await self._sealer.seal(proven.binding(), secrets, now=at, kms_key_id=head.kms_key_arn)
            finding = await self._validation.validate(Candidate.of(proven, sealed))
            _raise_for(finding, provider, head)
            return Proven(proven, sealed, head, tuple(_warnings(proven, provider, secrets, finding)))

    async def prove_stored(
        self, credential: Credential, provider: Provider, sealed: SealedSecret | None, head: AccountHead
    ) -> Proven:
        """Asks the provider about changed public fields, with the secret that is stored already.

        Raises:
            As `prove`.
        """
        candidate = Candidate.of(credential, sealed, kept=Kept.ACCEPTANCE)
        finding = await self._validation.validate(candidate)
        _raise_for(finding, provider, head)
        at = self._timestamp()
        proven = replace(credential, validated_at=at, updated_at=at)
        return Proven(proven, None, head, tuple(_warnings(proven, provider, {}, finding)))


@contextmanager
def _live(secrets: Collection[Secret]) -> Iterator[None]:
    """While secrets are in hand, the scrubber knows them. Not longer: what users paste must not shape others' logs."""
    for secret in secrets:
        scrub.register(secret)
    try:
        yield
    finally:
        for secret in secrets:
            scrub.unregister(secret)


def _raise_for(finding: Finding, provider: Provider, head: AccountHead) -> None:
    reason = scrub.scrub(finding.reason or "")
    details = {"provider": provider.id, "provider_status": finding.status}
    match finding.verdict:
        case Verdict.ACCEPTED:
            return
        case Verdict.REJECTED:
            raise CredentialRejected(
                f"{provider.display_name} refused the key: {reason or 'it gave no reason'}",
                fix=finding.fix,
                param="key",
                details=details,
            )
        case Verdict.UNREACHABLE:
            raise ProviderUnreachable(
                f"{provider.display_name} could not confirm the key, so nothing was stored: {reason or 'no answer'}",
                fix=finding.fix,
                details=details,
            )
        case Verdict.UNDECRYPTABLE:
            if head.kms_key_arn is not None:
                raise KmsKeyUnusable(f"The account's KMS key seals and does not open again: {reason}", fix=finding.fix)
            raise VaultUnavailable("The vault could not open the key for its validation. Nothing was stored.")


def _warnings(credential: Credential, provider: Provider, secrets: Mapping[str, Secret], finding: Finding) -> list[str]:
    warnings = unusual(provider, secrets["key"]) if "key" in secrets else []
    if finding.reason:
        warnings.append(scrub.scrub(finding.reason))
    if provider.form(credential.form).validation.status is ValidationStatus.UNVERIFIED:
        warnings.append(f"{provider.display_name} may answer its validation call without checking the key.")
    return warnings


def _refuse_leaks(credential: Credential, secrets: Collection[Secret]) -> None:
    """A secret pasted into a second field as well would be stored, and shown, in the clear."""
    public = [
        credential.alias,
        credential.destination,
        *credential.headers.values(),
        *credential.fields.values(),
        *(credential.allowed_models or ()),
    ]
    plain = [secret.reveal() for secret in secrets if len(secret) >= _MIN_LEAK_CHARS]
    if any(each in text for each in plain for text in public):
        raise BadRequest("The key also stands in another field, which is not kept secret.", fix="Leave it out there.")
