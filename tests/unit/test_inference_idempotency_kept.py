"""What is kept of an answer for its repeats: unreadable, for a day, and up to a size."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from local.simulator import start_simulator
from ownkey.domain.credentials import CredentialSource
from ownkey.http.answer_seal import MAX_PLAIN_BYTES, Head, Packer
from ownkey.registry.idempotency import TTL_S
from ownkey.registry.kept_answers import PART_BYTES
from ownkey.router import Served
from ownkey.store import keys
from ownkey.store.dynamodb import Key, Put
from ownkey.upstream import UpstreamRequest
from tests.support.aws import Tables
from tests.support.inference import ACCOUNT, CHAT
from tests.support.repeatable import KEY, NOON, PATH, REQUESTS, STREAMED, Repeatable, error_of


@pytest.fixture
async def world(tables: Tables) -> AsyncIterator[Repeatable]:
    async with await start_simulator() as simulator:
        world = Repeatable(simulator, tables)
        async with world.running():
            yield world


# ── What is kept, and for how long


async def test_nothing_of_it_can_be_read(world: Repeatable) -> None:
    secret_word = "xylophonic-canary"
    for name in ("chat", "chat, streamed", "messages, streamed"):
        path, body = REQUESTS[name]
        body = body | {"messages": [{"role": "user", "content": secret_word}]}
        answer = await world.ask(path, body, **{"idempotency-key": f"{KEY['idempotency-key']}-{len(name)}"})
        assert b"canary" in answer.content, "the simulated provider says it back"
    found = json.dumps(world.items(), default=repr)
    for text in (secret_word, "canary", KEY["idempotency-key"], world.registry.secret, "You said", "choices"):
        assert text not in found
    kinds = {name for item in world.items() for name in item}
    assert kinds == {
        *("pk", "sk", "token", "salt", "fingerprint", "resource_id", "lease_until_s", "ttl_s", "state", "status"),
        "sealed",
    }


@pytest.mark.parametrize("at", [0, 12, -1], ids=["nonce", "ciphertext", "tag"])
async def test_an_altered_answer_is_not_given(world: Repeatable, at: int) -> None:
    await world.ask()
    note = await world.note()
    (part,) = await world.tables.db.query_all(world.tables.answers, keys.answer(ACCOUNT, note["sk"]))
    sealed = bytearray(part["sealed"])
    sealed[at] ^= 1
    at_key = Key(world.tables.answers, part["pk"], part["sk"])
    await world.tables.db.write(Put(at_key, {"sealed": bytes(sealed), "ttl_s": part["ttl_s"]}))
    assert error_of(await world.ask()) == (409, "idempotency_not_kept")


async def test_it_is_forgotten_after_a_day_whether_or_not_dynamodb_has_come_to_it(world: Repeatable) -> None:
    first = await world.ask()
    world.now += timedelta(seconds=TTL_S - 1)
    assert (await world.ask()).content == first.content
    world.now += timedelta(seconds=1)
    other = CHAT | {"messages": [{"role": "user", "content": "Something else"}]}
    assert "idempotent-replayed" not in (await world.ask(body=other)).headers
    assert {int(item["ttl_s"]["N"]) for item in world.items()} == {
        int(NOON.timestamp()) + TTL_S,
        int(world.now.timestamp()) + TTL_S,
    }


class Large:
    """A provider whose answers do not compress."""

    status, headers = 200, {"content-type": "application/json"}

    def __init__(self, size: int) -> None:
        message = {"role": "assistant", "content": secrets.token_hex(size)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini", "choices": choices}
        self.body = json.dumps(answer | {"usage": usage}).encode()

    async def send(self, request: UpstreamRequest) -> Large:
        return self

    async def read(self, limit_bytes: int) -> bytes:
        return self.body

    def close(self) -> None:
        return


async def test_a_large_answer_stands_in_several_items(world: Repeatable) -> None:
    world.ask_of(Large(2 * PART_BYTES))
    first, again = await world.ask(), await world.ask()
    assert again.content == first.content
    assert len(world.items()) == 1 + 3
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("size", [1_200_000])
async def test_one_that_is_too_large_is_charged_once_all_the_same(world: Repeatable, size: int) -> None:
    world.ask_of(Large(size))
    first = await world.ask()
    assert first.status_code == 200
    again = await world.ask()
    assert error_of(again) == (409, "idempotency_not_kept")
    assert first.headers["x-ownkey-request-id"] in again.json()["error"]["message"]
    assert len(world.attempts.records) == 1
    assert len(first.content) < MAX_PLAIN_BYTES


def test_what_would_fill_the_memory_when_opened_is_too_large_however_well_it_compresses() -> None:
    head = Head("req_1", {}, Served("openai", "gpt-4o-mini", "main", CredentialSource.BYOK), 1)
    packer = Packer(head, 10**6)
    for _ in range(MAX_PLAIN_BYTES // 10**6 + 1):
        packer.take(bytes(10**6))
    assert packer.packed() is None


# ── When the table is out of reach


async def test_a_lost_answer_to_our_own_write_is_not_taken_for_somebody_elses(world: Repeatable) -> None:
    write, repeated = world.db.write, []

    async def twice(action: Any) -> None:
        await write(action)
        if not repeated:
            repeated.append(action)
            await write(action)

    world.db.write = twice  # type: ignore[method-assign]
    assert (await world.ask()).status_code == 200
    assert repeated


async def test_what_cannot_be_taken_is_not_asked(world: Repeatable) -> None:
    world.db.down = {"PutItem"}
    assert error_of(await world.ask()) == (503, "store_unavailable")
    assert world.asked() == 0


async def test_what_cannot_be_kept_is_answered_all_the_same(world: Repeatable) -> None:
    headers = {"authorization": f"Bearer {world.registry.secret}"} | KEY
    client = world.stream(PATH, STREAMED, headers)
    stream = await client.piece() or b""
    world.db.down = {"PutItem"}
    assert (stream + await client.rest()).endswith(b"data: [DONE]\n\n")
    world.db.down = set()
    assert error_of(await world.ask(body=STREAMED)) == (409, "idempotency_in_flight")
