"""Reservations against DynamoDB: all or nothing, ended once, and never more than the limit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.domain.errors import BudgetExceeded, OwnkeyError, RateLimited
from ownkey.domain.limits import Claim, Counter, Limit, LimitScope, Measure, Window, Worst, claims
from ownkey.ledger.counters import Counters, Reservation, counted, without_request
from tests.support.aws import Tables
from tests.support.limits import limit

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
REQUESTS = limit(amount=2, window=Window.DAY)
TOKENS = limit(amount=1_000, window=Window.DAY, measure=Measure.TOKENS)
SPEND = limit(amount=10_000, window=Window.MONTH, measure=Measure.SPEND)


def reservation(*limits: Limit, name: str = "a", tokens: int = 100, cost: int = 1_000, **given: Any) -> Reservation:
    wanted = claims(limits, byok=True, worst=Worst(tokens, cost, 0), at=AT)
    return Reservation("acme", f"req_{name}#00", int(AT.timestamp()) + 900, wanted, **given)


@pytest.fixture
def counters(tables: Tables) -> Counters:
    return Counters(tables.db, tables.counters)


async def committed(counters: Counters, claim: Claim) -> Counter:
    at = claim.limit_id, claim.window.value, claim.period
    return counted((await counters.read("acme", [at])).get(at))


async def all_committed(counters: Counters, made: Reservation) -> list[int]:
    return [(await committed(counters, claim)).committed for claim in made.claims]


async def test_what_is_reserved_is_reserved_of_every_limit(counters: Counters) -> None:
    wanted = reservation(REQUESTS, TOKENS, SPEND)
    assert await counters.reserve(wanted) == wanted
    assert await all_committed(counters, wanted) == [1, 100, 1_000]
    assert (await committed(counters, wanted.claims[1])).used == 0


async def test_what_one_limit_refuses_counts_on_none(counters: Counters) -> None:
    await counters.reserve(reservation(TOKENS, tokens=950))
    wanted = reservation(REQUESTS, TOKENS, SPEND, name="b")
    with pytest.raises(RateLimited) as refused:
        await counters.reserve(wanted)
    assert await all_committed(counters, wanted) == [0, 950, 0]
    assert refused.value.quota is not None
    assert (refused.value.quota.measure, refused.value.quota.remaining) == ("tokens", 50)
    assert await counters.expired("acme", wanted.expires_at_s + 1) == [reservation(TOKENS, tokens=950)]


async def test_of_several_limits_that_refuse_the_one_that_lasts_longest_is_named(counters: Counters) -> None:
    spend, minute = replace(SPEND, amount=1_500), limit(amount=1)
    await counters.reserve(reservation(minute, spend))
    with pytest.raises(BudgetExceeded) as refused:
        await counters.reserve(reservation(minute, spend, name="b"))
    assert refused.value.details["limit"]["id"] == spend.id


async def test_what_can_never_fit_is_refused_before_anything_is_counted(counters: Counters) -> None:
    wanted = reservation(TOKENS, tokens=1_001)
    with pytest.raises(RateLimited) as refused:
        await counters.reserve(wanted)
    assert refused.value.retryable is False
    assert await all_committed(counters, wanted) == [0]


async def test_a_repeat_reserves_once(counters: Counters) -> None:
    wanted = reservation(REQUESTS)
    await counters.reserve(wanted)
    assert await counters.reserve(wanted) == wanted
    assert await all_committed(counters, wanted) == [1]


async def test_what_is_given_back_is_given_back_once(counters: Counters) -> None:
    wanted = reservation(REQUESTS, TOKENS)
    await counters.reserve(wanted)
    done = await asyncio.gather(*(counters.give_back(wanted) for _ in range(8)))
    assert sum(done) == 1
    assert await all_committed(counters, wanted) == [0, 0]
    assert await counters.expired("acme", wanted.expires_at_s + 1) == []


async def test_the_next_attempt_takes_over_what_the_one_before_reserved(counters: Counters) -> None:
    before = reservation(REQUESTS, TOKENS, tokens=900)
    await counters.reserve(before)
    # On another model, on the platform's key: fewer tokens, and a limit that did not apply before.
    after = reservation(REQUESTS, TOKENS, SPEND, name="b", tokens=700)
    await counters.reserve(after, before)
    assert await all_committed(counters, after) == [1, 700, 1_000]
    assert await counters.expired("acme", after.expires_at_s + 1) == [replace(after, request_sent=True)]
    assert not await counters.give_back(before)


async def test_where_the_attempt_before_is_settled_already_the_request_is_not_counted_again(
    counters: Counters,
) -> None:
    before, after = reservation(REQUESTS, TOKENS), reservation(REQUESTS, TOKENS, name="b")
    await counters.reserve(before)
    await counters.give_back(before, request_sent=True)
    assert await counters.reserve(after, before) == without_request(after)
    assert await all_committed(counters, after) == [1, 100]


async def test_an_attempt_that_is_refused_leaves_the_one_before_what_it_has(counters: Counters) -> None:
    before = reservation(TOKENS, tokens=400)
    await counters.reserve(before)
    await counters.reserve(reservation(TOKENS, name="other", tokens=400))
    with pytest.raises(RateLimited):
        await counters.reserve(reservation(TOKENS, name="b", tokens=700), before)
    assert await all_committed(counters, before) == [800]


async def test_each_period_counts_by_itself(counters: Counters) -> None:
    for hour in range(3):
        wanted = claims([limit(id="lim_m", amount=1)], byok=True, worst=Worst(0, 0, 0), at=AT.replace(hour=hour))
        await counters.reserve(Reservation("acme", f"req_{hour}#00", 0, wanted))
    again = replace(reservation(limit(id="lim_m", amount=1)), attempt_id="req_x#00")
    await counters.reserve(again)
    with pytest.raises(RateLimited):
        await counters.reserve(replace(again, attempt_id="req_y#00"))


async def test_sixty_four_at_once_take_exactly_what_there_is(counters: Counters) -> None:
    requests, tokens = limit(amount=20), limit(amount=3_000, measure=Measure.TOKENS, scope=LimitScope.USER, value="ada")
    made = await asyncio.gather(
        *(counters.reserve(reservation(requests, tokens, name=str(n), tokens=200)) for n in range(64)),
        return_exceptions=True,
    )
    assert all(isinstance(each, Reservation | OwnkeyError) for each in made)
    assert sum(isinstance(each, Reservation) for each in made) == 15
    assert await all_committed(counters, reservation(requests, tokens)) == [15, 3_000]


async def test_what_is_given_back_late_is_no_other_reservation_under_the_same_id(counters: Counters) -> None:
    before, after = reservation(TOKENS, tokens=700), reservation(TOKENS, tokens=200)
    await counters.reserve(before)
    assert await counters.give_back(before)
    await counters.reserve(after)
    assert not await counters.give_back(before)
    assert await all_committed(counters, after) == [200]


async def test_a_reservation_of_nothing_leaves_no_item(counters: Counters) -> None:
    counted_before = without_request(reservation(REQUESTS))
    assert await counters.reserve(counted_before) is counted_before
    assert await counters.expired("acme", counted_before.expires_at_s + 1) == []
