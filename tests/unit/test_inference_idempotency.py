"""`Idempotency-Key` on inference: answered once, replayed after, and charged once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.simulator import start_simulator
from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.attempts import Outcome
from ownkey.domain.gateway_keys import digest_of, mint
from ownkey.domain.limits import Window
from ownkey.registry.kept_answers import KeptAnswers
from ownkey.store import keys
from ownkey.store.dynamodb import Key, Put
from tests.support.aws import Tables
from tests.support.inference import ACCOUNT, CHAT, MESSAGES, credential
from tests.support.limits import limit
from tests.support.repeatable import COUNT, KEY, PATH, REQUESTS, STREAMED, Repeatable, error_of, told, under_way

requests = pytest.mark.parametrize("path, body", REQUESTS.values(), ids=REQUESTS)


@pytest.fixture
async def world(tables: Tables) -> AsyncIterator[Repeatable]:
    async with await start_simulator() as simulator:
        world = Repeatable(simulator, tables)
        async with world.running():
            yield world


# ── The same again


@requests
async def test_a_repeat_is_the_same_answer_and_asks_nobody(world: Repeatable, path: str, body: Any) -> None:
    first = await world.ask(path, body)
    again = await world.ask(path, body)
    assert first.status_code == again.status_code == 200
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert told(again) == told(first)
    assert world.asked() == len(world.attempts.records) == 1
    assert len(world.attempts.log) == 2, "the intent and the end of the first"


async def test_its_id_is_that_of_the_request_that_was_served(world: Repeatable) -> None:
    first, again = await world.ask(), await world.ask()
    assert again.headers["x-ownkey-request-id"] == first.headers["x-ownkey-request-id"]
    shown = await world.get(
        f"/v1/generation?id={again.headers['x-ownkey-request-id']}",
        {"authorization": f"Bearer {world.registry.secret}"},
    )
    assert shown.status_code == 200


async def test_it_holds_nothing_and_reserves_nothing(world: Repeatable) -> None:
    world.registry.own, world.registry.platform = [], [credential("openai", alias="shared")]
    world.registry.limits = [limit(window=Window.DAY)]
    answers = [await world.ask() for _ in range(3)]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(world.holds.placed) == len(world.counters.reserved) == 1
    assert world.reclaims.noted == [ACCOUNT]


async def test_it_does_not_need_the_credential_any_more(world: Repeatable) -> None:
    first = await world.ask()
    world.registry.own = []
    assert (await world.ask()).content == first.content
    assert error_of(await world.post(PATH, CHAT)) == (404, "no_byok_key")


async def test_spaces_and_order_in_the_body_are_no_other_request(world: Repeatable) -> None:
    first = await world.ask(body=CHAT)
    spaced = json.dumps(dict(reversed(CHAT.items())), indent=2).encode()
    assert (await world.ask(body=spaced)).content == first.content


async def test_headers_of_a_retry_are_no_other_request(world: Repeatable) -> None:
    first = await world.ask(**{"x-stainless-retry-count": "0"})
    assert (await world.ask(**{"x-stainless-retry-count": "1"})).content == first.content


async def test_a_page_that_repeats_gets_its_own_headers(world: Repeatable) -> None:
    world.registry.key = replace(world.registry.key, origins=("https://a.example", "https://b.example"))
    await world.ask(origin="https://a.example")
    again = await world.ask(origin="https://b.example")
    assert again.headers["access-control-allow-origin"] == "https://b.example"


# ── What it costs


async def test_without_the_header_nothing_is_read_and_nothing_written(world: Repeatable) -> None:
    for path, body in REQUESTS.values():
        assert (await world.post(path, body)).status_code == 200
    assert world.db.calls == Counter()


async def test_what_it_costs_with_it(world: Repeatable) -> None:
    await world.ask()
    assert world.db.calls == Counter(PutItem=3), "the note, the answer, the note again"
    world.db.calls.clear()
    await world.ask()
    assert world.db.calls == Counter(PutItem=1, Query=1), "the note that stands there, the answer"
    world.db.calls.clear()
    world.registry.own = []
    assert (await world.ask(**{"idempotency-key": "another"})).status_code == 404
    assert world.db.calls == Counter(PutItem=1, DeleteItem=1)


# ── Another request


@requests
async def test_another_body_is_refused(world: Repeatable, path: str, body: Any) -> None:
    await world.ask(path, body)
    other = body | {"messages": [{"role": "user", "content": "Something else"}]}
    assert error_of(await world.ask(path, other)) == (422, "idempotency_mismatch")
    assert world.asked() == 1


async def test_it_is_refused_while_the_first_is_under_way_too(world: Repeatable) -> None:
    async with under_way(world) as release:
        other = STREAMED | {"messages": [{"role": "user", "content": "Something else"}]}
        assert error_of(await world.ask(body=other)) == (422, "idempotency_mismatch")
        release()


async def test_each_endpoint_has_keys_of_its_own(world: Repeatable) -> None:
    await world.ask("/v1/messages", MESSAGES)
    counted = await world.ask("/v1/messages/count_tokens", COUNT)
    assert counted.json().keys() >= {"input_tokens"}
    assert (await world.ask("/api/v1/messages", MESSAGES)).headers["idempotent-replayed"] == "true"


async def test_another_gateway_key_never_gets_the_answer(world: Repeatable) -> None:
    first = await world.ask()
    ours, theirs = await world.note(), mint(ACCOUNT).reveal()
    world.registry.key = replace(world.registry.key, id="gk_2", digest=digest_of(theirs))
    other = await world.ask(key=theirs)
    assert "idempotent-replayed" not in other.headers
    assert other.headers["x-ownkey-request-id"] != first.headers["x-ownkey-request-id"]
    assert world.asked() == 2
    # And were its note to point at the other's answer, it would not open.
    rows = await world.tables.db.query_all(world.tables.answers, keys.idempotency(ACCOUNT))
    (note,) = [row for row in rows if row["sk"] != ours["sk"]]
    (part,) = await world.tables.db.query_all(world.tables.answers, keys.answer(ACCOUNT, ours["sk"]))
    to = Key(world.tables.answers, keys.answer(ACCOUNT, note["sk"]), keys.answer_part(note["token"], 0))
    await world.tables.db.write(Put(to, {"sealed": part["sealed"], "ttl_s": part["ttl_s"]}))
    assert error_of(await world.ask(key=theirs)) == (409, "idempotency_not_kept")


async def test_a_gateway_keys_new_secret_is_not_charged_twice(world: Repeatable) -> None:
    await world.ask()
    rotated = mint(ACCOUNT).reveal()
    world.registry.key = replace(world.registry.key, digest=digest_of(rotated))
    assert error_of(await world.ask(key=rotated)) == (422, "idempotency_mismatch")
    assert world.asked() == 1


@pytest.mark.parametrize("bad", ["two words", "x" * 256, "caf\u00e9", ""])
async def test_a_key_that_is_none_is_refused(world: Repeatable, bad: str) -> None:
    sent = [(b"authorization", f"Bearer {world.registry.secret}".encode()), (b"idempotency-key", bad.encode())]
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.post(PATH, json=CHAT, headers=sent)
    assert error_of(answer) == (400, "invalid_parameter")
    assert answer.json()["error"]["param"] == "Idempotency-Key"
    assert world.asked() == 0


# ── While the first is under way


def wait_for(world: Repeatable, seconds: float) -> None:
    gateway = world.app.router.routes[0].endpoint._opened[0]  # type: ignore[attr-defined]
    gateway._repeats._wait_s = seconds


async def test_a_repeat_that_has_waited_long_enough_is_told_when_to_come_again(world: Repeatable) -> None:
    async with under_way(world):
        refused = await world.ask(body=STREAMED)
    assert error_of(refused) == (409, "idempotency_in_flight")
    assert refused.headers["retry-after"] == "5"
    assert refused.headers["x-should-retry"] == "false"


async def test_repeats_wait_for_the_first_and_have_its_answer(world: Repeatable) -> None:
    wait_for(world, 30.0)
    async with under_way(world) as release:
        waiting = [asyncio.create_task(world.ask(body=STREAMED)) for _ in range(3)]
        await asyncio.sleep(0.05)
        release()
        answers = await asyncio.gather(*waiting)
    assert {answer.headers["idempotent-replayed"] for answer in answers} == {"true"}
    assert len({answer.content for answer in answers}) == 1
    assert world.asked() == len(world.attempts.records) == 1


async def test_of_many_at_once_one_is_asked(world: Repeatable) -> None:
    wait_for(world, 30.0)
    answers = await asyncio.gather(*(world.ask() for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert world.asked() == len(world.attempts.records) == 1


# ── What was not answered


@pytest.mark.parametrize("fail", [400, 401, 429, 500, 503])
async def test_a_request_that_failed_is_as_if_never_asked(world: Repeatable, fail: int) -> None:
    world.simulator.scripts.add("openai", fail=str(fail), times=1)
    refused = await world.ask()
    assert refused.status_code >= 400
    assert world.items() == []
    world.health.marks.clear()
    answered = await world.ask()
    assert (answered.status_code, "idempotent-replayed" in answered.headers) == (200, False)
    assert len(world.attempts.records) == 2


async def test_a_refusal_of_our_own_is_none_either(world: Repeatable) -> None:
    own, world.registry.own = world.registry.own, []
    assert error_of(await world.ask()) == (404, "no_byok_key")
    world.registry.own = own
    assert (await world.ask()).status_code == 200


async def test_a_stream_that_broke_is_asked_anew(world: Repeatable) -> None:
    world.simulator.scripts.add("openai", cut_after=2, cut_mode="reset", times=1)
    broken = await world.ask(body=STREAMED)
    assert b"provider_stream_broken" in broken.content
    whole = await world.ask(body=STREAMED)
    assert whole.content.endswith(b"data: [DONE]\n\n")
    assert "idempotent-replayed" not in whole.headers
    assert [end.outcome for _, end in world.attempts.records] == [Outcome.BROKEN, Outcome.SUCCEEDED]


async def test_a_function_that_died_blocks_no_longer_than_it_could_have_lived(world: Repeatable) -> None:
    await world.ask()
    await world.died()
    left_s = (await world.note())["lease_until_s"] - int(world.now.timestamp())
    world.now += timedelta(seconds=left_s)
    assert error_of(await world.ask()) == (409, "idempotency_in_flight")
    world.now += timedelta(seconds=1)
    answered = await world.ask()
    assert (answered.status_code, "idempotent-replayed" in answered.headers) == (200, False)
    assert (await world.ask()).headers["idempotent-replayed"] == "true"
    assert world.asked() == 2


async def test_the_lease_is_the_functions_own_deadline(world: Repeatable) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    headers = {"authorization": f"Bearer {world.registry.secret}"} | KEY
    await world.stream(PATH, CHAT, headers, **{"aws.context": Context()}).rest()
    left_s = (await world.note())["lease_until_s"] - int(datetime.now(UTC).timestamp())
    assert 30 <= left_s <= 61


async def test_what_a_function_writes_too_late_is_nobodys_answer(world: Repeatable) -> None:
    """It came back to life when its lease was over, and another one had answered."""
    await world.ask()
    mine = KeptAnswers.to_note(await world.note())
    late = replace(mine, token="0" * 32)
    await world.kept.keep(late, b"of the one that was late")
    assert (await world.ask()).headers["idempotent-replayed"] == "true"
    assert (await world.note())["token"] == mine.token


# ── Clients that leave


async def leave(world: Repeatable, policy: OnDisconnect) -> None:
    world.registry.account = replace(world.registry.account, on_disconnect=policy)
    body = STREAMED | {"messages": [{"role": "user", "content": "[[sim: delay_ms=30]] one two three four five six"}]}
    headers = {"authorization": f"Bearer {world.registry.secret}"} | KEY
    client = world.stream(PATH, body, headers)
    while b"one" not in (await client.piece() or b""):
        continue
    client.leave()
    await client.over()
    again = await world.ask(body=body)
    assert again.content.endswith(b"data: [DONE]\n\n")
    assert b"six" in again.content
    assert ("idempotent-replayed" in again.headers) is (policy is OnDisconnect.DRAIN)


async def test_one_whose_answer_was_drained_gets_all_of_it_on_asking_again(world: Repeatable) -> None:
    await leave(world, OnDisconnect.DRAIN)
    assert len(world.attempts.records) == 1


async def test_one_whose_answer_was_aborted_is_asked_anew(world: Repeatable) -> None:
    await leave(world, OnDisconnect.ABORT)
    assert [end.outcome for _, end in world.attempts.records] == [Outcome.CANCELLED, Outcome.SUCCEEDED]
