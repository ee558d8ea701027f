"""The product's own AWS client, with what may happen to a call on its way: delay, throttles, conflicts, lost answers,
answers that never come and writes that come late; outages; and the crash of whoever called.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from ownkey.store.aws import AwsClient, AwsError, Json
from tests.simulation.model import Refused

Perform = Callable[[str, Json], Json]
"""Operation and parameters to the answer; raises Refused."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How often what happens, of all calls."""

    crash: float = 0.0
    """The caller dies: half of them before the call is carried out, half after."""
    throttle: float = 0.0
    conflict: float = 0.0
    """Of transactions."""
    fail: float = 0.0
    """An internal error: half of them are carried out all the same."""
    lost: float = 0.0
    """The call is carried out, its answer does not come back."""
    late: float = 0.0
    """The caller gives up on it, and it is carried out after that."""
    slow: float = 0.0
    """It takes seconds."""


CALM = Weather()
LATEST_S = 20.0
"""A call comes that late at most: within the grace beyond a function's deadline."""


class Environment:
    """One function's environment: everything in it ends at once when it crashes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.immune = False
        """The operator's own machine: no crash is told of it."""
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def own(self, task: asyncio.Task[Any]) -> None:
        """The task ends with it."""
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def crash(self) -> None:
        """SIGKILL: whatever its code still does on the way down reaches nobody."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()


HERE: ContextVar[Environment | None] = ContextVar("HERE", default=None)
"""Whose code is running."""


def started(task: asyncio.Task[Any]) -> None:
    """For the loop: a task belongs to the environment whose code made it."""
    if (here := HERE.get()) is not None:
        here.own(task)


class SimulatedAws(AwsClient):
    """Retries as the product's client does, for it is that; only the exchange itself is simulated."""

    def __init__(self, perform: Perform, chance: random.Random) -> None:
        super().__init__("us-east-1", {})
        self._perform = perform
        self._chance = chance
        self.weather = CALM
        self.outages: list[tuple[float, float]] = []
        """From when to when nothing is served, in the loop's time."""
        self.crashes = 0
        self.calls = 0

    async def call_json(self, service: str, target: str, body: Json, **_: Any) -> Json:
        operation = target.rpartition(".")[2]
        return await self._retried(service, {"operation": operation}, body, _read)  # type: ignore[arg-type]

    async def _exchange(self, service: str, method: str, path: str, payload: Any, headers: Any, patience: Any) -> Any:
        operation, here, chance, weather = headers["operation"], HERE.get(), self._chance, self.weather
        assert here is not None, "nobody is calling"
        await self._delay(here)
        self.calls += 1
        now = asyncio.get_running_loop().time()
        if any(first <= now < last for first, last in self.outages):
            return 503, {"__type": "ServiceUnavailable"}
        fate = chance.random()
        for name, part in _FATES:
            rate = getattr(weather, name)
            if fate < rate:
                return await part(self, here, operation, payload)
            fate -= rate
        answer = self._answer(operation, payload)
        await self._delay(here)
        return answer

    async def _delay(self, here: Environment) -> None:
        await asyncio.sleep(self._chance.expovariate(200.0))
        if not here.alive:
            raise asyncio.CancelledError

    def _answer(self, operation: str, payload: Json) -> tuple[int, Json]:
        try:
            return 200, self._perform(operation, payload)
        except Refused as e:
            return 400, e.body

    # ── Fates

    async def _crash(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        if here.immune:
            return self._answer(operation, payload)
        if self._chance.random() < 0.5:
            self._answer(operation, payload)
        self.crashes += 1
        here.crash()
        raise asyncio.CancelledError

    async def _throttle(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        return 400, {"__type": "ProvisionedThroughputExceededException"}

    async def _conflict(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        if not operation.startswith("Transact"):
            return self._answer(operation, payload)
        reasons = [{"Code": "None"} for _ in payload["TransactItems"]]
        reasons[self._chance.randrange(len(reasons))] = {"Code": "TransactionConflict"}
        return 400, {"__type": "TransactionCanceledException", "CancellationReasons": reasons}

    async def _fail(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        if self._chance.random() < 0.5:
            self._answer(operation, payload)
        return 500, {"__type": "InternalServerError"}

    async def _lost(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        self._answer(operation, payload)
        await self._delay(here)
        raise ConnectionResetError

    async def _late(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        loop = asyncio.get_running_loop()
        loop.call_later(self._chance.uniform(0.01, LATEST_S), self._answer, operation, payload)
        await asyncio.sleep(self._chance.uniform(0.01, 2.0))
        raise TimeoutError

    async def _slow(self, here: Environment, operation: str, payload: Json) -> tuple[int, Json]:
        await asyncio.sleep(self._chance.uniform(0.5, 8.0))
        answer = self._answer(operation, payload)
        await self._delay(here)
        return answer


_FATES = (
    ("crash", SimulatedAws._crash),
    ("throttle", SimulatedAws._throttle),
    ("conflict", SimulatedAws._conflict),
    ("fail", SimulatedAws._fail),
    ("lost", SimulatedAws._lost),
    ("late", SimulatedAws._late),
    ("slow", SimulatedAws._slow),
)


def outages(chance: random.Random) -> list[tuple[float, float]]:
    """A seed's own; longer than what the client's retries outlast."""
    first = [chance.uniform(0.0, 120.0) for _ in range(chance.choice((0, 0, 1, 3)))]
    return [(at, at + chance.uniform(0.5, 8.0)) for at in first]


def weather(chance: random.Random) -> Weather:
    """A seed's own: some see nothing but crashes, some nothing but lost answers, some everything."""
    rates = {name: chance.choice((0.0, 0.005, 0.02, 0.06)) for name, _ in _FATES}
    return replace(CALM, **rates)


def _read(service: str, answer: tuple[int, Json]) -> Json:
    status, body = answer
    if status == 200:
        return body
    raise AwsError(service, body["__type"], body.get("message", ""), status, body)
