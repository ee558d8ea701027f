"""Two versions of a key at once: the share of each, falling back on the old one, and its last use before it goes."""

from __future__ import annotations

import time

import pytest

from tests.e2e.accounts import CHAT_MODEL, Account, SavedKey, new_provider_key, said
from tests.e2e.world import World

REQUESTS = 40


def ask(account: Account, times: int = 1) -> None:
    client = account.openai()
    for _ in range(times):
        client.chat.completions.create(model=CHAT_MODEL, messages=said("hello"))


def rotated(account: Account, saved: SavedKey, **body: object) -> SavedKey:
    key = new_provider_key()
    path = f"/api/byok/{saved.id}/rotate"
    return SavedKey(key, account.owner.ok("POST", path, {"key": key, "keep_previous": True, **body}))


@pytest.fixture
def saved(world: World) -> tuple[Account, SavedKey, SavedKey]:
    """A credential with its old key and its new one; no platform key behind them."""
    account = world.account(platform_allowed=False)
    old = account.save_key()
    return account, old, rotated(account, old)


def test_the_new_key_serves_and_the_old_one_stands_by(world: World, saved: tuple[Account, SavedKey, SavedKey]) -> None:
    account, old, new = saved
    ask(account, 5)
    assert (len(world.calls(new.key)), len(world.calls(old.key))) == (5, 0)


def test_where_the_new_key_fails_the_old_one_answers(world: World, saved: tuple[Account, SavedKey, SavedKey]) -> None:
    """A key pasted for another project passes its validation and has no access: nobody downstream notices."""
    account, old, new = saved
    world.set_key("openai", new.key, accepted=False)
    ask(account)
    world.rest()  # the mark is written beside the answer
    ask(account, 2)
    assert len(world.calls(old.key)) == 3
    assert len(world.calls(new.key)) == 1, "known not to work, it is not asked again"
    shown = account.owner.ok("GET", f"/api/byok/{old.id}")
    assert (shown["status"], [each["status"] for each in shown["versions"]]) == ("rejected", ["rejected", "active"])


@pytest.mark.parametrize(("share", "on_the_old"), [(100, REQUESTS), (0, 0)])
def test_all_or_nothing_is_exact(
    world: World, saved: tuple[Account, SavedKey, SavedKey], share: int, on_the_old: int
) -> None:
    account, old, new = saved
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": share})
    ask(account, REQUESTS)
    assert len(world.calls(old.key)) == on_the_old
    assert len(world.calls(new.key)) == REQUESTS - on_the_old


def test_a_share_shifts_traffic_on_the_next_request(world: World, saved: tuple[Account, SavedKey, SavedKey]) -> None:
    account, old, new = saved
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": 50})
    ask(account, REQUESTS)
    # By chance alone fewer than 5 of 40 on either happen once in ten million runs.
    assert min(len(world.calls(old.key)), len(world.calls(new.key))) >= 5
    assert len(world.calls(old.key)) + len(world.calls(new.key)) == REQUESTS


def test_each_versions_last_use_is_seen_and_then_the_old_one_goes(
    world: World, saved: tuple[Account, SavedKey, SavedKey]
) -> None:
    account, old, new = saved
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": 100})
    ask(account)
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": 0})
    time.sleep(0.01)
    ask(account)
    world.drain()
    now, before = account.owner.ok("GET", f"/api/byok/{old.id}")["versions"]
    assert now["last_used_at"] > before["last_used_at"] > before["created_at"]

    retired = account.owner.ok("POST", f"/api/byok/{old.id}/retire")
    assert [each["version"] for each in retired["versions"]] == [2]
    world.set_key("openai", new.key, accepted=False)
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_credentials_exhausted")
    assert len(world.calls(old.key)) == 1, "retired is retired"


def test_records_say_which_version_served(world: World, saved: tuple[Account, SavedKey, SavedKey]) -> None:
    account, old, _ = saved
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": 100})
    ask(account)
    account.owner.ok("PATCH", f"/api/byok/{old.id}", {"previous_share_percent": 0})
    ask(account)
    assert [row["credential_version"] for row in account.attempts()] == [1, 2]
