"""The order of equal credentials: even over a fleet, exact in each environment, the same for equal draws (C4, C17)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import Catalog
from ownkey.domain.credentials import PoolStrategy, PreviousVersion, StoredCredential
from ownkey.domain.faults import Fault, FaultKind
from ownkey.domain.health import Health, after_fault, credential_key
from ownkey.domain.surfaces import Surface
from ownkey.router import Ask, Moment, Plan, Planner, Supply, Turns
from ownkey.router.pools import Draw
from tests.support.inference import credential

PLANNER = Planner(Catalog.load())
ASK = Ask(Surface.CHAT, "gpt-4o", "gk_1")
ENVIRONMENTS, PICKS = 8, 10_000
CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}
"""Of chi-square at p = 0.001, by degrees of freedom."""


def pool(*weights: int, **values: Any) -> list[StoredCredential]:
    return [credential("openai", alias=f"k{n}", weight=weight, **values) for n, weight in enumerate(weights)]


def planned(own: Sequence[StoredCredential], strategy: str, turns: Turns, health: Health | None = None) -> list[str]:
    supply = Supply(own, health or Health(), {"openai": PoolStrategy(strategy)})
    return named(PLANNER.plan(ASK, supply, Supply(), Moment(0, turns.draw)))


def named(plan: Plan) -> list[str]:
    """The candidates' aliases; a previous version with its number."""
    return [
        f"{each.credential.alias}@{each.credential.version}" if each.stored.is_previous else each.credential.alias
        for each in plan.candidates
    ]


def fleet(seed: int) -> list[Turns]:
    chance = random.Random(seed)
    return [Turns(random.Random(chance.random())) for _ in range(ENVIRONMENTS)]


def picks(own: Sequence[StoredCredential], strategy: str, environments: Sequence[Turns], seed: int) -> Counter[str]:
    """Whose turn it is first, of requests that reach the environments as they come."""
    arriving = random.Random(seed)
    return Counter(planned(own, strategy, arriving.choice(environments))[0] for _ in range(PICKS))


def chi_square(counts: Counter[str], shares: dict[str, float]) -> float:
    total = sum(counts.values())
    return sum((counts[name] - total * share) ** 2 / (total * share) for name, share in shares.items())


# ── Over a fleet


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("strategy", "weights", "expected"),
    [
        ("round_robin", (1, 1, 1), (1, 1, 1)),
        ("round_robin", (9, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
        ("weighted", (1, 1, 1), (1, 1, 1)),
        ("weighted", (5, 3, 2), (5, 3, 2)),
        ("weighted", (97, 1, 1, 1), (97, 1, 1, 1)),
        ("random", (1, 1), (1, 1)),
        ("random", (9, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    ],
)
def test_ten_thousand_picks_over_eight_environments_are_as_even_as_promised(
    strategy: str, weights: tuple[int, ...], expected: tuple[int, ...], seed: int
) -> None:
    counts = picks(pool(*weights), strategy, fleet(seed), seed)
    shares = {f"k{n}": each / sum(expected) for n, each in enumerate(expected)}
    assert chi_square(counts, shares) < CRITICAL[len(weights) - 1]


@pytest.mark.parametrize("seed", range(5))
def test_environments_that_serve_one_request_each_are_even_too(seed: int) -> None:
    """The worst case of a fleet without a shared counter: nothing but beginnings."""
    chance = random.Random(seed)
    for strategy, shares in (("round_robin", (1, 1, 1)), ("weighted", (5, 3, 2))):
        own = pool(*shares)
        counts = Counter(planned(own, strategy, Turns(random.Random(chance.random())))[0] for _ in range(PICKS))
        assert chi_square(counts, {f"k{n}": each / sum(shares) for n, each in enumerate(shares)}) < CRITICAL[2]


# ── In one environment


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 40))
def test_round_robin_is_exact(seed: int, members: int, rounds: int) -> None:
    turns, own = Turns(random.Random(seed)), pool(*[1] * members)
    firsts = [planned(own, "round_robin", turns)[0] for _ in range(members * rounds)]
    assert set(Counter(firsts).values()) == {rounds}
    assert firsts[members:] == firsts[:-members]


@given(st.integers(0, 10**6), st.lists(st.integers(1, 20), min_size=2, max_size=6))
def test_weighted_stays_within_a_few_picks_of_its_weights(seed: int, weights: list[int]) -> None:
    turns, own = Turns(random.Random(seed)), pool(*weights)
    counts = Counter[str]()
    for n in range(1, 301):
        counts[planned(own, "weighted", turns)[0]] += 1
        for k, weight in enumerate(weights):
            assert abs(counts[f"k{k}"] - n * weight / sum(weights)) < 5


@pytest.mark.parametrize("strategy", ["round_robin", "weighted"])
def test_requests_that_take_turns_in_time_leave_turns_even(strategy: str) -> None:
    """Every other request can use only two of the three: each set of credentials takes turns of its own."""
    turns = Turns(random.Random(1))
    own = [*pool(1, 1), credential("openai", alias="k2", gateway_keys=None, allowed_models=("gpt-4o",))]
    mini = Ask(Surface.CHAT, "gpt-4o-mini", "gk_1")
    counts: dict[str, Counter[str]] = {"gpt-4o": Counter(), "gpt-4o-mini": Counter()}
    supply = Supply(own, pools={"openai": PoolStrategy(strategy)})
    for n in range(600):
        ask = (ASK, mini)[n % 2]
        plan = PLANNER.plan(ask, supply, Supply(), Moment(0, turns.draw))
        counts[ask.model][named(plan)[0]] += 1
    assert all(abs(each - 100) <= 2 for each in counts["gpt-4o"].values())
    assert all(abs(each - 150) <= 2 for each in counts["gpt-4o-mini"].values())


def test_the_first_to_fail_is_followed_as_evenly() -> None:
    turns, own = Turns(random.Random(7)), pool(6, 3, 1)
    seconds = Counter(tuple(planned(own, "weighted", turns)[:2]) for _ in range(PICKS))
    shares = {
        (f"k{a}", f"k{b}"): own[a].credential.weight / 10 * own[b].credential.weight / (10 - own[a].credential.weight)
        for a in range(3)
        for b in range(3)
        if a != b
    }
    assert all(abs(seconds[pair] - PICKS * share) < 60 for pair, share in shares.items())


def test_what_cools_down_leaves_its_turns_to_the_others_evenly() -> None:
    turns, own = Turns(random.Random(3)), pool(1, 1, 1)
    mark = after_fault(None, Fault(FaultKind.REFUSED), 0)
    assert mark is not None
    health = Health({credential_key("cred_k1", 1): mark})
    counts = Counter(planned(own, "round_robin", turns, health)[0] for _ in range(100))
    assert counts == {"k0": 50, "k2": 50}


# ── What a strategy does not touch


def test_the_default_is_the_oldest_first() -> None:
    own = pool(1, 9, 9)
    for _ in range(5):
        plan = PLANNER.plan(ASK, Supply(own), Supply(), Moment(0, Turns().draw))
        assert named(plan) == ["k0", "k1", "k2"]


def test_scope_and_priority_come_before_turns() -> None:
    own = [
        *pool(1, 1, priority=2),
        credential("openai", alias="first", priority=1),
        credential("openai", alias="scoped", priority=9, gateway_keys=("gk_1",)),
    ]
    turns = Turns(random.Random(1))
    orders = [planned(own, "round_robin", turns) for _ in range(10)]
    assert {tuple(order[:2]) for order in orders} == {("scoped", "first")}
    assert {order[2] for order in orders} == {"k0", "k1"}


def test_every_credential_keeps_its_place_in_the_line() -> None:
    for strategy in PoolStrategy:
        for members in (1, 2, 7, 20):
            order = planned(pool(*range(1, members + 1)), strategy, Turns(random.Random(members)))
            assert sorted(order) == sorted(f"k{n}" for n in range(members))


def test_each_account_and_provider_has_its_own_strategy() -> None:
    own = [credential("openai", alias=name) for name in ("a", "b")]
    platform = [credential("openai", alias=name) for name in ("x", "y")]
    draw = Draw(1, 0.0, 0.0)
    plan = PLANNER.plan(
        ASK,
        Supply(own, pools={"openai": PoolStrategy.ROUND_ROBIN}),
        Supply(platform, pools={"groq": PoolStrategy.ROUND_ROBIN}),
        Moment(0, lambda _: draw),
    )
    assert named(plan) == ["b", "a", "x", "y"]


@given(
    st.sampled_from(list(PoolStrategy)),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.builds(Draw, st.integers(0, 10**9), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_equal_draws_give_equal_plans(strategy: PoolStrategy, weights: list[int], draw: Draw) -> None:
    moment = Moment(0, lambda _: draw)
    own = pool(*weights)
    pools = {"openai": strategy}
    plan = PLANNER.plan(ASK, Supply(own, pools=pools), Supply(), moment)
    assert plan == PLANNER.plan(ASK, Supply(own[::-1], pools=pools), Supply(), moment)
    assert len(plan.candidates) == len(weights)


def test_only_pools_that_need_it_are_drawn() -> None:
    drawn: list[object] = []

    def draw(key: object) -> Draw:
        drawn.append(key)
        return Draw(0, 0.0, 0.0)

    PLANNER.plan(ASK, Supply(pool(1, 1)), Supply(), Moment(0, draw))
    PLANNER.plan(ASK, Supply(pool(1), pools={"openai": PoolStrategy.RANDOM}), Supply(), Moment(0, draw))
    assert drawn == []
    pools = {"openai": PoolStrategy.WEIGHTED}
    PLANNER.plan(ASK, Supply(pool(1, 1), pools=pools), Supply(pool(1, 1), pools=pools), Moment(0, draw))
    assert drawn == [("cred_k0", "cred_k1"), None], "the pool behind the first takes no turn"


# ── Two versions through a rotation


def rotating(share_percent: int, alias: str = "main", **values: Any) -> list[StoredCredential]:
    previous = PreviousVersion(1, "…", "2026-11-21T08:00:00Z", share_percent)
    return [credential("openai", alias=alias, version=version, previous=previous, **values) for version in (2, 1)]


@pytest.mark.parametrize("share", [0, 1, 25, 50, 99, 100])
def test_the_old_version_serves_its_share_and_the_other_is_next(share: int) -> None:
    turns, own = Turns(random.Random(share)), rotating(share)
    orders = Counter(tuple(planned(own, "fallback", turns)) for _ in range(1_000))
    assert set(orders) <= {("main", "main@1"), ("main@1", "main")}
    assert abs(orders["main@1", "main"] - 10 * share) <= 3


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "random"])
def test_shares_hold_inside_a_pool(strategy: str) -> None:
    own = [*rotating(25, "a"), credential("openai", alias="b"), *rotating(50, "c")]
    counts = picks(own, strategy, fleet(11), 11)
    shares = {"a": 3 / 12, "a@1": 1 / 12, "b": 4 / 12, "c": 2 / 12, "c@1": 2 / 12}
    assert chi_square(counts, shares) < CRITICAL[4]


def test_both_versions_stay_together_in_the_line() -> None:
    own = [*rotating(0, "a"), credential("openai", alias="b")]
    assert planned(own, "fallback", Turns(random.Random(1))) == ["a", "a@1", "b"]


def test_a_version_that_is_out_leaves_all_to_the_other() -> None:
    mark = after_fault(None, Fault(FaultKind.REFUSED), 0)
    assert mark is not None
    turns = Turns(random.Random(1))
    for version, left in ((1, "main"), (2, "main@1")):
        health = Health({credential_key("cred_main", version): mark})
        assert {tuple(planned(rotating(50), "fallback", turns, health)) for _ in range(20)} == {(left,)}
