"""Budgets and rate limits as the SDKs meet them on the running stack, and what the account is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, said
from tests.e2e.world import World


def limit(account: Account, **body: Any) -> str:
    """A limit of the account, or of what `scope` and `value` name; its id."""
    return account.owner.ok("POST", "/api/limits", body)["id"]


def ask(account: Account, **options: Any) -> Any:
    """One short chat answer through the OpenAI SDK."""
    return account.openai().chat.completions.create(model=CHAT_MODEL, messages=said("hello"), max_tokens=20, **options)


def used(account: Account, limit_id: str) -> Any:
    """What the API says is used of a limit, once all answers are billed."""
    account.attempts()
    (row,) = [each for each in account.owner.ok("GET", "/api/limits")["data"] if each["id"] == limit_id]
    return row["current"]["used"]


def told(account: Account) -> list[dict[str, Any]]:
    """The alerts in the account's audit log, the oldest first."""
    account.attempts()
    account.world.drain()
    rows = account.owner.ok("GET", "/api/audit", params={"action": "budget.threshold"})["data"]
    return [row["target"] | row["details"] for row in reversed(rows)]


def test_more_requests_than_a_day_allows_are_refused_with_the_headers_that_sdks_read(world: World) -> None:
    account = world.account()
    account.save_key("OpenAI")
    limit_id = limit(account, measure="requests", window="day", amount=2)
    for _ in range(2):
        assert ask(account).choices
    with pytest.raises(openai.RateLimitError) as refused:
        ask(account)
    error, headers = refused.value, refused.value.response.headers
    assert (error.code, error.status_code) == ("rate_limit_exceeded", 429)
    assert error.body["metadata"]["limit"]["id"] == limit_id
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert int(headers["retry-after"]) > 0
    assert used(account, limit_id) == 2
    assert len(account.attempts()) == 2


def test_an_anthropic_client_is_refused_in_its_own_words(world: World) -> None:
    account = world.account()
    account.save_key("Anthropic")
    limit(account, measure="tokens", window="day", amount=10)
    with pytest.raises(anthropic.RateLimitError) as refused:
        account.anthropic().messages.create(model=MESSAGES_MODEL, max_tokens=20, messages=said("hello"))
    assert refused.value.body["error"]["type"] == "rate_limit_error"
    assert refused.value.response.headers["anthropic-ratelimit-tokens-limit"] == "10"


def test_a_spent_budget_is_a_402_that_is_not_asked_again(world: World) -> None:
    account = world.account(credits_usd="5")
    limit(account, measure="spend", window="month", amount="0.00000001")
    with pytest.raises(openai.APIStatusError) as refused:
        account.openai(max_retries=2).chat.completions.create(model=CHAT_MODEL, messages=said("hello"), max_tokens=20)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert account.attempts() == []
    assert account.balance()["total_usd"] == 5


def test_a_budget_counts_what_own_keys_cost_and_tells_each_threshold_once(world: World) -> None:
    account = world.account()
    account.save_key("OpenAI")
    cost = Decimal(str(ask(account).usage.to_dict()["cost_details"]["upstream_inference_cost"]))
    limit_id = limit(account, measure="spend", window="day", amount=str(cost * 2), hard=False, include_byok=True)
    assert told(account) == []
    for expected in ([50], [50, 80, 100], [50, 80, 100]):
        ask(account)
        assert [each["percent"] for each in told(account)] == expected
    assert {each["limit_id"] for each in told(account)} == {limit_id}
    assert Decimal(used(account, limit_id)) == cost * 3


def test_a_user_and_a_tag_have_limits_of_their_own(world: World) -> None:
    account = world.account()
    account.save_key("OpenAI")
    by_user = limit(account, measure="requests", window="day", amount=1, scope="user", value="ann")
    by_tag = limit(account, measure="requests", window="day", amount=1, scope="tag", value="team=search")
    tagged = {"extra_headers": {"x-ownkey-tags": "team=search"}}
    for first in ({"user": "ann"}, tagged):
        ask(account, **first)
    for again, limit_id in (({"user": "ann"}, by_user), (tagged, by_tag)):
        with pytest.raises(openai.RateLimitError) as refused:
            ask(account, **again)
        assert refused.value.body["metadata"]["limit"]["id"] == limit_id
    assert ask(account, user="bob").choices


def test_a_hard_limit_holds_however_many_ask_at_once(world: World) -> None:
    account = world.account()
    account.save_key("OpenAI")
    limit_id = limit(account, measure="requests", window="day", amount=5)

    def outcome(_: int) -> str:
        try:
            return "answered" if ask(account).choices else "empty"
        except openai.RateLimitError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, range(24)))
    assert (outcomes.count("answered"), outcomes.count("refused")) == (5, 19)
    assert used(account, limit_id) == 5
