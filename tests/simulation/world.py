"""A world of one seed: who is at work, what befalls them, and the rest afterwards in which the books are looked at."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ownkey.domain.errors import OwnkeyError
from ownkey.domain.ids import DEPOSIT, made_id
from ownkey.domain.limits import Limit, LimitScope, Measure, Window
from ownkey.ledger.counters import Counters
from ownkey.ledger.differences import Difference
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.ledger.stream import count_batch
from ownkey.ledger.upkeep import Swept, Upkeep
from ownkey.ledger.verify import differences
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Key, Put, decode_item
from tests.simulation.books import Books, Watch
from tests.simulation.loop import VirtualLoop
from tests.simulation.model import Change, Json, Model
from tests.simulation.network import CALM, HERE, Environment, SimulatedAws, outages, started, weather
from tests.simulation.requests import FUNCTION_S, Account, Habits, Requests, Told, ports
from tests.simulation.stream import Stream
from tests.support.limits import limit

TABLES = ("registry", "records", "credits", "ledger", "rollups", "counters")
POISON = "poison"
_ENDS_OF_MONTHS = datetime(2026, 11, 30, 23, 58, tzinfo=UTC)
_ORDINARY = datetime(2026, 11, 21, 9, 30, 40, tzinfo=UTC)
_GRACE_S = 35
_MAX_ROUNDS = 40


class Store(Protocol):
    """Where a world's tables are."""

    names: Mapping[str, str]

    def perform(self, operation: str, params: Json) -> Json:
        """One call to DynamoDB."""

    def stream(self) -> Sequence[Json]:
        """The records table's stream, all of it."""

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table, decoded."""

    def restless(self) -> list[str]:
        """What did not hold at some step."""


class InProcess:
    """The model, watched at every commit."""

    def __init__(self) -> None:
        self.names = {name: name for name in TABLES}
        self._watch = Watch(self.names)
        self._model = Model(self._committed)
        self._stream: list[Json] = []
        self._broken: list[str] = []
        self.perform = self._model.perform

    def stream(self) -> Sequence[Json]:
        return self._stream

    def items(self, table: str) -> list[dict[str, Any]]:
        return [decode_item(each) for each in self._model.table(self.names[table])]

    def restless(self) -> list[str]:
        return self._broken

    def _committed(self, changes: list[Change]) -> None:
        try:
            self._watch(changes)
        except AssertionError as e:
            self._broken.append(str(e))
        for (table, pk, sk), old, new in changes:
            if table == self.names["records"] and new is not None and new != old:  # as a stream: what changed
                keys_of = {"pk": {"S": pk}, "sk": {"S": sk}}
                sequence = f"{len(self._stream):012d}"
                self._stream.append({"dynamodb": {"SequenceNumber": sequence, "Keys": keys_of, "NewImage": new}})


@dataclass
class Findings:
    """What came of a seed."""

    seed: int
    differences: list[str]
    counted: dict[str, int] = field(default_factory=dict)


class World:
    """One seed's. `run` once."""

    def __init__(self, seed: int, store: Store, *, verifies: bool) -> None:
        self._calls = 0
        self._verifies = verifies
        self.chance = chance = random.Random(seed)
        self.seed = seed
        self.store = store
        self.aws = SimulatedAws(store.perform, chance)
        self.db = db = DynamoDb(self.aws)
        self.loop = VirtualLoop(started)
        self._began = chance.choice((_ORDINARY, _ORDINARY, _ENDS_OF_MONTHS)) + timedelta(seconds=chance.random() * 60)
        names = store.names
        self.told = Told(Records(db, names["records"]))
        self._records = Records(db, names["records"])
        self._holds = Holds(db, credits_table=names["credits"], records_table=names["records"], now=self.now)
        self._names = Names(*(names[each] for each in ("records", "credits", "ledger", "rollups", "counters")))
        self._settlement = Settlement(db, self._names)
        self._verified: list[str] = []
        self._upkeep = Upkeep(
            db,
            registry_table=names["registry"],
            records_table=names["records"],
            credits_table=names["credits"],
            counters_table=names["counters"],
        )
        self.accounts = [self._account(f"acc_{n}") for n in range(chance.choice((1, 1, 2)))]
        habits = Habits(
            platform=chance.choice((0.3, 0.7, 1.0)),
            answers=chance.choice((0.5, 0.9)),
            sleeps=chance.choice((0.0, 0.0, 0.1)),
            beyond=chance.choice((0.0, 0.2, 0.6)),
            shared=chance.choice((0.0, 0.0, 0.5)),
            dearest=chance.choice((50, 400)),
        )
        donors = [each.id for each in self.accounts]
        self.requests = Requests(
            habits, donors, ports(self.told, self._holds, Counters(db, names["counters"])), chance, self.now
        )
        self.stream = Stream(store.stream, self._count, chance, lanes=chance.choice((1, 2)))
        self.deposited: dict[str, int] = {}

    def now(self) -> datetime:
        """Milliseconds, as clocks of functions have them."""
        return self._began + timedelta(milliseconds=round(self.loop.time() * 1000))

    def run(self) -> Findings:
        """Traffic, then rest, then the books."""
        random.seed(self.seed)  # the client's jitter
        logging.disable(logging.CRITICAL)
        try:
            self.loop.run(self._life())
        finally:
            logging.disable(logging.NOTSET)
        tables = {name: self.store.items(name) for name in TABLES[1:]}
        records = [each for each in tables["records"] if each["pk"] != keys.SWEEP_PARTITION and each["sk"] != POISON]
        books = Books(records, tables["credits"], tables["ledger"], tables["rollups"], tables["counters"])
        wrong = books.differences(self.deposited, self.told.ends, exact=self._exact())
        wrong += [*self.store.restless(), *self._verified]
        wrong += [str(each.get("exception") or each["message"]) for each in self.loop.errors]
        attempts = [each for each in records if each["pk"].startswith("ATT#")]
        return Findings(
            self.seed,
            wrong,
            {
                "attempts": len(attempts),
                "calls": self._calls,
                "crashes": self.aws.crashes,
                "billing runs": self.stream.batches,
                "frozen": self.requests.slept,
                "refused": self.requests.refused,
            },
        )

    # ── What is there at the beginning

    def _account(self, account_id: str) -> Account:
        chance = self.chance
        limits = []
        for n in range(chance.choice((0, 1, 2, 3))):
            measure = chance.choice(list(Measure))
            hard = chance.random() < 0.7
            scope = chance.choice((LimitScope.ACCOUNT, LimitScope.ACCOUNT, LimitScope.USER, LimitScope.TAG))
            limits.append(self._limit(f"{n}_{'hard' if hard else 'soft'}_{measure}", account_id, measure, scope, hard))
        return Account(account_id, chance.choice((1, 1, 2, 4)), tuple(limits))

    def _limit(self, name: str, account_id: str, measure: Measure, scope: LimitScope, hard: bool) -> Limit:
        chance = self.chance
        values = {LimitScope.USER: "ann", LimitScope.TAG: "team=a"}
        return limit(
            id=f"lim_{name}",
            account_id=account_id,
            scope=scope,
            value=values.get(scope, ""),
            measure=measure,
            window=chance.choice((Window.MINUTE, Window.DAY, Window.TOTAL)),
            amount=chance.randint(1, 8) if measure is Measure.REQUESTS else chance.randint(50, 2_000),
            include_byok=measure is not Measure.SPEND or chance.random() < 0.5,
            hard=hard,
        )

    async def _open_accounts(self) -> None:
        for account in self.accounts:
            at = Put(
                key=Key(self.store.names["registry"], keys.ACCOUNTS_PARTITION, account.id),
                item={"has_limits": True} if account.limits else {},
            )
            await self.db.write(at)

    # ── Life

    async def _life(self) -> None:
        operator = Environment("operator")
        operator.immune = True
        await self._in(operator, self._open_accounts())
        await self._in(operator, self._deposit(0))
        self.aws.weather, self.aws.outages = weather(self.chance), outages(self.chance)
        chance = self.chance
        traffic = [self._inference() for _ in range(chance.randint(1, 3))]
        others = [self._in(operator, self._deposits()), self._billing(), self._sweeps()]
        if chance.random() < 0.2:
            others.append(self._in(operator, self._poison()))
        await asyncio.gather(*traffic, *others)
        self.aws.weather, self.aws.outages = CALM, []
        await self._rest()
        self._calls = self.aws.calls
        if self._verifies:
            self._verified = await self._in(Environment("operator"), self._verify())

    async def _inference(self) -> None:
        """One place where requests arrive: a new environment whenever one has died."""
        left = self.chance.randint(1, 5)
        while left > 0:
            here = Environment("inference")
            burst = min(left, self.chance.choice((1, 1, 2, 4)))
            left -= burst
            await self._in(here, self._burst(burst))
            await asyncio.sleep(self.chance.expovariate(1 / 20))

    async def _burst(self, size: int) -> None:
        await asyncio.gather(*(self.requests.make(self.chance.choice(self.accounts)) for _ in range(size)))

    async def _deposits(self) -> None:
        for n in range(1, self.chance.randint(1, 3)):
            await asyncio.sleep(self.chance.expovariate(1 / 30))
            try:
                await self._deposit(n)
            except OwnkeyError:
                continue

    async def _deposit(self, n: int) -> None:
        account = self.chance.choice(self.accounts)
        deposit = Deposit(
            account_id=account.id,
            id=made_id(DEPOSIT, int(self.now().timestamp() * 1000), n),
            amount_nanousd=self.chance.choice((100, 300, 1_000, 5_000)),
            requested_by="operator",
            requested_at=self.now().isoformat(timespec="milliseconds"),
        )
        await self._records.request_deposit(deposit)
        self.deposited[deposit.id] = deposit.amount_nanousd

    async def _poison(self) -> None:
        """A record that nobody can read comes into the stream."""
        await asyncio.sleep(self.chance.expovariate(1 / 20))
        at = Key(self.store.names["records"], keys.attempts(self.accounts[0].id, "2026-11-21"), POISON)
        await self.db.write(Put(at, {"state": "ended", "record_schema": 1}))

    async def _billing(self) -> None:
        """The stream, while there is traffic, and a while longer."""
        lanes = self.stream.lanes
        for _ in range(self.chance.randint(2, 12)):
            await asyncio.sleep(self.chance.expovariate(1 / 8))
            again = [self.stream.again()] if self.chance.random() < 0.3 else []
            await asyncio.gather(*(self.stream.poll(lane) for lane in lanes), *again)

    async def _count(self, batch: Sequence[Json]) -> list[str] | None:
        return await self._in(Environment("billing"), count_batch(self._settlement, batch, self.now()))

    async def _sweeps(self) -> None:
        """Upkeep, each minute; now and then one starts before the last is done."""
        for _ in range(self.chance.randint(1, 4)):
            await asyncio.sleep(self.chance.uniform(20, 60))
            runs = [self._sweep() for _ in range(self.chance.choice((1, 1, 2)))]
            await asyncio.gather(*runs)

    async def _sweep(self) -> Any:
        return await self._in(Environment("upkeep"), self._upkeep.run(self.now()))

    async def _rest(self) -> None:
        """No more traffic, no more harm: upkeep past every deadline, and the stream until nothing is left."""
        await asyncio.sleep(FUNCTION_S + _GRACE_S)
        for _ in range(_MAX_ROUNDS):
            before, swept = self.stream.batches, await self._sweep()
            for lane in self.stream.lanes:
                await self.stream.poll(lane)
            left = await self.stream.replay()
            idle = before == self.stream.batches and swept == Swept()
            if idle and set(left) <= {POISON} and not any(map(self.stream.unread, self.stream.lanes)):
                return
            await asyncio.sleep(1)
        raise AssertionError("the world does not come to rest")

    def _exact(self) -> bool:
        """Whether each request that was sent is counted where it is limited: none was sent behind its deadline, and of
        none could neither intent nor end be written, which only the log then tells."""
        recorded = {each.get("request_id") for each in self.store.items("records")}
        return self.requests.slept == 0 and self.requests.sent <= recorded

    async def _verify(self) -> list[str]:
        """What the product's own verification finds."""
        found: list[Difference] = []
        for account in self.accounts:
            first, now = self._began.date(), self.now()
            found += await differences(self.db, self._names, account.id, first=first, last=now.date(), now=now)
        beyond = (POISON,) if self._exact() else (POISON, "_hard_requests")
        return [f"verify: {each}" for each in found if not any(name in each.item for name in beyond)]

    async def _in(self, here: Environment, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of work in an environment; None where that died, or the work failed."""
        context = copy_context()
        context.run(HERE.set, here)
        task = asyncio.get_running_loop().create_task(work, context=context)
        here.own(task)
        try:
            return await task
        except (asyncio.CancelledError, OwnkeyError):
            here.crash()
            return None


def simulate(seed: int, store: Store | None = None, *, verifies: bool = True) -> Findings:
    """What comes of a seed; on the model, unless told where.

    Args:
        verifies: Whether the product's own verification looks at the books, too.
    """
    try:
        return World(seed, store or InProcess(), verifies=verifies).run()
    except Exception as e:
        return Findings(seed, [f"{type(e).__name__}: {e}"])
