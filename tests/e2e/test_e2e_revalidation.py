"""The scheduled check on the running stack: a card follows what the provider says, without anybody asking."""

from __future__ import annotations

from tests.e2e.accounts import CHAT_MODEL, Account, Json, said
from tests.e2e.world import World


def ask(account: Account) -> tuple[int, str | None]:
    answer = account.post("/v1/chat/completions", {"model": CHAT_MODEL, "messages": said("hello")})
    return answer.status_code, None if answer.is_success else answer.json()["error"]["code"]


def card(account: Account, credential_id: str) -> Json:
    return account.owner.ok("GET", f"/api/byok/{credential_id}")


def test_a_key_that_is_good_again_serves_again(world: World) -> None:
    """A key suspended over an invoice comes back; whoever paid it need not think of Ownkey too."""
    account = world.account(platform_allowed=False)
    saved = account.save_key()
    world.set_key("openai", saved.key, accepted=False)
    assert ask(account) == (502, "upstream_credentials_exhausted")
    world.rest()  # the mark is written beside the answer
    assert card(account, saved.id)["status"] == "rejected"

    assert world.upkeep("revalidate")["verdicts"].get("rejected", 0) >= 1
    assert card(account, saved.id)["status"] == "rejected"
    before = len(world.calls(saved.key))
    assert ask(account) == (502, "upstream_credentials_exhausted")
    assert len(world.calls(saved.key)) == before, "known not to work, it is not asked"

    world.set_key("openai", saved.key, accepted=True)
    assert world.upkeep("revalidate")["verdicts"].get("accepted", 0) >= 1
    shown = card(account, saved.id)
    assert (shown["status"], shown["status_reason"]) == ("active", None)
    assert shown["validated_at"] > saved.saved["validated_at"]
    assert ask(account) == (200, None)


def test_it_is_in_the_log_who_opened_the_key(world: World) -> None:
    account = world.account(platform_allowed=False)
    saved = account.save_key()
    world.set_key("openai", saved.key, accepted=False)
    ask(account)
    world.cool_down()
    world.upkeep("revalidate")
    query = {"action": "credential.unwrapped", "credential_id": saved.id}
    rows = account.owner.ok("GET", "/api/audit", params=query)["data"]
    assert {row["actor_id"] for row in rows} == {"inference", "validation"}
