"""Several failures, one error: the one that its reader can do most about.

The order below is also in docs/contracts/errors.md. A failure that waiting cures stands before one that needs somebody
to change something: a client that retries by itself then does the right thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import (
    CredentialsExhausted,
    CredentialUndecryptable,
    InsufficientCredits,
    OwnkeyError,
    ProviderError,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    StoreUnavailable,
    VaultUnavailable,
)
from ownkey.router.plan import Candidate

MOST_TELLING: tuple[type[OwnkeyError], ...] = (
    ProviderRefused,
    ProviderRateLimited,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderError,
    ProviderUnreachable,
    ProviderInvalidResponse,
    ProviderStreamBroken,
    StoreUnavailable,
    VaultUnavailable,
    CredentialsExhausted,
    CredentialUndecryptable,
    InsufficientCredits,
)
"""Of failures of different kinds, the first kind here is answered."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of one candidate."""

    candidate: Candidate
    error: OwnkeyError


def remaining(failure: Failure, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates still worth trying after a failure.

    A request that a provider refuses is refused by its next key too; a model that one provider does not have, another
    may. Everything else may well succeed elsewhere.
    """
    if not isinstance(failure.error, ProviderRefused):
        return list(candidates)
    if failure.error.status != 404:
        return []
    return [each for each in candidates if each.provider.id != failure.candidate.provider.id]


def verdict(failures: Sequence[Failure]) -> OwnkeyError:
    """The error to answer with. Its details say what was tried; Retry-After is the least that any of its kind names."""
    chosen = min(failures, key=lambda failure: _rank(failure.error))
    alike = [failure for failure in failures if type(failure.error) is type(chosen.error)]
    error = chosen.error
    if isinstance(error, CredentialsExhausted):
        error = _exhausted(alike)
    waits = [each.error.retry_after_s for each in alike if each.error.retry_after_s is not None]
    error.retry_after_s = min(waits, default=None)
    error.details = {"provider": chosen.candidate.provider.display_name, **error.details}
    if len(failures) > 1:
        error.details["attempts"] = [_summary(failure) for failure in failures]
    return error


def _exhausted(failures: Sequence[Failure]) -> CredentialsExhausted:
    said = [f"{each.candidate.credential.alias!r}: {_sentence(each.error.message)}" for each in failures]
    aliases = [each.candidate.credential.alias for each in failures]
    provider = failures[0].candidate.provider.display_name
    own = any(each.candidate.source is CredentialSource.BYOK for each in failures)
    return CredentialsExhausted(
        f"{provider} refused the {'credential' if len(said) == 1 else 'credentials'} {' '.join(said)}",
        fix=None if own else "Ask the operator of this gateway to replace the platform's credential.",
        details={**failures[0].error.details, "credentials": aliases},
    )


def _summary(failure: Failure) -> dict[str, object]:
    error, candidate = failure.error, failure.candidate
    return {
        "provider": candidate.provider.id,
        "model": candidate.model_id,
        "credential": candidate.credential.alias,
        "source": candidate.source.value,
        "code": error.code,
        "provider_status": error.details.get("provider_status"),
    }


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _rank(error: OwnkeyError) -> int:
    ranks = (rank for rank, kind in enumerate(MOST_TELLING) if isinstance(error, kind))
    return next(ranks, len(MOST_TELLING))
