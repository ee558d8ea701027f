"""What one environment learns of a credential or a provider, all of them know with the next request (R4, C15)."""

from __future__ import annotations

import time

import openai
import pytest

from tests.e2e.accounts import Account, said
from tests.e2e.fleet import ENVIRONMENTS, Fleet

CHAT = {"model": "gpt-4o-mini", "messages": said("hello")}


@pytest.fixture
def team(fleet: Fleet) -> Account:
    """A fresh account of the fleet's, without the platform behind it."""
    return fleet.account(platform_allowed=False)


def code(answer: object) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]  # type: ignore[attr-defined]


def test_a_dead_key_is_out_in_all_eight_environments_after_one_request(fleet: Fleet, team: Account) -> None:
    dead = team.save_key(alias="dead", priority=0)
    live = team.save_key(alias="live", priority=1)
    assert fleet.served(team) == {"dead": ENVIRONMENTS}
    assert fleet.environments_used() == ENVIRONMENTS
    asked = len(fleet.calls(dead.key))

    fleet.set_key("openai", dead.key, False)
    answer = team.post("/v1/chat/completions", CHAT)
    assert (answer.headers["x-ownkey-credential"], answer.headers["x-ownkey-attempts"]) == ("live", "2")
    fleet.marked(team, dead="rejected")

    assert fleet.served(team, 2 * ENVIRONMENTS) == {"live": 2 * ENVIRONMENTS}
    assert len(fleet.calls(dead.key)) == asked + 1
    assert len(fleet.calls(live.key)) == 2 * ENVIRONMENTS + 1
    card = team.owner.ok("GET", f"/api/byok/{dead.id}")
    assert card["status"] == "rejected"


def test_a_rotation_brings_it_back(fleet: Fleet, team: Account) -> None:
    saved = team.save_key(alias="main")
    fleet.set_key("openai", saved.key, False)
    assert code(team.post("/v1/chat/completions", CHAT)) == (502, "upstream_credentials_exhausted")
    fleet.marked(team, main="rejected")
    answer = team.post("/v1/chat/completions", CHAT)
    assert (*code(answer), answer.headers["x-ownkey-attempts"]) == (502, "upstream_credentials_exhausted", "0")
    assert "'main'" in answer.json()["error"]["message"]
    team.owner.ok("POST", f"/api/byok/{saved.id}/rotate", {"key": "sk-sim-rotated-0123456789abcdef"})
    assert fleet.served(team) == {"main": ENVIRONMENTS}


def test_a_validation_brings_it_back_and_takes_it_out(fleet: Fleet, team: Account) -> None:
    saved = team.save_key(alias="main")
    validate = f"/api/byok/{saved.id}/validate"
    fleet.set_key("openai", saved.key, False)
    assert team.owner.ok("POST", validate)["verdict"] == "rejected"
    assert next(iter(fleet.marks(team).values()))["state"] == "rejected"
    answers = fleet.at_once(team)
    assert {code(each) for each in answers} == {(502, "upstream_credentials_exhausted")}
    assert fleet.calls(saved.key) == []

    fleet.set_key("openai", saved.key, True)
    assert team.owner.ok("POST", validate)["verdict"] == "accepted"
    assert fleet.marks(team) == {}
    assert fleet.served(team) == {"main": ENVIRONMENTS}


def test_a_candidate_that_is_not_stored_leaves_no_mark(fleet: Fleet, team: Account) -> None:
    status, _ = team.owner.refused("POST", "/api/byok", {"provider": "OpenAI", "key": "sk-refused-0123456789abcdef"})
    assert status == 422
    assert fleet.marks(team) == {}


def test_a_retry_after_is_honoured_by_all_and_ends_by_itself(fleet: Fleet, team: Account) -> None:
    slow = team.save_key(alias="slow", priority=0)
    team.save_key(alias="next", priority=1)
    fleet.script("openai", key=slow.key, fail=429, retry_after=30, times=1)
    asked_s = time.time()
    answer = team.post("/v1/chat/completions", CHAT)
    answered_s = time.time()
    assert (answer.headers["x-ownkey-credential"], answer.headers["x-ownkey-attempts"]) == ("next", "2")
    fleet.marked(team, slow="cooling")
    assert fleet.served(team) == {"next": ENVIRONMENTS}
    # It is the key's limit for one model: for another it serves.
    assert fleet.served(team, 1, "gpt-4o") == {"slow": 1}
    (mark,) = fleet.marks(team).values()
    assert asked_s + 29.999 <= int(mark["until_ms"]) / 1000 <= answered_s + 30
    fleet.end(team)
    assert fleet.served(team) == {"slow": ENVIRONMENTS}


def test_all_cooling_is_a_429_that_the_sdk_knows(fleet: Fleet, team: Account) -> None:
    keys = [team.save_key(alias=alias) for alias in ("a", "b")]
    for key, wait_s in zip(keys, (40, 20), strict=True):
        fleet.script("openai", key=key.key, fail=429, retry_after=wait_s)
    assert code(team.post("/v1/chat/completions", CHAT)) == (429, "upstream_rate_limited")
    fleet.marked(team, a="cooling", b="cooling")
    with pytest.raises(openai.RateLimitError) as refused:
        team.openai().chat.completions.create(**CHAT)
    assert refused.value.code == "upstream_credentials_cooling"
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 20
    assert [len(fleet.calls(key.key)) for key in keys] == [1, 1]


def test_a_failing_provider_is_left_alone_until_one_probe_finds_it_well(fleet: Fleet, team: Account) -> None:
    only = team.save_key(alias="only")
    fleet.script("openai", key=only.key, fail=503)
    answers = fleet.at_once(team, 3)
    assert {code(each) for each in answers} == {(503, "provider_overloaded")}
    fleet.marked(team, openai="open")

    answers = fleet.at_once(team, 2 * ENVIRONMENTS)
    assert {code(each) for each in answers} == {(503, "provider_cooling")}
    assert all(1 <= int(each.headers["retry-after"]) <= 15 for each in answers)
    assert len(fleet.calls(only.key)) == 3

    # Still down: one request finds that out, and the others never left.
    fleet.end(team)
    answers = fleet.at_once(team, 2 * ENVIRONMENTS)
    assert sorted(code(each)[1] for each in answers) == ["provider_cooling"] * (2 * ENVIRONMENTS - 1) + [
        "provider_overloaded"
    ]
    assert len(fleet.calls(only.key)) == 4

    fleet.call(fleet.up.simulator.scripts.clear, "openai")
    fleet.end(team)
    answers = fleet.at_once(team, busy_ms=1_500)
    assert sorted(each.status_code for each in answers) == [200] + [503] * (ENVIRONMENTS - 1)
    assert len(fleet.calls(only.key)) == 5
    fleet.marked(team)
    assert fleet.served(team) == {"only": ENVIRONMENTS}


def test_one_accounts_trouble_is_not_anothers(fleet: Fleet, team: Account) -> None:
    other = fleet.account(platform_allowed=False)
    mine, theirs = team.save_key(alias="mine"), other.save_key(alias="theirs")
    fleet.script("openai", key=mine.key, fail=503)
    fleet.at_once(team, 3)
    fleet.marked(team, openai="open")
    assert fleet.served(other) == {"theirs": ENVIRONMENTS}
    assert len(fleet.calls(theirs.key)) == ENVIRONMENTS


def test_requests_that_go_well_leave_no_mark(fleet: Fleet, team: Account) -> None:
    team.save_key(alias="main")
    fleet.served(team, 2 * ENVIRONMENTS)
    assert fleet.marks(team) == {}
