"""Several failures, one error."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from ownkey.catalog import Catalog
from ownkey.domain import errors
from ownkey.domain.credentials import CredentialSource, PreviousVersion
from ownkey.domain.errors import (
    CredentialsCooling,
    CredentialsExhausted,
    CredentialUndecryptable,
    InsufficientCredits,
    OwnkeyError,
    ProviderCooling,
    ProviderError,
    ProviderFailure,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
    VaultUnavailable,
)
from ownkey.domain.faults import FaultKind
from ownkey.domain.health import HealthState, Mark
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers import translator_of
from ownkey.router import Candidate, Dropped
from ownkey.router.verdict import MOST_TELLING, Failure, remaining, verdict
from tests.support.inference import credential

CATALOG = Catalog.load()
TRANSLATOR = translator_of(Surface.CHAT, Dialect.OPENAI)
assert TRANSLATOR is not None
NOW = 1_790_000_000_000
PREVIOUS = PreviousVersion(1, "…", "2026-11-21T08:00:00Z")


def candidate(alias: str, provider: str = "openai", source: CredentialSource = CredentialSource.BYOK) -> Candidate:
    stored = credential(provider, alias=alias)
    return Candidate(CATALOG.provider(provider), "gpt-4o", None, stored, source, TRANSLATOR)


def failures(*found: OwnkeyError) -> list[Failure]:
    return [Failure(candidate(f"key-{n}"), error) for n, error in enumerate(found)]


def told(*found: OwnkeyError) -> OwnkeyError:
    return verdict(failures(*found), [], NOW)


def refused(status: int) -> ProviderRefused:
    return ProviderRefused("no", status=status)


# ── Which candidates are left


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_refused_everywhere(status: int) -> None:
    failure = Failure(candidate("a"), refused(status))
    assert remaining(failure, [candidate("b"), candidate("c", "groq")]) == []


@pytest.mark.parametrize("code", ["invalid_encrypted_content", "previous_response_not_found"])
def test_what_was_made_under_one_key_the_next_may_know(code: str) -> None:
    """OpenAI encrypts and stores for an organization: with keys of two, every second request would be refused."""
    error = ProviderRefused("no", status=400, code=code, details={"provider_code": code})
    others = [candidate("b"), candidate("c", "azure")]
    assert remaining(Failure(candidate("a"), error), others) == others
    assert verdict([Failure(candidate("a"), error), Failure(candidate("b"), refused(400))], [], NOW) is error


def test_a_model_that_is_not_there_may_be_elsewhere() -> None:
    elsewhere = candidate("c", "groq")
    assert remaining(Failure(candidate("a"), refused(404)), [candidate("b"), elsewhere]) == [elsewhere]


@pytest.mark.parametrize(
    "error",
    [
        CredentialsExhausted("no"),
        ProviderRateLimited("slow"),
        ProviderError("bad"),
        ProviderOverloaded("busy"),
        ProviderTimeout("late"),
        ProviderUnreachable("gone"),
        CredentialUndecryptable("sealed"),
        VaultUnavailable("down"),
        InsufficientCredits("poor"),
    ],
)
def test_anything_else_is_worth_another_try(error: OwnkeyError) -> None:
    left = [candidate("b"), candidate("c", "groq")]
    assert remaining(Failure(candidate("a"), error), left) == left


# ── Which error is answered


def test_the_order_of_the_table_decides_whatever_the_order_tried() -> None:
    ranked = [ProviderRateLimited("1"), ProviderOverloaded("2"), CredentialsExhausted("3"), InsufficientCredits("4")]
    for found in permutations(ranked):
        assert isinstance(told(*found), ProviderRateLimited)
    for found in permutations(ranked[1:]):
        assert isinstance(told(*found), ProviderOverloaded)


def test_every_failure_of_a_provider_has_its_place_in_the_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ProviderFailure)}
    assert kinds - {ProviderFailure} <= set(MOST_TELLING)


def test_all_cooling_down_waits_for_the_first_that_is_ready() -> None:
    error = told(
        ProviderRateLimited("slow", retry_after_s=20.0),
        ProviderRateLimited("slow", retry_after_s=1.5),
        ProviderRateLimited("slow"),
    )
    assert (error.status, error.code, error.retry_after_s) == (429, "upstream_rate_limited", 1.5)


def test_another_kinds_wait_does_not_count() -> None:
    error = told(ProviderRateLimited("slow", retry_after_s=20.0), ProviderOverloaded("busy", retry_after_s=1.0))
    assert error.retry_after_s == 20.0


def test_all_refused_names_each_credential_and_what_was_said() -> None:
    error = told(CredentialsExhausted("Incorrect API key"), CredentialsExhausted("Quota exceeded."))
    assert (error.status, error.code, error.retryable) == (502, "upstream_credentials_exhausted", False)
    assert error.message == "OpenAI refused the credentials 'key-0': Incorrect API key. 'key-1': Quota exceeded."
    assert error.details["credentials"] == ["key-0", "key-1"]


def test_a_refused_platform_key_is_the_operators() -> None:
    failure = Failure(candidate("shared", source=CredentialSource.PLATFORM), CredentialsExhausted("no"))
    error = verdict([failure], [], NOW)
    assert "operator" in error.fix


def test_what_was_tried_is_told() -> None:
    error = told(CredentialsExhausted("no", details={"provider_status": 401}), ProviderTimeout("late"))
    assert isinstance(error, ProviderTimeout)
    assert error.details["provider"] == "OpenAI"
    assert error.details["attempts"] == [
        {
            "provider": "openai",
            "model": "gpt-4o",
            "credential": "key-0",
            "source": "byok",
            "code": "upstream_credentials_exhausted",
            "provider_status": 401,
        },
        {
            "provider": "openai",
            "model": "gpt-4o",
            "credential": "key-1",
            "source": "byok",
            "code": "provider_timeout",
            "provider_status": None,
        },
    ]


def test_one_failure_is_told_as_it_is() -> None:
    error = told(refused(422))
    assert (error.status, error.message) == (422, "no")
    assert error.details == {"provider": "OpenAI"}


# ── What was not even tried, for its health


def unwell(alias: str, kind: FaultKind, wait_ms: int | None, said: str | None = "what it said", **of: str) -> Dropped:
    states = {
        FaultKind.RATE_LIMITED: HealthState.COOLING,
        FaultKind.FAILING: HealthState.OPEN,
        FaultKind.UNDECRYPTABLE: HealthState.UNDECRYPTABLE,
    }
    until_ms = None if wait_ms is None else NOW + wait_ms
    mark = Mark(states.get(kind, HealthState.REJECTED), kind, NOW - 1, until_ms, said)
    return candidate(alias, **of).dropped(mark)


COOLING = unwell("cool", FaultKind.RATE_LIMITED, 5_000)
FAILING = unwell("down", FaultKind.FAILING, 9_000, "Bad gateway", provider="groq")
REJECTED = unwell("old", FaultKind.REFUSED, None, "Incorrect API key")
BROKE = unwell("poor", FaultKind.OUT_OF_FUNDS, 900_000, "Quota exceeded.")
SEALED = unwell("sealed", FaultKind.UNDECRYPTABLE, 60_000, "KMS does not open it.")


def test_all_cooling_is_a_429_with_the_least_wait() -> None:
    error = verdict([], [unwell("slow", FaultKind.RATE_LIMITED, 20_000), COOLING], NOW)
    assert isinstance(error, CredentialsCooling)
    assert (error.status, error.code, error.retry_after_s, error.retryable) == (
        429,
        "upstream_credentials_cooling",
        5.0,
        None,
    )
    assert error.details["credentials"] == ["slow", "cool"]


def test_an_open_breaker_says_which_provider_and_what_it_said_last() -> None:
    error = verdict([], [FAILING], NOW)
    assert isinstance(error, ProviderCooling)
    assert (error.status, error.retry_after_s) == (503, 9.0)
    assert "Groq" in error.message
    assert "Bad gateway." in error.message


def test_all_dead_names_each_with_its_fix() -> None:
    error = verdict([], [REJECTED, BROKE, SEALED], NOW)
    assert isinstance(error, CredentialsExhausted)
    assert (error.status, error.retryable, error.retry_after_s) == (502, False, None)
    for said in ("'old': Incorrect API key.", "'poor': Quota exceeded.", "'sealed': KMS does not open it."):
        assert said in error.message
    for fix in ("'old': rotate it", "'poor': add funds", "'sealed': check the KMS key"):
        assert fix in error.fix
    assert error.details["credentials"] == ["old", "poor", "sealed"]


def test_only_undecryptable_ones_are_the_gateways_to_explain() -> None:
    error = verdict([], [SEALED], NOW)
    assert isinstance(error, CredentialUndecryptable)
    assert "'sealed'" in error.message
    assert error.fix.startswith("Check the KMS key")


@pytest.mark.parametrize("others", list(permutations([REJECTED, BROKE, SEALED, FAILING, COOLING])))
def test_of_all_kinds_what_waiting_cures_first_is_said(others: tuple[Dropped, ...]) -> None:
    assert isinstance(verdict([], others, NOW), CredentialsCooling)
    assert isinstance(verdict([], [each for each in others if each is not COOLING], NOW), ProviderCooling)


def test_a_wait_that_is_over_meanwhile_is_none() -> None:
    assert verdict([], [COOLING], NOW + 60_000).retry_after_s == 0


def test_one_that_cools_down_outweighs_another_that_was_refused_just_now() -> None:
    error = verdict(failures(CredentialsExhausted("no")), [COOLING], NOW)
    assert (type(error), error.retry_after_s) == (CredentialsCooling, 5.0)
    assert [each["code"] for each in error.details["attempts"]] == ["upstream_credentials_exhausted"]  # type: ignore[attr-defined]


def test_the_least_wait_may_be_that_of_one_that_was_not_tried() -> None:
    error = verdict(failures(ProviderRateLimited("slow", retry_after_s=20.0)), [COOLING], NOW)
    assert (type(error), error.retry_after_s) == (ProviderRateLimited, 5.0)


def test_refused_just_now_and_refused_before_are_named_together() -> None:
    refused_now = CredentialsExhausted("Expired.", details={"provider_status": 401})
    error = verdict(failures(refused_now, CredentialUndecryptable("KMS does not open it.")), [REJECTED], NOW)
    assert isinstance(error, CredentialsExhausted)
    assert error.details["credentials"] == ["key-0", "key-1", "old"]
    assert error.details["provider_status"] == 401


def test_a_dead_own_key_is_told_before_missing_credits() -> None:
    assert isinstance(verdict(failures(InsufficientCredits("poor")), [REJECTED], NOW), CredentialsExhausted)


def test_both_versions_of_a_rotation_are_told_apart() -> None:
    rotating = [
        replace(each, credential=replace(each.credential, version=version, previous=PREVIOUS))
        for version in (2, 1)
        for each in [REJECTED]
    ]
    error = verdict([], rotating, NOW)
    assert "'old, version 2': Incorrect API key. 'old, version 1': Incorrect API key." in error.message
    assert error.details["credentials"] == ["old"]
