"""`Idempotency-Key` with the real SDKs, which send one only where they are told: `extra_headers`."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.accounts import Account
from tests.e2e.surfaces import BOTH, CHAT, Surface
from tests.e2e.world import World


def once() -> dict[str, dict[str, str]]:
    return {"extra_headers": {"Idempotency-Key": str(uuid.uuid4())}}


def text_of(surface: Surface, answer: Any, *, streamed: bool) -> str:
    return "".join(surface.pieces(answer.parse(), streamed=streamed))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@BOTH
def test_a_repeat_has_the_same_answer_and_is_charged_once(world: World, surface: Surface, streamed: bool) -> None:
    account, named = world.account(credits_usd="5"), once()
    first = surface.raw(account, "one two three", stream=streamed, **named)
    said = text_of(surface, first, streamed=streamed)
    spent = account.balance()
    again = surface.raw(account, "one two three", stream=streamed, **named)
    assert text_of(surface, again, streamed=streamed) == said
    assert "one two three" in said
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-ownkey-request-id"] == first.headers["x-ownkey-request-id"]
    assert account.balance() == spent
    assert spent["total_usd"] < 5
    assert len(account.attempts()) == 1


def test_repeats_at_once_wait_for_the_first(world: World) -> None:
    account, named = world.account(), once()
    key = account.save_key("OpenAI").key
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(CHAT.ask, account, "[[sim: header_ms=200]] hello", **named) for _ in range(4)]
        answers = {each.result() for each in asked}
    assert len(answers) == 1
    assert len(world.calls(key)) == len(account.attempts()) == 1


@BOTH
def test_an_sdks_own_retry_asks_again_what_had_failed(world: World, surface: Surface) -> None:
    account, named = world.account(platform_allowed=False), once()
    key = account.save_key(surface.provider).key
    world.script(surface.provider_id, key=key, fail="503", times=1)
    answer = surface.raw(account, "hello", max_retries=2, **named)
    assert answer.retries_taken == 1
    assert "hello" in text_of(surface, answer, streamed=False)
    assert [each["outcome"] for each in account.attempts()] == ["refused", "succeeded"]
    again = surface.raw(account, "hello", max_retries=2, **named)
    assert (again.retries_taken, again.headers["idempotent-replayed"]) == (0, "true")


@BOTH
def test_another_body_is_refused_and_not_retried(world: World, surface: Surface, account: Account) -> None:
    account.save_key(surface.provider)
    named = once()
    surface.raw(account, "hello", **named)
    with pytest.raises(surface.errors.UnprocessableEntityError) as refused:
        surface.raw(account, "something else", max_retries=2, **named)
    assert surface.error(refused.value.response.json())["code"] == "idempotency_mismatch"
    assert len(account.attempts()) == 1


def test_another_gateway_key_of_the_account_is_asked_by_itself(world: World, account: Account) -> None:
    account.save_key("OpenAI")
    named = once()
    other = account.owner.ok("POST", "/api/gateway-keys", {"alias": "other"})
    another = Account(world, account.id, account.owner, other["key"], other["id"])
    headers = [CHAT.raw(each, "hello", **named).headers for each in (account, another, account)]
    assert ["idempotent-replayed" in each for each in headers] == [False, False, True]
    assert len({each["x-ownkey-request-id"] for each in headers}) == 2


def test_what_is_kept_shows_neither_question_nor_answer(world: World, account: Account) -> None:
    account.save_key("OpenAI")
    named, word = once(), f"canary{uuid.uuid4().hex}"
    assert word in CHAT.ask(account, word, **named)
    world.rest()  # it is kept behind the answer
    rows = [row for row in world.items("AnswersTable") if f"#{account.id}" in row["pk"]["S"]]
    assert len(rows) == 2
    found = json.dumps(rows, default=lambda value: value.decode("latin-1"))
    for text in (word, "canary", named["extra_headers"]["Idempotency-Key"], account.gateway_key, "choices"):
        assert text not in found
