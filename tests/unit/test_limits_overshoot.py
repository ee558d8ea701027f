"""By how much a hard limit can be overshot by many requesters at once: by what attempts use beyond their worst case."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from ownkey.domain.attempts import AttemptRecord, AttemptStart
from ownkey.domain.errors import BudgetExceeded, RateLimited
from ownkey.domain.limits import Measure, Window, Worst, claims
from ownkey.domain.usage import Usage
from ownkey.ledger.counters import Counters
from ownkey.ledger.records import Records
from ownkey.ledger.settlement import Settlement
from ownkey.ledger.settlement import Tables as Names
from ownkey.router.limits import Allowance
from ownkey.store.dynamodb import DynamoDb
from tests.simulation.loop import VirtualLoop
from tests.simulation.model import Model
from tests.simulation.network import HERE, Environment, SimulatedAws
from tests.support.attempts import AT, attempt
from tests.support.limits import limit

MEASURES = (Measure.REQUESTS, Measure.TOKENS, Measure.SPEND)
WORST_TOKENS, WORST_COST = 100, 1_000


@dataclass(frozen=True)
class Trial:
    """What one crowd used of limits of each measure, in the limit's own unit."""

    sent: int
    over: dict[Measure, int]
    """Beyond the limit."""
    beyond: dict[Measure, int]
    """What the attempts used beyond the worst case that they had reserved, all together."""


def trial(seed: int, *, requesters: int, most: float) -> Trial:
    """A crowd at limits that have room for a part of it, while billing settles; uses up to `most` of the worst case."""
    loop = VirtualLoop()
    return loop.run(_trial(random.Random(seed), requesters, most))


async def _trial(chance: random.Random, requesters: int, most: float) -> Trial:
    HERE.set(Environment("test"))
    db = DynamoDb(SimulatedAws(Model().perform, chance))
    counters, records = Counters(db, "counters"), Records(db, "records")
    settlement = Settlement(db, Names("records", "credits", "ledger", "rollups", "counters"))
    room = chance.randint(1, requesters)
    units = {Measure.REQUESTS: 1, Measure.TOKENS: WORST_TOKENS, Measure.SPEND: WORST_COST}
    limits = [limit(id=f"lim_{each}", measure=each, window=Window.DAY, amount=room * units[each]) for each in MEASURES]
    beyond, names = Counter[Measure](), count()

    async def request() -> bool:
        await asyncio.sleep(chance.random())
        allowance, made = Allowance(limits, counters), attempt(at=AT)
        worst = Worst(WORST_TOKENS, WORST_COST, 0)
        facts = replace(made.start.request, request_id=f"{made.start.request.request_id[:-4]}{next(names):04d}")
        start = replace(made.start, request=facts, claims=claims(limits, byok=True, worst=worst, at=AT))
        try:
            start = await allowance.reserve(start)
        except (BudgetExceeded, RateLimited):
            return False
        await records.start(start)
        await asyncio.sleep(chance.random())
        record = _used(made, start, chance.uniform(0, most))
        assert record.end is not None
        beyond[Measure.TOKENS] += max(0, record.end.usage.total_tokens - WORST_TOKENS)
        beyond[Measure.SPEND] += max(0, record.end.cost_nanousd - WORST_COST)
        await records.end(start, record.end)
        await asyncio.sleep(chance.random())
        await settlement.attempts("acme", [record], now=AT.isoformat())
        return True

    sent = sum(await asyncio.gather(*(request() for _ in range(requesters))))
    standing = await counters.current(limits, AT)
    used = {each.measure: standing[each.id].used for each in limits}
    assert all(each.used == each.committed for each in standing.values())
    over = {each.measure: max(0, used[each.measure] - each.amount) for each in limits}
    return Trial(sent, over, {each: beyond[each] for each in MEASURES})


def _used(made: AttemptRecord, start: AttemptStart, part: float) -> AttemptRecord:
    assert made.end is not None
    end = replace(made.end, usage=Usage(output=int(WORST_TOKENS * part)), cost_nanousd=int(WORST_COST * part))
    return replace(made, start=start, end=end)


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_that_keeps_to_its_worst_case_never_overshoots(seed: int) -> None:
    done = trial(seed, requesters=32, most=1.0)
    assert done.sent > 0
    assert done.over == dict.fromkeys(MEASURES, 0)


@pytest.mark.parametrize("seed", range(3))
def test_beyond_the_worst_case_a_limit_is_overshot_by_no_more_than_that(seed: int) -> None:
    done = trial(seed, requesters=32, most=2.0)
    assert done.over[Measure.REQUESTS] == 0
    assert all(done.over[each] <= done.beyond[each] for each in MEASURES)


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_limits_hold_for_64_requesters_a_thousand_times(record_property: Callable[[str, Any], None]) -> None:
    """64 requesters at once at limits of each measure: overshot by what exceeds the worst case, or less."""
    for name, most in (("within the worst case", 1.0), ("up to twice it", 2.0)):
        over, beyond, sent = Counter[Measure](), Counter[Measure](), 0
        for seed in range(500):
            done = trial(seed, requesters=64, most=most)
            assert all(done.over[each] <= done.beyond[each] for each in MEASURES), f"seed {seed}: {done}"
            sent += done.sent
            over.update(done.over)
            beyond.update(done.beyond)
        record_property(f"attempts {name}", sent)
        record_property(f"requests over {name}", over[Measure.REQUESTS])
        for each, unit in ((Measure.TOKENS, WORST_TOKENS), (Measure.SPEND, WORST_COST)):
            record_property(f"{each} over {name}", f"{over[each] / (sent * unit):.2%} of what was reserved")
        assert over[Measure.REQUESTS] == 0
        assert most > 1 or not +over
