"""Pools and rotations over eight environments: saved by the API, felt by the next request (C4, C17)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.accounts import Account, SavedKey
from tests.e2e.fleet import ENVIRONMENTS, Fleet

REQUESTS = 10 * ENVIRONMENTS


@pytest.fixture
def team(fleet: Fleet) -> Account:
    """A fresh account of the fleet's, without the platform behind it."""
    return fleet.account(platform_allowed=False)


def strategy(account: Account, name: str) -> None:
    account.owner.ok("PUT", "/api/pools/openai", {"strategy": name})


def test_without_a_strategy_the_oldest_serves_all(fleet: Fleet, team: Account) -> None:
    for alias in ("first", "second"):
        team.save_key(alias=alias)
    assert fleet.served(team) == {"first": ENVIRONMENTS}


def test_round_robin_is_even_over_the_fleet(fleet: Fleet, team: Account) -> None:
    for alias in ("a", "b", "c"):
        team.save_key(alias=alias)
    fleet.served(team)
    strategy(team, "round_robin")
    counts = fleet.served(team, REQUESTS)
    # Each environment is exact to one request of each; how many come to which is not ours to say.
    assert counts.total() == REQUESTS
    assert all(abs(counts[alias] - REQUESTS / 3) <= ENVIRONMENTS for alias in ("a", "b", "c")), counts


def test_weights_are_shares(fleet: Fleet, team: Account) -> None:
    for alias, weight in (("heavy", 3), ("light", 1)):
        team.save_key(alias=alias, weight=weight)
    strategy(team, "weighted")
    counts = fleet.served(team, REQUESTS)
    assert abs(counts["heavy"] - REQUESTS * 3 / 4) <= 2 * ENVIRONMENTS, counts


def test_random_uses_them_all(fleet: Fleet, team: Account) -> None:
    for alias in ("a", "b"):
        team.save_key(alias=alias)
    strategy(team, "random")
    assert set(fleet.served(team, REQUESTS)) == {"a", "b"}


def test_a_change_of_strategy_holds_on_the_next_request(fleet: Fleet, team: Account) -> None:
    for alias in ("a", "b"):
        team.save_key(alias=alias)
    strategy(team, "round_robin")
    assert len(fleet.served(team, 2 * ENVIRONMENTS)) == 2
    strategy(team, "fallback")
    assert fleet.served(team) == {"a": ENVIRONMENTS}


def by_key(fleet: Fleet, old: SavedKey, new: str) -> Counter[str]:
    return Counter(old=len(fleet.calls(old.key)), new=len(fleet.calls(new)))


def test_through_a_rotation_each_key_serves_its_share_and_stands_in_for_the_other(fleet: Fleet, team: Account) -> None:
    old, new = team.save_key(alias="main"), "sk-sim-dual-rotation-0123456789abcdef"
    rotated = {"key": new, "keep_previous": True, "share_percent": 50}
    team.owner.ok("POST", f"/api/byok/{old.id}/rotate", rotated)
    fleet.served(team, REQUESTS)
    counts = by_key(fleet, old, new)
    assert abs(counts["old"] - REQUESTS / 2) <= ENVIRONMENTS, counts

    # The provider ends the old key while it still has its share: the new one takes it over.
    fleet.set_key("openai", old.key, False)
    answers = fleet.at_once(team)
    assert {each.status_code for each in answers} == {200}
    fleet.marked(team, old="rejected")
    before = by_key(fleet, old, new)
    assert fleet.served(team) == {"main": ENVIRONMENTS}
    assert by_key(fleet, old, new) - before == {"new": ENVIRONMENTS}

    team.owner.ok("POST", f"/api/byok/{old.id}/retire")
    assert fleet.served(team) == {"main": ENVIRONMENTS}
