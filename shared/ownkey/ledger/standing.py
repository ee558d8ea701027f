"""What stands now, verified: balance, open holds, counters of limits and what is reserved of them. Reads only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import MovementKind
from ownkey.domain.limits import Claim, Window, period_end
from ownkey.ledger import movements
from ownkey.ledger.counters import KEPT_AFTER
from ownkey.ledger.differences import Counts, Difference, Kind, Row, standing
from ownkey.ledger.escrow import Escrow
from ownkey.ledger.reclaim import to_hold
from ownkey.ledger.recount import CounterOf, Period, Recount, Used, reserved
from ownkey.ledger.rereading import Reader
from ownkey.ledger.settlement import Tables
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key

OVERDUE = timedelta(hours=1)
"""So long after its time something that nobody counted, ended or gave back is a difference: the stream brings a record
within seconds, and upkeep ends what is left behind within three minutes."""
TOTAL = "total"
"""What is available and held, together."""
_LOOKS = 5
"""At what goes up and down: what is wrong in the same way each time is wrong."""
_TAKEN = (MovementKind.SETTLE, MovementKind.MARGIN)


class Standing:
    """Balance and holds of one account."""

    def __init__(self, db: DynamoDb, tables: Tables, reader: Reader, now: datetime) -> None:
        self._db = db
        self._tables = tables
        self._reader = reader
        self._account = reader.account_id
        self._now = now
        self.found: list[Difference] = []

    async def verify(self, waiting: Sequence[AttemptRecord]) -> None:
        """Looks, and keeps what differs in `found`.

        Args:
            waiting: Attempts that were under way, or not counted yet, when they were read.
        """
        await self._compare_balance()
        await self._compare_holds()
        for record in waiting:
            await self._check_waiting(record)

    async def _compare_balance(self) -> None:
        """What was ever given and taken, by the balance and by the months' movements."""
        one = await self._moved()
        items = await Escrow(self._db, self._tables.credits).items(self._account)
        other = await self._moved()
        charged = sum(item.get("charged_nanousd", 0) for item in items)
        left = sum(item.get("available_nanousd", 0) + item.get("held_nanousd", 0) for item in items)
        (least_charged, most_charged), (least, most) = _range(one[0], other[0]), _range(one[1], other[1])
        for name, says, (low, high), why in (
            ("charged_nanousd", charged, (least_charged, most_charged), "the ledger settled another sum"),
            (TOTAL, left, (least - most_charged, most - least_charged), "the ledger's movements are another sum"),
        ):
            if not low <= says <= high:
                should = low if says < low else high
                self._say(Kind.BALANCE, keys.credits_of(self._account), keys.BALANCE, name, says, should, why)
        for shard, item in enumerate(items):
            for name in ("available_nanousd", "held_nanousd"):
                if (says := item.get(name, 0)) < 0:
                    pk = keys.credits_of(self._account, shard)
                    self._say(Kind.BALANCE, pk, keys.BALANCE, name, says, 0, "it is negative")

    async def _moved(self) -> tuple[int, int]:
        """What was charged, and granted, by all months' movements."""
        pk = keys.rollup(self._account, movements.PARTITION)
        charged = granted = 0
        for item in await self._db.query_all(self._tables.rollups, pk):
            for kind in MovementKind:
                amount = item.get(f"{kind}_available_nanousd", 0) + item.get(f"{kind}_held_nanousd", 0)
                charged -= amount if kind in _TAKEN else 0
                granted += 0 if kind in _TAKEN else amount
        return charged, granted

    async def _compare_holds(self) -> None:
        """In each sub-balance, held is the sum of its open holds; and each hold is rightly open."""
        looks: list[Counts] = []
        shards: list[tuple[int, list[Item]]] = []
        while len(looks) < _LOOKS and (not looks or standing(looks)):
            shards = [await self._shard(number) for number in range(await self._opened())]
            looks.append({str(n): held - sum(_amounts(holds)) for n, (held, holds) in enumerate(shards)})
        for name, difference in standing(looks).items():
            pk, (held, _) = keys.credits_of(self._account, int(name)), shards[int(name)]
            why = "its open holds are another sum"
            self._say(Kind.BALANCE, pk, keys.BALANCE, "held_nanousd", held, held - difference, why)
        for number, (_, holds) in enumerate(shards):
            for item in holds:
                await self._check_hold(item, number)

    async def _opened(self) -> int:
        return max(1, len(await Escrow(self._db, self._tables.credits).items(self._account)))

    async def _shard(self, number: int) -> tuple[int, list[Item]]:
        rows = await self._db.query_all(self._tables.credits, keys.credits_of(self._account, number))
        held = sum(row.get("held_nanousd", 0) for row in rows if row["sk"] == keys.BALANCE)
        return held, [row for row in rows if row["sk"] != keys.BALANCE]

    async def _check_hold(self, item: Item, shard: int) -> None:
        """It belongs to an attempt that is not counted yet, or, for a while, to one that has left no record."""
        hold = to_hold(self._account, item, shard)
        record = await self._reader.attempt(hold.attempt_id)
        placed = (hold.amount_nanousd, hold.shard)
        if record is None:
            if datetime.fromtimestamp(hold.expires_at_s, UTC) + OVERDUE >= self._now:
                return
            should, why = 0, "its function is long over, and it was not given back: does upkeep run?"
        elif record.billed_at:
            should, why = 0, "its attempt is counted, and it is open all the same"
        elif placed != (record.start.hold_nanousd, record.start.hold_shard):
            should, why = record.start.hold_nanousd, "its attempt's record says another amount, or sub-balance"
        else:
            return
        if await self._db.get(Key(self._tables.credits, item["pk"], item["sk"])) is not None:
            self._say(Kind.HOLD, item["pk"], item["sk"], "amount_nanousd", hold.amount_nanousd, should, why)

    async def _check_waiting(self, record: AttemptRecord) -> None:
        """An attempt that is not counted yet has its hold, and has not waited for long."""
        start = record.start
        attempt_id = start.attempt_id
        pk, sk = keys.credits_of(self._account, start.hold_shard), keys.hold(attempt_id)
        lost = start.hold_nanousd and await self._db.get(Key(self._tables.credits, pk, sk)) is None
        late = _due(record) + OVERDUE < self._now
        if not lost and not late:
            return
        again = await self._reader.attempt(attempt_id)
        if again is None or again.billed_at:
            return
        if lost and not await self._reader.releases(f"{attempt_id}@"):
            why = "its attempt is not counted yet, and it is gone without having been given back"
            self._say(Kind.HOLD, pk, sk, "amount_nanousd", None, start.hold_nanousd, why)
        if late and _due(again) + OVERDUE < self._now:
            ended = "it ended, and billing has not counted it: is it among the failed batches?"
            why = ended if again.end else "its function is over, and nobody has ended it: does upkeep run?"
            partition = keys.attempts_of_request(self._account, start.request.request_id)
            self._say(Kind.RECORD, partition, attempt_id, "", None, None, why)

    def _say(self, kind: Kind, pk: str, sk: str, what: str, says: int | None, should: int | None, why: str) -> None:
        self.found.append(Difference(kind, self._account, f"{pk} {sk}", what, says, should, why))


def _range(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _amounts(holds: Sequence[Item]) -> list[int]:
    return [each["amount_nanousd"] for each in holds]


def _due(record: AttemptRecord) -> datetime:
    """When a record should have been ended, or counted."""
    end = record.end
    return datetime.fromisoformat(end.ended_at) if end else datetime.fromtimestamp(record.start.expires_at_s, UTC)


class LimitCounters:
    """The counters of one account's limits, in the periods that lie in a verified one and still have counters."""

    def __init__(self, db: DynamoDb, table: str, account_id: str, period: Period, now: datetime) -> None:
        self._db = db
        self._table = table
        self._account = account_id
        self._period = period
        self._now = now

    async def verified(
        self, recount: Recount, used_again: Callable[[], Awaitable[Mapping[CounterOf, Used]]]
    ) -> tuple[list[Difference], list[Row]]:
        """What differs, and the rows that do.

        Args:
            used_again: Reads anew what records have used: for counters that say more, as others have gone on.
        """
        if not recount.limits:
            return [], []
        used: Mapping[CounterOf, Used] = recount.used
        before = await self._read(recount.limits)
        more = [at for at, each in before.items() if each.get("used", 0) > used.get(at, Used()).most]
        if any(self._judged(at) for at in more):
            used = await used_again()
        after = await self._read(recount.limits)
        skewed = await self._skewed(recount.limits)
        found, rows = list[Difference](), list[Row]()
        for at in sorted({*before, *after, *used}, key=lambda each: (each.limit_id, each.window, each.period)):
            if not self._judged(at):
                continue
            says, one = after.get(at, {}), used.get(at, Used())
            low, high = before.get(at, {}).get("used", 0), says.get("used", 0)
            wrong = self._used_wrong(at, low, high, one)
            committed = says.get("committed", 0)
            if at in skewed:
                why = "it is not what is used and what stands reserved"
                wrong.append(self._say(at, "committed", committed, committed - skewed[at], why))
            if wrong:
                found += wrong
                rows.append(self._row(at, before.get(at, {}), says, one, skewed.get(at, 0)))
        return found, rows

    def _used_wrong(self, at: CounterOf, before: int, after: int, used: Used) -> list[Difference]:
        if after < used.least:
            return [self._say(at, "used", after, used.least, "what records have used was not added")]
        if before > used.most:
            return [self._say(at, "used", before, used.most, "more than all records have used")]
        return []

    def _row(self, at: CounterOf, before: Counts, after: Counts, used: Used, skew: int) -> Row:
        """What stands reserved is what `committed` has beyond `used`, but for what it is wrong by."""
        now_used = after.get("used", 0)
        wanted = min(max(now_used, used.least), used.most)
        open_reserved = after.get("committed", 0) - now_used - skew
        expected = {"used": wanted, "committed": wanted + open_reserved}
        pk, sk = keys.counters(self._account, at.limit_id), keys.counter(at.window, at.period)
        return Row(Kind.COUNTER, self._account, pk, sk, after, expected, still=before == after)

    def _say(self, at: CounterOf, what: str, says: int, should: int, why: str) -> Difference:
        item = f"{keys.counters(self._account, at.limit_id)} {keys.counter(at.window, at.period)}"
        return Difference(Kind.COUNTER, self._account, item, what, says, should, why)

    def _judged(self, at: CounterOf) -> bool:
        """Whether it can be counted again: all its period is verified, and time has not deleted it."""
        end = period_end(at.window, at.period)
        return self._period.covers_period(at.window, at.period) and (end is None or end + KEPT_AFTER > self._now)

    async def _skewed(self, limits: set[str]) -> dict[CounterOf, int]:
        """What `committed` has beyond `used` and all standing reservations, the same in several looks."""
        looks: list[dict[CounterOf, int]] = []
        left: dict[CounterOf, int] = {}
        while len(looks) < _LOOKS and (not looks or left):
            rows = await self._db.query_all(self._table, keys.reservations(self._account))
            open_claims = reserved(Claim.from_item(claim) for row in rows for claim in row["claims"])
            look = {}
            for at, each in (await self._read(limits)).items():
                look[at] = each.get("committed", 0) - each.get("used", 0) - open_claims[at]
            looks.append(look)
            left = {at: each for at, each in look.items() if each and all(one.get(at) == each for one in looks)}
        return left

    async def _read(self, limits: set[str]) -> dict[CounterOf, Counts]:
        found: dict[CounterOf, Counts] = {}
        for limit_id in sorted(limits):
            for item in await self._db.query_all(self._table, keys.counters(self._account, limit_id)):
                window, _, period = item["sk"].partition("#")
                at = CounterOf(limit_id, Window(window), period)
                found[at] = {name: item[name] for name in ("used", "committed") if name in item}
        return found
