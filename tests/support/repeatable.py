"""Requests with an `Idempotency-Key`, as tests repeat them: answers in a real table, at a time that the test moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from ownkey.domain.errors import StoreUnavailable
from ownkey.registry.kept_answers import KeptAnswers
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key, Put
from ownkey.upstream import UpstreamRequest
from tests.support.aws import Tables, boto
from tests.support.inference import ACCOUNT, CHAT, MESSAGES, World, credential

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = {"idempotency-key": "5f0c1a7e-try-again"}
RESPONSES = {"model": "gpt-4o-mini", "input": "Hello there"}
COUNT = {name: value for name, value in MESSAGES.items() if name != "max_tokens"}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "chat, streamed": ("/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}}),
    "responses": ("/v1/responses", RESPONSES),
    "responses, streamed": ("/v1/responses", RESPONSES | {"stream": True}),
    "messages": ("/v1/messages", MESSAGES),
    "messages, streamed": ("/v1/messages", MESSAGES | {"stream": True}),
    "count_tokens": ("/v1/messages/count_tokens", COUNT),
}
PATH = "/v1/chat/completions"
STREAMED = CHAT | {"stream": True}


class CountedDb(DynamoDb):
    """Counts calls; `down` makes them fail."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.aws)
        self.calls: Counter[str] = Counter()
        self.down: set[str] = set()

    async def _call(self, operation: str, body: Any) -> Any:
        self.calls[operation] += 1
        if operation in self.down:
            raise StoreUnavailable("DynamoDB does not answer.")
        return await super()._call(operation, body)


class Repeatable(World):
    """A world whose answers are kept in a real table, at a time that the test moves."""

    def __init__(self, simulator: Any, tables: Tables) -> None:
        super().__init__(simulator)
        self.tables, self.now, self.db = tables, NOON, CountedDb(tables)
        self.kept = KeptAnswers(self.db, tables.answers, now=lambda: self.now)
        self.registry.own = [credential("openai"), credential("anthropic")]
        self.configure(answers=self.kept, repeat_wait_s=0.0)

    async def ask(self, path: str = PATH, body: Any = CHAT, key: str | None = None, **headers: str) -> httpx.Response:
        """A request that may be repeated."""
        bearer = {"authorization": f"Bearer {key or self.registry.secret}"}
        return await self.post(path, body, bearer | KEY | headers)

    def ask_of(self, upstream: Any) -> None:
        """Has another provider answer from now on."""
        gateway = self.app.router.routes[0].endpoint._opened[0]  # type: ignore[attr-defined]
        gateway._deps = replace(gateway._deps, ports=self.ports(upstream))

    def asked(self) -> int:
        """How often the provider was."""
        return len(self.simulator.journal.entries())

    def items(self) -> list[dict[str, Any]]:
        """All that is kept."""
        return boto("dynamodb", self.tables.endpoint).scan(TableName=self.tables.answers)["Items"]

    async def note(self) -> Item:
        """The one note."""
        (item,) = await self.tables.db.query_all(self.tables.answers, keys.idempotency(ACCOUNT))
        return item

    async def died(self) -> None:
        """Leaves what a function leaves that was killed while it answered."""
        note = await self.note()
        note |= {"state": "in_flight"}
        await self.tables.db.write(Put(Key(self.tables.answers, note["pk"], note["sk"]), note))


def told(answer: httpx.Response) -> dict[str, str]:
    """The headers of an answer but for the provider's limits, and whether it is a replay."""
    return {
        name: value
        for name, value in answer.headers.items()
        if "ratelimit" not in name and name != "idempotent-replayed"
    }


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


class under_way:  # noqa: N801 - reads as a statement
    """A streamed request that the provider answers when it is released."""

    def __init__(self, world: Repeatable) -> None:
        self.world = world

    async def __aenter__(self) -> Any:
        self.gate = asyncio.Event()
        self.upstream = self.world.deps.ports.upstream
        self.world.ask_of(self)
        headers = {"authorization": f"Bearer {self.world.registry.secret}"} | KEY
        self.client = self.world.stream(PATH, STREAMED, headers)
        while not self.world.items():
            await asyncio.sleep(0.005)
        return self.gate.set

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        self.body = await self.client.rest()
        self.world.ask_of(self.upstream)

    async def send(self, request: UpstreamRequest) -> Any:
        await self.gate.wait()
        return await self.upstream.send(request)
