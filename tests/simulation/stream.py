"""The records table's stream into billing, by the rules of an event source mapping: at least once, in batches that are
tried again, cut and given up, and more often and in a worse order than AWS promises.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from zlib import crc32

from local.batches import Batch
from tests.simulation.model import Json

Count = Callable[[Sequence[Json]], Awaitable[list[str] | None]]
"""One invocation of billing: the sequence numbers that it could not count, or None where it died."""
Read = Callable[[], Sequence[Json]]
"""The whole stream so far."""


class Stream:
    """A stream in as many lanes as there are pollers: the changes of one item stay in one, in order."""

    def __init__(self, read: Read, count: Count, chance: random.Random, lanes: int) -> None:
        self._read = read
        self._count = count
        self._chance = chance
        self.lanes = range(lanes)
        self._read_to = [0] * lanes
        self._size = chance.choice((1, 3, 10, 100))
        self._max_retries = chance.choice((0, 1, 3, 10))
        self._disorder = chance.choice((0.0, 0.0, 0.2, 0.6))
        self.given_up: list[Json] = []
        """What is in the bucket of failed batches."""
        self.batches = 0

    async def poll(self, lane: int) -> None:
        """Everything that is new in a lane, once."""
        new = self.unread(lane)
        self._read_to[lane] = len(self._read())
        while new:
            batch, new = new[: self._size], new[self._size :]
            await self._process(batch)

    def unread(self, lane: int) -> list[Json]:
        """What waits in a lane."""
        new = self._read()[self._read_to[lane] :]
        return [each for each in new if waits(each) and self._lane(each) == lane]

    async def again(self) -> None:
        """Some of what came before comes again, in any order: a shard was split, or its position was lost."""
        seen = [each for each in self._read() if waits(each)]
        if seen:
            await self._count(self._chance.sample(seen, self._chance.randint(1, min(len(seen), 12))))

    async def replay(self) -> list[str]:
        """What was given up is handed to billing again, as by the command; the sort keys of what cannot be counted."""
        given_up, self.given_up = self.given_up, []
        for first in range(0, len(given_up), 100):
            batch = given_up[first : first + 100]
            failed = await self._count(batch)
            self.given_up += [each for each in batch if failed is None or number(each) in failed]
        return [each["dynamodb"]["Keys"]["sk"]["S"] for each in self.given_up]

    def _lane(self, record: Json) -> int:
        keys = record["dynamodb"]["Keys"]
        return crc32(f"{keys['pk']['S']}{keys['sk']['S']}".encode()) % len(self.lanes)

    async def _process(self, records: list[Json]) -> None:
        batch = Batch(
            tuple(records), max_retries=self._max_retries, max_age_s=None, bisects=True, reports_item_failures=True
        )
        while work := batch.next:
            self.batches += 1
            handed = list(work.records)
            if self._chance.random() < self._disorder:
                handed += self._chance.sample(handed, self._chance.randint(0, len(handed)))
                self._chance.shuffle(handed)
            failed = await self._count(handed)
            if failed is None:
                discarded = batch.failed(0.0)
            else:
                answer = {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
                discarded = batch.succeeded(json.dumps(answer).encode(), 0.0)
                if not failed and self._chance.random() < self._disorder:
                    batch.repeat(work)
            if discarded is not None:
                self.given_up += discarded.work.records
            elif failed is None or failed:
                await asyncio.sleep(self._chance.uniform(0.05, 0.5))


def number(record: Json) -> str:
    """A stream record's sequence number."""
    return str(record["dynamodb"]["SequenceNumber"])


def waits(record: Json) -> bool:
    """What the mapping's filter lets through."""
    image: dict[str, Any] = record["dynamodb"].get("NewImage") or {}
    return image.get("state", {}).get("S") in ("ended", "requested", "released", "earned") and "billed_at" not in image
