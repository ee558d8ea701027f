"""DynamoDB in this process, for many spenders at once: the shim's own engine, called in an order that a seed decides.

One call is atomic, as in DynamoDB; between any two calls of one spender, any others may come. No socket, no clock.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from local.aws.call import ACCOUNT_ID, AwsError, Call
from local.aws.dynamodb.service import DynamoDb as Engine
from ownkey.store import aws
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb

REGION = "us-east-1"
_NAMES = ("registry", "records", "credits", "ledger", "rollups", "counters", "audit")
_KEYS = ("pk", "sk")


class InterleavedAws(AwsClient):
    """Answers DynamoDB's calls; every caller waits a random number of others' turns before and after."""

    def __init__(self, chance: random.Random, repeated: float) -> None:
        super().__init__(REGION)
        self._repeated = repeated
        self._engine = Engine()
        self._chance = chance
        self.writes: Counter[str] = Counter()
        """By operation; of a transaction each write."""

    async def call_json(self, service: str, target: str, body: Any, **_: Any) -> Any:
        call = Call(service, target.rpartition(".")[2], "AKIATEST", REGION, body)
        await self._turns()
        answer = self._answer(call)
        if self._chance.random() < self._repeated:
            await self._turns()
            answer = self._answer(call)  # the first answer was lost, and the client asked again
        await self._turns()
        return answer

    def _answer(self, call: Call) -> Any:
        self._count(call.operation, call.params)
        try:
            return self._engine.call(call)
        except AwsError as e:
            body = json.loads(json.dumps({"message": e.message, **e.details}))
            raise aws.AwsError(call.service, e.code, e.message, e.status, body) from e

    def _count(self, operation: str, body: Any) -> None:
        if operation == "TransactWriteItems":
            self.writes.update(transactions=1, writes=len(body["TransactItems"]))
        elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
            self.writes.update(writes=1)

    async def _turns(self) -> None:
        for _ in range(self._chance.randint(0, 3)):
            await asyncio.sleep(0)


@dataclass
class Interleaved:
    """The product's tables, empty."""

    seed: int
    repeated: float = 0.0
    """Of all calls, the part that is carried out twice, as when an answer is lost on the way."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def __post_init__(self) -> None:
        self.aws = InterleavedAws(random.Random(self.seed), self.repeated)
        self.db = DynamoDb(self.aws)
        for name in _NAMES:
            dynamodb_backends[ACCOUNT_ID][REGION].create_table(
                f"{name}-{self.run}",
                attr=[{"AttributeName": key, "AttributeType": "S"} for key in _KEYS],
                schema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(_KEYS, ("HASH", "RANGE"), strict=True)
                ],
                throughput=None,
                indexes=None,
                global_indexes=None,
                streams=None,
                billing_mode="PAY_PER_REQUEST",
                sse_specification=None,
                tags=[],
                deletion_protection_enabled=None,
                warm_throughput=None,
            )

    def table(self, name: str) -> str:
        """Its name here."""
        return f"{name}-{self.run}"

    def drop(self) -> None:
        """Forgets all of it."""
        for name in _NAMES:
            dynamodb_backends[ACCOUNT_ID][REGION].delete_table(self.table(name))
