"""Marks: which failure takes out what, for how long, and what brings it back (C15, R4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain import health
from ownkey.domain.errors import (
    BadRequest,
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
from ownkey.domain.faults import Fault, FaultKind, fault_of, shows_life
from ownkey.domain.health import (
    MAX_MARKS,
    Health,
    HealthState,
    Mark,
    Scope,
    after_fault,
    after_validation,
    claimed,
    credential_key,
    model_key,
    provider_key,
    prunable,
    released,
    scope_of,
)

NOW = 1_790_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
KINDS = st.sampled_from(list(FaultKind))


def refused(status: int, message: str = "no", **details: object) -> CredentialsExhausted:
    return CredentialsExhausted(message, details={"provider_status": status, **details})


def mark(kind: FaultKind, now_ms: int = NOW, old: Mark | None = None, wait_ms: int | None = None) -> Mark:
    made = after_fault(old, Fault(kind, "what it said", wait_ms), now_ms, probing=old is not None)
    assert made is not None
    return made


# ── What a failure says


@pytest.mark.parametrize(
    ("error", "kind", "scope"),
    [
        (refused(401), FaultKind.REFUSED, Scope.CREDENTIAL),
        (refused(402), FaultKind.OUT_OF_FUNDS, Scope.CREDENTIAL),
        (refused(429, "no", provider_code="insufficient_quota"), FaultKind.OUT_OF_FUNDS, Scope.CREDENTIAL),
        (refused(400, "Your credit balance is too low"), FaultKind.OUT_OF_FUNDS, Scope.CREDENTIAL),
        (refused(403), FaultKind.FORBIDDEN, Scope.MODEL),
        (ProviderRateLimited("slow"), FaultKind.RATE_LIMITED, Scope.MODEL),
        (CredentialUndecryptable("sealed"), FaultKind.UNDECRYPTABLE, Scope.CREDENTIAL),
        (ProviderError("bad", details={"provider_status": 500}), FaultKind.FAILING, Scope.PROVIDER),
        (ProviderOverloaded("busy"), FaultKind.FAILING, Scope.PROVIDER),
        (ProviderTimeout("late"), FaultKind.FAILING, Scope.PROVIDER),
        (ProviderUnreachable("gone"), FaultKind.FAILING, Scope.PROVIDER),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_which_failure_is_whose(error: OwnkeyError, kind: FaultKind, scope: Scope) -> None:
    fault = fault_of(error)
    assert fault is not None
    assert (fault.kind, scope_of(fault)) == (kind, scope)


@pytest.mark.parametrize(
    "error",
    [
        ProviderRefused("bad request", status=400),
        ProviderRefused("no such model", status=404),
        ProviderError("conflict", details={"provider_status": 409}),
        ProviderInvalidResponse("a web page"),
        ProviderStreamBroken("cut"),
        refused(403, "Your input was flagged for violence"),
        InsufficientCredits("poor"),
        VaultUnavailable("down"),
        StoreUnavailable("down"),
        BadRequest("bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_says_nothing_of_credential_or_provider(error: OwnkeyError) -> None:
    assert fault_of(error) is None


def test_an_expired_key_never_looks_like_an_outage() -> None:
    fault = fault_of(refused(401, "Your key has expired"))
    assert fault is not None
    assert scope_of(fault) is Scope.CREDENTIAL
    assert shows_life(refused(401))


def test_a_refused_token_is_not_yet_a_refused_key() -> None:
    fault = fault_of(refused(401), by_token=True)
    assert fault is not None
    assert fault.kind is FaultKind.TOKEN_REFUSED
    assert mark(fault.kind).until_ms == NOW + MINUTE


def test_reasons_are_cut() -> None:
    fault = fault_of(refused(401, "x" * 500))
    assert fault is not None
    assert len(fault.reason or "") == 200


# ── For how long


@pytest.mark.parametrize(
    ("kind", "first_ms", "longest_ms"),
    [
        (FaultKind.TOKEN_REFUSED, MINUTE, 6 * HOUR),
        (FaultKind.OUT_OF_FUNDS, 15 * MINUTE, 6 * HOUR),
        (FaultKind.FORBIDDEN, HOUR, 24 * HOUR),
        (FaultKind.RATE_LIMITED, 5 * SECOND, MINUTE),
        (FaultKind.UNDECRYPTABLE, MINUTE, 5 * MINUTE),
    ],
)
def test_each_time_in_a_row_doubles_up_to_the_longest(kind: FaultKind, first_ms: int, longest_ms: int) -> None:
    now_ms, standing, lasted = NOW, None, []
    for _ in range(12):
        standing = mark(kind, now_ms, standing)
        assert standing.until_ms is not None
        lasted.append(standing.until_ms - now_ms)
        assert standing.blocks(now_ms)
        assert not standing.blocks(standing.until_ms)
        now_ms = standing.until_ms
    assert lasted == [min(first_ms * 2**n, longest_ms) for n in range(12)]


def test_a_refused_key_is_out_until_somebody_does_something() -> None:
    standing = mark(FaultKind.REFUSED)
    assert standing.until_ms is None
    assert standing.blocks(NOW + 10 * 365 * 24 * HOUR)
    assert not standing.forgotten(NOW + 10 * 365 * 24 * HOUR)


@pytest.mark.parametrize(("wait_ms", "lasts_ms"), [(120, 120), (20_000, 20_000), (2 * 24 * HOUR, 24 * HOUR)])
def test_a_retry_after_is_honoured_up_to_a_day(wait_ms: int, lasts_ms: int) -> None:
    assert mark(FaultKind.RATE_LIMITED, wait_ms=wait_ms).until_ms == NOW + lasts_ms


def test_a_retry_after_of_nothing_marks_nothing() -> None:
    assert after_fault(None, Fault(FaultKind.RATE_LIMITED, wait_ms=0), NOW) is None


def test_a_pause_between_two_rate_limits_starts_over() -> None:
    first = mark(FaultKind.RATE_LIMITED)
    assert mark(FaultKind.RATE_LIMITED, NOW + 30 * SECOND, first).strikes == 2
    assert mark(FaultKind.RATE_LIMITED, NOW + 2 * MINUTE, first).strikes == 1


# ── Many learn the same


def test_what_is_known_is_not_written_again() -> None:
    for kind in set(FaultKind) - {FaultKind.FAILING}:
        standing = mark(kind)
        assert after_fault(standing, Fault(kind, "other words"), NOW + 300) is standing


def test_a_longer_wait_prolongs_and_does_not_count_as_another_strike() -> None:
    standing = mark(FaultKind.RATE_LIMITED, wait_ms=2_000)
    longer = after_fault(standing, Fault(FaultKind.RATE_LIMITED, wait_ms=20_000), NOW + 100)
    assert longer is not None
    assert (longer.until_ms, longer.strikes) == (NOW + 20_100, 1)
    assert after_fault(longer, Fault(FaultKind.RATE_LIMITED, wait_ms=1_000), NOW + 200) is longer
    # A second more or less is not worth a write.
    assert after_fault(longer, Fault(FaultKind.RATE_LIMITED, wait_ms=20_500), NOW + 200) is longer


@pytest.mark.parametrize(
    ("first", "then", "stands"),
    [
        (FaultKind.OUT_OF_FUNDS, FaultKind.REFUSED, FaultKind.REFUSED),
        (FaultKind.REFUSED, FaultKind.OUT_OF_FUNDS, FaultKind.REFUSED),
        (FaultKind.UNDECRYPTABLE, FaultKind.REFUSED, FaultKind.REFUSED),
        (FaultKind.REFUSED, FaultKind.UNDECRYPTABLE, FaultKind.REFUSED),
        (FaultKind.RATE_LIMITED, FaultKind.FORBIDDEN, FaultKind.FORBIDDEN),
        (FaultKind.FORBIDDEN, FaultKind.RATE_LIMITED, FaultKind.FORBIDDEN),
    ],
)
def test_the_worse_of_two_stands(first: FaultKind, then: FaultKind, stands: FaultKind) -> None:
    standing = after_fault(mark(first), Fault(then), NOW + 1)
    assert standing is not None
    assert standing.code is stands


# ── The breaker


def test_three_counted_failures_within_a_minute_open_it() -> None:
    standing: Mark | None = None
    for n in range(2):
        standing = after_fault(standing, Fault(FaultKind.FAILING), NOW + n * 20 * SECOND)
        assert standing is not None
        assert (standing.state, standing.failures) == (HealthState.SUSPECT, n + 1)
        assert not standing.blocks(NOW + n * 20 * SECOND)
    at_ms = NOW + 59 * SECOND
    standing = after_fault(standing, Fault(FaultKind.FAILING), at_ms)
    assert standing is not None
    assert (standing.state, standing.until_ms) == (HealthState.OPEN, at_ms + 15 * SECOND)


def test_failures_further_apart_do_not() -> None:
    standing = None
    for n in range(10):
        standing = after_fault(standing, Fault(FaultKind.FAILING), NOW + n * 31 * SECOND)
    assert standing is not None
    assert standing.state is HealthState.SUSPECT


def test_only_its_probe_reopens_it_for_twice_as_long() -> None:
    standing = Mark(HealthState.OPEN, FaultKind.FAILING, NOW, NOW + 15 * SECOND)
    late = NOW + 16 * SECOND
    assert standing.half_open(late)
    assert after_fault(standing, Fault(FaultKind.FAILING), late) is standing
    probe = claimed(standing, late)
    assert probe.blocks(late)
    assert not probe.half_open(late + 29 * SECOND)
    assert probe.half_open(late + 30 * SECOND), "a probe that died is followed by another"
    again = after_fault(probe, Fault(FaultKind.FAILING), late, probing=True)
    assert again is not None
    assert (again.state, again.until_ms, again.probe_until_ms) == (HealthState.OPEN, late + 30 * SECOND, None)
    assert released(probe) == standing


def test_an_environment_counts_only_if_it_saw_nothing_else_lately() -> None:
    assert health.counted(1, None, NOW), "it saw nothing at all"
    assert health.counted(1, NOW - 61 * SECOND, NOW), "it saw an answer long ago"
    assert not health.counted(1, NOW - 60 * SECOND, NOW)
    assert not health.counted(2, NOW - 1, NOW)
    assert health.counted(3, NOW - 1, NOW), "it answered, but three times in a row it did not"


# ── What stands in the way


def test_the_mark_that_lasts_longest_is_told() -> None:
    keys = credential_key("cred_1", 1), model_key("cred_1", 1, "m"), provider_key("openai", "https://x")
    cooling, broken = mark(FaultKind.RATE_LIMITED), Mark(HealthState.OPEN, FaultKind.FAILING, NOW, NOW + 15 * SECOND)
    found = Health({keys[1]: cooling, keys[2]: broken})
    assert found.look(keys, NOW) == (broken, {})
    assert found.look(keys, NOW + 5 * SECOND) == (broken, {})
    assert found.look(keys, NOW + 15 * SECOND) == (None, {keys[2]: broken})
    assert Health({keys[0]: mark(FaultKind.REFUSED), keys[2]: broken}).look(keys, NOW)[0] == mark(FaultKind.REFUSED)


def test_a_rotation_leaves_its_marks_behind() -> None:
    found = Health(
        {credential_key("cred_1", 1): mark(FaultKind.REFUSED), model_key("cred_1", 1, "m"): mark(FaultKind.FORBIDDEN)}
    )
    keys = credential_key("cred_1", 2), model_key("cred_1", 2, "m"), provider_key("openai", "https://x")
    assert found.look(keys, NOW) == (None, {})
    assert list(found.of_version("cred_1", 2)) == []
    assert [model for model, _ in found.of_version("cred_1", 1)] == [None, "m"]


@given(KINDS, st.lists(KINDS, max_size=6), st.lists(st.integers(0, 2 * HOUR), min_size=7, max_size=7))
def test_whatever_happens_in_whatever_order(first: FaultKind, then: list[FaultKind], pauses: list[int]) -> None:
    """A standing mark never gets milder but by time, never blocks longer than a day, and settles: the same failure at
    the same moment changes nothing any more.
    """
    now_ms, standing = NOW, None
    provider = first is FaultKind.FAILING
    for kind, pause_ms in zip([first, *then], pauses, strict=False):
        if (kind is FaultKind.FAILING) != provider:
            continue
        now_ms += pause_ms
        before = standing
        standing = after_fault(before, Fault(kind), now_ms)
        assert standing is not None
        if before is not None and before.blocks(now_ms):
            assert standing.blocks(now_ms)
            assert (before.until_ms is None) <= (standing.until_ms is None)
        assert standing.until_ms is None or standing.until_ms <= now_ms + 24 * HOUR
        if not provider:
            assert after_fault(standing, Fault(kind), now_ms) is standing


# ── What a validation takes away


def test_an_accepted_key_clears_what_is_of_the_key() -> None:
    for kind in (FaultKind.REFUSED, FaultKind.UNDECRYPTABLE):
        for unreserved in (True, False):
            assert after_validation(None, mark(kind), NOW, unreserved=unreserved) is None


@pytest.mark.parametrize(("kind", "model"), [(FaultKind.OUT_OF_FUNDS, None), (FaultKind.FORBIDDEN, "gpt-4o")])
def test_what_a_validation_cannot_see_is_for_the_next_request_to_find_out(kind: FaultKind, model: str | None) -> None:
    standing = mark(kind)
    half_open = after_validation(model, standing, NOW + 5, unreserved=True)
    assert half_open is not None
    assert half_open.half_open(NOW + 5)
    assert half_open.strikes == standing.strikes
    assert after_validation(model, standing, NOW + 5, unreserved=False) is standing
    assert after_validation("gpt-4o", mark(FaultKind.RATE_LIMITED), NOW, unreserved=True) == mark(
        FaultKind.RATE_LIMITED
    )


def test_only_what_a_validation_can_cure_asks_for_one() -> None:
    for kind in FaultKind:
        found = Health({credential_key("cred_1", 1): mark(kind)})
        cured = kind in (FaultKind.REFUSED, FaultKind.UNDECRYPTABLE)
        assert found.wants_validation("cred_1", 1) == cured
        assert not found.wants_validation("cred_1", 2)


# ── The bound


def test_what_is_forgotten_goes_with_the_next_write() -> None:
    old = mark(FaultKind.RATE_LIMITED, NOW - HOUR)
    marks = {"a@1#m": old, "b@1": mark(FaultKind.REFUSED, NOW - HOUR), "c@1#m": mark(FaultKind.RATE_LIMITED)}
    assert prunable(marks, NOW, keep="d@1", adds=True) == ["a@1#m"]
    assert prunable(marks, NOW, keep="a@1#m", adds=True) == []


@given(st.lists(st.tuples(KINDS, st.integers(0, 500), st.booleans()), max_size=400), st.booleans())
def test_never_more_than_the_bound_after_enough_writes(rows: list[tuple[FaultKind, int, bool]], adds: bool) -> None:
    marks = {
        f"cred_{n}@1{'#m' if of_model else ''}": mark(kind, NOW - at) for n, (kind, at, of_model) in enumerate(rows)
    }
    for _ in range(400 // health.MAX_PRUNED + 1):
        pruned = prunable(marks, NOW, keep="new@1", adds=adds)
        assert len(pruned) <= health.MAX_PRUNED
        marks = {key: each for key, each in marks.items() if key not in pruned}
    assert len(marks) + adds <= MAX_MARKS


def test_over_the_bound_a_models_mark_goes_before_a_keys() -> None:
    marks = {f"cred_{n}@1": mark(FaultKind.REFUSED) for n in range(MAX_MARKS - 2)}
    marks |= {"x@1#short": mark(FaultKind.RATE_LIMITED), "x@1#long": mark(FaultKind.FORBIDDEN)}
    assert prunable(marks, NOW, keep="new@1", adds=True) == ["x@1#short"]
    del marks["x@1#short"]
    marks[provider_key("openai", "https://x#y")] = mark(FaultKind.FAILING)
    assert prunable(marks, NOW, keep="new@1", adds=True) == ["x@1#long"]
