"""Budgets and rate limits without a store: windows, what an attempt claims, how a refusal reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain.errors import BudgetExceeded, RateLimited
from ownkey.domain.limits import (
    Claim,
    Limit,
    LimitScope,
    Measure,
    Window,
    Worst,
    claims,
    period_at,
    period_end,
    reached,
    refusal,
)
from ownkey.domain.surfaces import Dialect
from ownkey.http.errors import render
from tests.support.limits import limit

NOW = datetime(2026, 11, 21, 8, 31, 20, 500_000, tzinfo=UTC)
WORST = Worst(tokens=900, cost_nanousd=4_000, charge_nanousd=4_200)


def claim_of(one: Limit, *, byok: bool = True) -> Claim:
    (claim,) = claims([one], byok=byok, worst=WORST, at=NOW)
    return claim


@pytest.mark.parametrize(
    ("window", "period", "ends_at"),
    [
        (Window.MINUTE, "2026-11-21T08:31", datetime(2026, 11, 21, 8, 32, tzinfo=UTC)),
        (Window.DAY, "2026-11-21", datetime(2026, 11, 22, tzinfo=UTC)),
        (Window.MONTH, "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
        (Window.TOTAL, "", None),
    ],
)
def test_windows_are_calendar_ones_in_utc(window: Window, period: str, ends_at: datetime | None) -> None:
    assert period_at(window, NOW) == period
    assert period_end(window, period) == ends_at


@given(st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1)), st.sampled_from(Window))
def test_a_period_ends_where_the_next_begins(naive: datetime, window: Window) -> None:
    at = naive.replace(tzinfo=UTC)
    end = period_end(window, period_at(window, at))
    if end is None:
        assert window is Window.TOTAL
        return
    assert at < end
    assert period_at(window, end) != period_at(window, at) == period_at(window, end - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("scope", "value", "applies"),
    [
        (LimitScope.ACCOUNT, "", True),
        (LimitScope.GATEWAY_KEY, "gk_1", True),
        (LimitScope.GATEWAY_KEY, "gk_2", False),
        (LimitScope.USER, "ada", True),
        (LimitScope.USER, "bob", False),
        (LimitScope.TAG, "team=core", True),
        (LimitScope.TAG, "team", False),
    ],
)
def test_a_limit_applies_to_its_own_requests(scope: LimitScope, value: str, applies: bool) -> None:
    one = limit(scope=scope, value=value)
    assert one.applies_to(gateway_key_id="gk_1", user="ada", tags=("team=core", "x")) is applies


def test_a_limit_of_a_user_applies_to_no_request_without_one() -> None:
    assert not limit(scope=LimitScope.USER, value="ada").applies_to(gateway_key_id="gk_1", user=None, tags=())


@pytest.mark.parametrize(
    ("measure", "byok", "reserved"),
    [
        (Measure.REQUESTS, True, 1),
        (Measure.TOKENS, True, 900),
        (Measure.SPEND, True, 4_000),
        (Measure.SPEND, False, 4_200),
    ],
)
def test_a_hard_limit_is_reserved_the_worst_case(measure: Measure, byok: bool, reserved: int) -> None:
    assert claim_of(limit(measure=measure), byok=byok).reserved == reserved


def test_a_soft_limit_only_counts() -> None:
    assert claim_of(limit(hard=False)).reserved is None


def test_spend_on_own_keys_counts_where_asked_for() -> None:
    spend = limit(measure=Measure.SPEND, include_byok=False)
    assert claims([spend], byok=True, worst=WORST, at=NOW) == ()
    assert len(claims([spend], byok=False, worst=WORST, at=NOW)) == 1


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("window", Window)
def test_a_claim_stands_in_a_record(hard: bool, window: Window) -> None:
    claim = claim_of(limit(hard=hard, window=window, scope=LimitScope.TAG, value="team=core", alerts=(80,)))
    assert Claim.from_item(claim.to_item()) == claim


def test_thresholds_are_reached_exactly() -> None:
    assert reached((100, 50, 80), 1_000, 499) == []
    assert reached((100, 50, 80), 1_000, 500) == [50]
    assert reached((100, 50, 80), 1_000, 1_000) == [50, 80, 100]
    assert reached((50,), 0, 0) == [50]


def test_a_rate_limit_says_when_to_come_back_in_each_dialects_own_headers() -> None:
    error = refusal(claim_of(limit()), 1, 60, NOW)
    assert isinstance(error, RateLimited)
    assert "60 requests a minute" in error.message
    openai = render(error, Dialect.OPENAI, "req_1")
    assert openai.status == 429
    assert openai.headers == {
        "content-type": "application/json",
        "retry-after": "40",
        "retry-after-ms": "39500",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "39.5s",
    }
    anthropic = render(error, Dialect.ANTHROPIC, "req_1")
    assert anthropic.headers["anthropic-ratelimit-requests-limit"] == "60"
    assert anthropic.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert anthropic.headers["anthropic-ratelimit-requests-reset"] == "2026-11-21T08:32:00Z"
    assert not any(name.startswith("x-ratelimit") for name in anthropic.headers)


@pytest.mark.parametrize(
    ("window", "reset", "retried"),
    [(Window.DAY, "15h28m40s", "false"), (Window.MINUTE, "39.5s", None), (Window.TOTAL, None, "false")],
)
def test_clients_do_not_wait_by_themselves_for_long(window: Window, reset: str | None, retried: str | None) -> None:
    tokens = limit(measure=Measure.TOKENS, window=window, amount=1_000)
    headers = render(refusal(claim_of(tokens), 900, 101, NOW), Dialect.OPENAI, "req_1").headers
    assert headers.get("x-ratelimit-reset-tokens") == reset
    assert headers["x-ratelimit-remaining-tokens"] == "899"
    assert headers.get("x-should-retry") == retried
    assert ("retry-after" in headers) is (reset is not None)


def test_what_can_never_fit_is_not_worth_repeating() -> None:
    error = refusal(claim_of(limit(measure=Measure.TOKENS, amount=500)), 900, 0, NOW)
    assert (error.retryable, error.retry_after_s) == (False, None)
    assert "max_tokens" in error.fix


def test_a_budget_names_itself_and_is_not_repeated() -> None:
    spend = limit(
        id="lim_1",
        measure=Measure.SPEND,
        window=Window.MONTH,
        amount=5_000_000_000,
        scope=LimitScope.TAG,
        value="team=a",
    )
    error = refusal(claim_of(spend), 4_000, 4_999_999_000, NOW)
    assert isinstance(error, BudgetExceeded)
    rendered = render(error, Dialect.OPENAI, "req_1")
    assert (rendered.status, rendered.headers["x-should-retry"]) == (402, "false")
    assert "retry-after" not in rendered.headers
    assert error.details["limit"] == {
        "id": "lim_1",
        "scope": "tag",
        "value": "team=a",
        "measure": "spend",
        "window": "month",
        "amount": "5",
        "remaining": "0.000001",
        "requested": "0.000004",
        "resets_at": "2026-12-01T00:00:00Z",
    }
