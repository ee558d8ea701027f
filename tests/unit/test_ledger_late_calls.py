"""A call that comes again after its answer was lost changes nothing, however late and whatever has happened since."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ownkey.domain.ledger import Hold
from ownkey.domain.limits import Measure, Window, Worst, claims
from ownkey.ledger.counters import Counters, Reservation
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.store.dynamodb import DynamoDb
from tests.simulation.loop import VirtualLoop
from tests.simulation.model import Json, Model
from tests.simulation.network import HERE, Environment, SimulatedAws
from tests.support.attempts import AT
from tests.support.limits import limit

TOKENS = limit(window=Window.TOTAL, measure=Measure.TOKENS, amount=1_000)


class Network:
    """Keeps every transaction that was sent, to send it again."""

    def __init__(self) -> None:
        self.model = Model()
        self.sent: list[Json] = []
        self.db = DynamoDb(SimulatedAws(self._perform, random.Random(0)))

    def _perform(self, operation: str, params: Json) -> Json:
        if operation == "TransactWriteItems":
            self.sent.append(params)
        return self.model.perform(operation, params)

    def again(self) -> None:
        """Every transaction so far, once more."""
        for params in list(self.sent):
            self.model.perform("TransactWriteItems", params)


async def reserving(db: DynamoDb) -> None:
    counters = Counters(db, "counters")
    wanted = claims([TOKENS], byok=True, worst=Worst(100, 0, 0), at=AT)
    reservation = Reservation("acme", "req_1#00", 1, wanted)
    await counters.reserve(reservation)
    assert await counters.give_back(reservation)
    await counters.reserve(reservation)


async def holding(db: DynamoDb) -> None:
    deposit = Deposit("acme", "dep_1", 1_000, "operator", AT.isoformat())
    await Records(db, "records").request_deposit(deposit)
    settlement = Settlement(db, Names("records", "credits", "ledger", "rollups", "counters"))
    assert await settlement.deposit(deposit, now=AT.isoformat())
    holds = Holds(db, credits_table="credits", records_table="records", now=lambda: AT)
    await holds.place(Hold("acme", "req_01m7yq399xn760z2s9yxvtwvbw#00", 400, 1))
    assert (await holds.reclaim("acme")).released == 1


@pytest.mark.parametrize("work", [reserving, holding], ids=lambda each: each.__name__)
def test_what_comes_again_changes_nothing(work: Callable[[DynamoDb], Coroutine[Any, Any, None]]) -> None:
    async def twice() -> None:
        HERE.set(Environment("test"))
        network = Network()
        await work(network.db)
        before = dict(network.model.items)
        network.again()
        assert network.model.items == before

    VirtualLoop().run(twice())
