"""Several failures, one error."""

from __future__ import annotations

from itertools import permutations

import pytest

from ownkey.catalog import Catalog
from ownkey.domain import errors
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import (
    CredentialsExhausted,
    CredentialUndecryptable,
    InsufficientCredits,
    OwnkeyError,
    ProviderError,
    ProviderFailure,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
    VaultUnavailable,
)
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers import translator_of
from ownkey.router import Candidate
from ownkey.router.verdict import MOST_TELLING, Failure, remaining, verdict
from tests.support.inference import credential

CATALOG = Catalog.load()
TRANSLATOR = translator_of(Surface.CHAT, Dialect.OPENAI)
assert TRANSLATOR is not None


def candidate(alias: str, provider: str = "openai", source: CredentialSource = CredentialSource.BYOK) -> Candidate:
    stored = credential(provider, alias=alias)
    return Candidate(CATALOG.provider(provider), "gpt-4o", None, stored, source, TRANSLATOR)


def failures(*found: OwnkeyError) -> list[Failure]:
    return [Failure(candidate(f"key-{n}"), error) for n, error in enumerate(found)]


def refused(status: int) -> ProviderRefused:
    return ProviderRefused("no", status=status)


# ── Which candidates are left


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_refused_everywhere(status: int) -> None:
    failure = Failure(candidate("a"), refused(status))
    assert remaining(failure, [candidate("b"), candidate("c", "groq")]) == []


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
        assert isinstance(verdict(failures(*found)), ProviderRateLimited)
    for found in permutations(ranked[1:]):
        assert isinstance(verdict(failures(*found)), ProviderOverloaded)


def test_every_failure_of_a_provider_has_its_place_in_the_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ProviderFailure)}
    assert kinds - {ProviderFailure} <= set(MOST_TELLING)


def test_all_cooling_down_waits_for_the_first_that_is_ready() -> None:
    error = verdict(
        failures(
            ProviderRateLimited("slow", retry_after_s=20.0),
            ProviderRateLimited("slow", retry_after_s=1.5),
            ProviderRateLimited("slow"),
        )
    )
    assert (error.status, error.code, error.retry_after_s) == (429, "upstream_rate_limited", 1.5)


def test_another_kinds_wait_does_not_count() -> None:
    error = verdict(
        failures(ProviderRateLimited("slow", retry_after_s=20.0), ProviderOverloaded("busy", retry_after_s=1.0))
    )
    assert error.retry_after_s == 20.0


def test_all_refused_names_each_credential_and_what_was_said() -> None:
    error = verdict(failures(CredentialsExhausted("Incorrect API key"), CredentialsExhausted("Quota exceeded.")))
    assert (error.status, error.code, error.retryable) == (502, "upstream_credentials_exhausted", False)
    assert error.message == "OpenAI refused the credentials 'key-0': Incorrect API key. 'key-1': Quota exceeded."
    assert error.details["credentials"] == ["key-0", "key-1"]


def test_a_refused_platform_key_is_the_operators() -> None:
    error = verdict([Failure(candidate("shared", source=CredentialSource.PLATFORM), CredentialsExhausted("no"))])
    assert "operator" in error.fix


def test_what_was_tried_is_told() -> None:
    error = verdict(failures(CredentialsExhausted("no", details={"provider_status": 401}), ProviderTimeout("late")))
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
    error = verdict(failures(refused(422)))
    assert (error.status, error.message) == (422, "no")
    assert error.details == {"provider": "OpenAI"}
