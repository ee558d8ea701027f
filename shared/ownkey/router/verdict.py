"""Several failures, one error: the one that its reader can do most about.

The order below is also in docs/contracts/errors.md. A failure that waiting cures stands before one that needs somebody
to change something: a client that retries by itself then does the right thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ownkey.domain.errors import (
    BadRequest,
    BudgetExceeded,
    CredentialsCooling,
    CredentialsExhausted,
    CredentialUndecryptable,
    InsufficientCredits,
    OwnkeyError,
    ProviderAnswerTooLarge,
    ProviderCooling,
    ProviderError,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
    StoreUnavailable,
    UnsupportedParameter,
    VaultUnavailable,
)
from ownkey.domain.faults import UNDER_ANOTHER_KEY, FaultKind, fault_of
from ownkey.router.candidates import Candidate, Dropped
from ownkey.router.unwell import Dead, dead_of, exhausted, refusal

MOST_TELLING: tuple[type[OwnkeyError], ...] = (
    ProviderRefused,
    ProviderAnswerTooLarge,
    RateLimited,
    ProviderRateLimited,
    CredentialsCooling,
    ProviderOverloaded,
    ProviderCooling,
    ProviderTimeout,
    ProviderError,
    ProviderUnreachable,
    ProviderInvalidResponse,
    ProviderStreamBroken,
    StoreUnavailable,
    VaultUnavailable,
    CredentialsExhausted,
    CredentialUndecryptable,
    BudgetExceeded,
    InsufficientCredits,
    UnsupportedParameter,
)
"""Of failures of different kinds, the first kind here is answered."""
_DEAD = (CredentialsExhausted, CredentialUndecryptable)
"""Of credentials that waiting does not cure."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of one candidate."""

    candidate: Candidate
    error: OwnkeyError


def remaining(failure: Failure, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates still worth trying after a failure.

    A request that a provider refuses is refused by its next key too, but for what was made under one key and given
    back under another; a model that one provider does not have, another may; what one API cannot express, another may;
    what nobody could read is nobody's to serve; what is too large is so again; a rate limit of the account's own holds
    for all of them. Everything else may well succeed elsewhere.
    """
    if final(failure):
        return []
    if isinstance(failure.error, UnsupportedParameter):
        tried = failure.candidate
        return [each for each in candidates if each.provider.id != tried.provider.id or each.model_id != tried.model_id]
    if not isinstance(failure.error, ProviderRefused) or _of_another_key(failure.error):
        return list(candidates)
    return [each for each in candidates if each.provider.id != failure.candidate.provider.id]


def final(failure: Failure) -> bool:
    """Whether nobody else need be tried."""
    error = failure.error
    if isinstance(error, BadRequest):
        return not isinstance(error, UnsupportedParameter)
    if isinstance(error, ProviderRefused):
        return error.status != 404 and not _of_another_key(error)
    return isinstance(error, RateLimited | ProviderAnswerTooLarge)


def _of_another_key(error: ProviderRefused) -> bool:
    return error.details.get("provider_code") in UNDER_ANOTHER_KEY


def verdict(failures: Sequence[Failure], unwell: Sequence[Dropped], at_ms: int) -> OwnkeyError:
    """The error to answer with. Its details say what was tried; Retry-After is the least that any of its kind names.

    Args:
        unwell: Candidates that were not tried for their health; without failures, at least one.
        at_ms: When that was decided.
    """
    passed_over = refusal(unwell, at_ms) if unwell else None
    if not failures:
        assert passed_over is not None
        return passed_over
    chosen = min(failures, key=lambda failure: _rank(failure.error))
    alike = [failure.error for failure in failures if type(failure.error) is type(chosen.error)]
    error = chosen.error
    if isinstance(error, _DEAD) and (passed_over is None or isinstance(passed_over, _DEAD)):
        error = _exhausted(failures, unwell)
    elif passed_over is not None and _rank(passed_over) < _rank(error):
        error, alike = passed_over, [passed_over]
    elif passed_over is not None and passed_over.status == error.status:
        alike.append(passed_over)
    waits = [each.retry_after_s for each in alike if each.retry_after_s is not None]
    error.retry_after_s = min(waits, default=None)
    error.details = {"provider": chosen.candidate.provider.display_name, **error.details}
    if len(failures) > 1 or unwell:
        error.details["attempts"] = [_summary(failure) for failure in failures]
    return error


def _exhausted(failures: Sequence[Failure], unwell: Sequence[Dropped]) -> OwnkeyError:
    """All that waiting does not cure, whether it was found out now or before."""
    refused = [each for each in failures if isinstance(each.error, _DEAD)]
    dead = [_dead(each) for each in refused] + [dead_of(each) for each in unwell]
    return exhausted(dead, refused[0].error.details)


def _dead(failure: Failure) -> Dead:
    candidate, fault = failure.candidate, fault_of(failure.error)
    kind = fault.kind if fault is not None else FaultKind.REFUSED
    return Dead(candidate.credential, candidate.provider.display_name, candidate.source, kind, failure.error.message)


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


def _rank(error: OwnkeyError) -> int:
    ranks = (rank for rank, kind in enumerate(MOST_TELLING) if isinstance(error, kind))
    return next(ranks, len(MOST_TELLING))
