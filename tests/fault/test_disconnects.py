"""A client that leaves at any moment: one record, priced, its usage as well as it is known, and nothing left held.

The provider is played, so that "between this chunk and the next" is a place and not a time. The stores are the real
ones: what was held and reserved is settled by billing at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from local.simulator import start_simulator
from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.limits import Measure, Window
from ownkey.domain.usage import UsageSource
from ownkey.ledger.counters import Counters
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records, ended_item, to_record
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.stream import count_batch
from ownkey.router import Ports
from ownkey.store import keys
from ownkey.store.dynamodb import encode_item
from ownkey.upstream import UpstreamBroken, UpstreamRequest
from tests.support.audit import money
from tests.support.aws import Tables
from tests.support.inference import (
    ACCOUNT,
    CHAT,
    MESSAGES,
    StreamClient,
    World,
    credential,
    world_with_simulator,
)
from tests.support.limits import limit
from tests.support.pieces import InPieces
from tests.support.providers import fixture

PATHS = {"openai": ("/v1/chat/completions", CHAT), "anthropic": ("/v1/messages", MESSAGES)}
STREAMS = {
    family: [event + b"\n\n" for event in fixture(family, "stream.sse").split(b"\n\n") if event.strip()]
    for family in PATHS
}
REQUESTS = limit(id="lim_requests", account_id=ACCOUNT, window=Window.TOTAL, amount=1_000)
TOKENS = limit(id="lim_tokens", account_id=ACCOUNT, window=Window.TOTAL, measure=Measure.TOKENS, amount=10**9)
BEFORE_THE_HEAD, BEFORE_THE_FIRST = -1, 0
_LEFT = object()

surfaces = pytest.mark.parametrize("family", list(PATHS))


class Played(InPieces):
    """A provider's one answer: as many chunks as the test has given."""

    def __init__(self) -> None:
        self.status = 200
        self.headers = {"content-type": "text/event-stream"}
        self.left = False
        """Whether the gateway hung up."""
        self._head = asyncio.Event()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()
        self._waiting = asyncio.Event()

    async def send(self, request: UpstreamRequest) -> Played:
        self._waiting.set()
        await self._head.wait()
        return self

    def give(self, pieces: list[bytes], *, end: bool = False) -> None:
        self._waiting.clear()
        self._head.set()
        for piece in [*pieces, *([None] if end else ())]:
            self._pieces.put_nowait(piece)

    async def all_taken(self) -> None:
        """Until the gateway waits for more than it was given."""
        async with asyncio.timeout(30):
            await self._waiting.wait()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            if self._pieces.empty():
                self._waiting.set()
            piece = await self._pieces.get()
            if self.left:
                raise UpstreamBroken("closed")
            if piece is None:
                return
            yield piece

    async def read(self, limit_bytes: int) -> bytes:
        return b"".join([piece async for piece in self.chunks()])

    def close(self) -> None:
        self.left = True
        self._pieces.put_nowait(_LEFT)


@dataclass
class Books:
    """A world whose ledger is real, on the platform's keys, with hard limits."""

    world: World
    tables: Tables

    @property
    def settlement(self) -> Settlement:
        tables = self.tables
        names = Names(tables.records, tables.credits, tables.ledger, tables.rollups, tables.counters)
        return Settlement(tables.db, names)

    def play(self) -> Played:
        tables, world, played = self.tables, self.world, Played()
        holds = Holds(tables.db, credits_table=tables.credits, records_table=tables.records)
        counters, records = Counters(tables.db, tables.counters), Records(tables.db, tables.records)
        ports = Ports(world.vault, world.tokens, records, holds, counters, played, world.health)
        # The gateway in the running application: each answer is played by itself.
        gateway = world.app.router.routes[0].endpoint._opened[0]  # type: ignore[attr-defined]
        gateway._deps = replace(gateway._deps, ports=ports)
        return played

    async def attempts(self) -> list[AttemptRecord]:
        """The account's records, in order."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        return [to_record(item) for item in await self.tables.db.query_all(self.tables.records, self._of(day))]

    def _of(self, day: str) -> str:
        return keys.attempts(ACCOUNT, day)

    async def settle(self) -> list[AttemptRecord]:
        """Bills everything; nothing may be left held, reserved or unexplained."""
        tables, attempts = self.tables, await self.attempts()
        images = [encode_item(ended_item(each.start, each.end)) for each in attempts if each.end]
        batch = [{"dynamodb": {"SequenceNumber": f"{n:05}", "NewImage": image}} for n, image in enumerate(images)]
        assert await count_batch(self.settlement, batch, datetime.now(UTC)) == []
        assert await money(tables.db, tables.credits, tables.ledger, ACCOUNT, attempts) == []
        assert not await tables.db.query_all(tables.credits, keys.credits_of(ACCOUNT), prefix=keys.HOLD_PREFIX)
        assert not await tables.db.query_all(tables.counters, keys.reservations(ACCOUNT))
        used = await Counters(tables.db, tables.counters).current([REQUESTS, TOKENS], datetime.now(UTC))
        tokens = sum(each.end.usage.total_tokens for each in attempts if each.end)
        assert [(each.used, each.committed) for each in used.values()] == [(len(attempts),) * 2, (tokens,) * 2]
        return attempts


@asynccontextmanager
async def books(tables: Tables, policy: OnDisconnect) -> AsyncIterator[Books]:
    async with await start_simulator() as simulator:
        world = World(simulator)
        world.registry.platform = [credential(family, account_id="platform") for family in PATHS]
        world.registry.limits = [REQUESTS, TOKENS]
        world.registry.account = replace(world.registry.account, on_disconnect=policy)
        async with world.running():
            ledger = Books(world, tables)
            deposit = Deposit(ACCOUNT, "dep_1", 10**12, "operator", "2026-11-01T00:00:00+00:00")
            await Records(tables.db, tables.records).request_deposit(deposit)
            await ledger.settlement.deposit(deposit, now="2026-11-01T00:00:00+00:00")
            yield ledger


async def leave_after(ledger: Books, family: str, chunks: int, *, drained: bool) -> tuple[StreamClient, Played]:
    """A client that leaves when the gateway has had so many chunks of the answer, and waits for the next."""
    path, body = PATHS[family]
    played, stream = ledger.play(), STREAMS[family]
    client = ledger.world.stream(path, body | {"stream": True})
    if chunks > BEFORE_THE_HEAD:
        await played.all_taken()
        played.give(stream[:chunks])
    await played.all_taken()
    client.leave()
    if drained:
        played.give(stream[max(chunks, 0) :], end=True)
    await client.over()
    return client, played


def boundaries(family: str) -> range:
    """Before the head, before the first chunk, and after each chunk that another one follows."""
    return range(BEFORE_THE_HEAD, len(STREAMS[family]))


async def whole(ledger: Books, family: str) -> AttemptRecord:
    """The record of an answer that its client stayed for."""
    path, body = PATHS[family]
    played = ledger.play()
    client = ledger.world.stream(path, body | {"stream": True})
    played.give(STREAMS[family], end=True)
    await client.rest()
    return (await ledger.attempts())[-1]


@surfaces
async def test_a_drained_answer_has_the_providers_usage_wherever_its_client_left(tables: Tables, family: str) -> None:
    async with books(tables, OnDisconnect.DRAIN) as ledger:
        full = await whole(ledger, family)
        for chunks in boundaries(family):
            await leave_after(ledger, family, chunks, drained=True)
        told, *cancelled = await ledger.settle()
    assert told.end is not None
    assert full.end is not None
    assert len(cancelled) == len(boundaries(family))
    for record in cancelled:
        assert record.end is not None
        assert (record.end.outcome, record.end.usage_source) == (Outcome.CANCELLED, UsageSource.PROVIDER)
        assert (record.end.usage, record.end.charge_nanousd) == (full.end.usage, full.end.charge_nanousd)


@surfaces
async def test_an_aborted_answer_is_charged_for_what_had_come(tables: Tables, family: str) -> None:
    async with books(tables, OnDisconnect.ABORT) as ledger:
        for chunks in boundaries(family):
            _, played = await leave_after(ledger, family, chunks, drained=False)
            assert played.left or chunks == BEFORE_THE_HEAD
        records = await ledger.settle()
    assert len(records) == len(boundaries(family))
    generated = []
    for record, chunks in zip(records, boundaries(family), strict=True):
        end, estimated = record.end, record.start.estimated_usage
        assert end is not None
        assert (end.outcome, end.error_code) == (Outcome.CANCELLED, None)
        assert end.charge_nanousd > 0
        if chunks <= BEFORE_THE_FIRST:
            assert (end.usage, end.usage_source) == (estimated, UsageSource.ESTIMATED)
        if family == "anthropic" and chunks > BEFORE_THE_FIRST:
            # `message_start` had told how much went in: no estimate takes its place.
            assert end.usage.input_tokens == records[-1].end.usage.input_tokens  # type: ignore[union-attr]
            assert end.usage.output_tokens >= 1
        generated.append(end.usage.output_tokens)
    estimates = [n for record, n in zip(records, generated, strict=True) if record.end.usage_source == "estimated"]  # type: ignore[union-attr]
    assert estimates == sorted(estimates), "more chunks, never fewer tokens"
    assert estimates[-1] > 0
    assert records[-1].end.usage_source is UsageSource.PROVIDER, "its usage had come"  # type: ignore[union-attr]


async def test_nothing_is_tried_again_for_a_client_that_has_gone(tables: Tables) -> None:
    async with books(tables, OnDisconnect.ABORT) as ledger:
        ledger.world.registry.platform.append(credential("openai", account_id="platform", alias="spare"))
        await leave_after(ledger, "openai", BEFORE_THE_HEAD, drained=False)
        (record,) = await ledger.settle()
    assert record.end is not None
    assert (record.start.number, record.end.outcome) == (0, Outcome.CANCELLED)


@pytest.mark.parametrize("policy", list(OnDisconnect))
async def test_a_client_that_leaves_before_anything_was_sent_leaves_nothing_held(
    tables: Tables, policy: OnDisconnect
) -> None:
    async with books(tables, policy) as ledger:
        path, body = PATHS["openai"]
        played = ledger.play()
        client = ledger.world.stream(path, body | {"stream": True})
        client.leave()
        played.give(STREAMS["openai"], end=True)
        await client.over()
        records = await ledger.settle()
    (record,) = records
    assert record.end is not None
    assert record.end.outcome is Outcome.CANCELLED


# ── Over a real connection


@pytest.mark.parametrize("surface", ["chat", "messages"])
@pytest.mark.parametrize("send_raises", [True, False])
async def test_the_provider_sees_the_gateway_hang_up(surface: str, send_raises: bool) -> None:
    path, body = {"chat": PATHS["openai"], "messages": PATHS["anthropic"]}[surface]
    async with world_with_simulator() as world:
        world.registry.account = replace(world.registry.account, on_disconnect=OnDisconnect.ABORT)
        said = [{"role": "user", "content": "[[sim: chunks=400 delay_ms=20]]"}]
        client = world.stream(path, body | {"stream": True, "messages": said})
        while b"w1" not in (await client.piece() or b"ended early"):
            continue
        client.leave(send_raises=send_raises)
        await client.over()
        (entry,) = await world.simulator.settled()
        ((_, end),) = world.attempts.records
    assert entry.outcome != "answered"
    assert entry.chunks_sent < 400
    assert (end.outcome, end.usage_source) == (Outcome.CANCELLED, UsageSource.ESTIMATED)
    assert end.usage.output_tokens >= 1


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_provider_that_has_not_begun_is_left_too(streamed: bool) -> None:
    async with world_with_simulator() as world:
        world.registry.account = replace(world.registry.account, on_disconnect=OnDisconnect.ABORT)
        said = [{"role": "user", "content": "[[sim: hang]]"}]
        client = world.stream("/v1/chat/completions", CHAT | {"stream": streamed, "messages": said})
        async with asyncio.timeout(30):
            while not await _reached(world):
                await asyncio.sleep(0.005)
        client.leave()
        await client.over()
        ((start, end),) = world.attempts.records
    assert client.status is None
    assert (end.outcome, end.usage, end.usage_source) == (
        Outcome.CANCELLED,
        start.estimated_usage,
        UsageSource.ESTIMATED,
    )


async def _reached(world: World) -> bool:
    return bool(world.simulator.journal.entries())
