"""Counts an account again, from its records and postings, and names every difference. Reads only.

What must agree with what:

```
records ──▶ rows of usage, counters of limits       a record counts where it has `billed_at`, when `booking` says
records ◀─▶ postings                                each counted record that moved something has one, and it alone
attempts ─▶ rewards of those whose keys served      each that cost something has one, of its part of the cost
postings ─▶ months' movements ─▶ balance            balance = all movements, less open holds
holds ────▶ held                                    and each hold belongs to an attempt that is not counted yet
reservations ─▶ committed                           = used + what stands reserved
```

It may run while all of these change. Nothing is judged by two reads of different moments: what only grows is read
before and after what it is counted from (`differences`), what seems to be missing or left over is looked at once more
at the end, and what goes up and down is looked at several times and named only where the same is wrong each time. So a
difference that it names is one; one in a row that is being added to may be seen only when that is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from functools import partial

from ownkey.catalog import Catalog
from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import MovementKind, Posting
from ownkey.domain.savings import Savings
from ownkey.ledger import movements, rollups
from ownkey.ledger.differences import Counts, Difference, Kind, Row, compared, numbers
from ownkey.ledger.recount import CounterOf, Period, Recount, Used, moved_nanousd, movements_of, posting_id
from ownkey.ledger.repricing import wrong_prices
from ownkey.ledger.rereading import Reader
from ownkey.ledger.rollups import Bucket, Dimension, Granularity
from ownkey.ledger.settlement import Tables
from ownkey.ledger.standing import TOTAL, LimitCounters, Standing
from ownkey.ledger.statements import to_posting
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb, Item, Key

_SIGNED = frozenset(
    {
        *(rollups.saved_counter(part.name) for part in fields(Savings)),
        *(f"{kind}_available_nanousd" for kind in (MovementKind.REWARD, MovementKind.CORRECTION)),
    }
)
"""What records and postings may add to, or take from."""
_SECONDS = len("2026-11-21T08:00:00")
_KEPT = tuple(each for each in Dimension if rollups.kept_as(each) is each)


@dataclass(frozen=True, slots=True)
class Report:
    """What one look at an account found."""

    account_id: str
    period: Period
    records: int
    """Attempts that were counted again."""
    waiting: int
    """Attempts under way, or ended and not counted yet: no difference, unless they are overdue."""
    differences: tuple[Difference, ...]
    rows: tuple[Row, ...]
    """The rows of projections among them, whole."""

    @property
    def balance_gap(self) -> tuple[int, int] | None:
        """What the account has, as its balance says it and as the ledger does; None where they agree.

        Where the months' movements differ from the ledger, nothing can be said before they are rebuilt.
        """
        if any(row.kind is Kind.MOVEMENTS for row in self.rows):
            return None
        return next(
            (
                (each.says, each.should_say)
                for each in self.differences
                if each.what == TOTAL and each.says is not None and each.should_say is not None
            ),
            None,
        )


async def differences(
    db: DynamoDb,
    tables: Tables,
    account_id: str,
    *,
    first: date,
    last: date,
    now: datetime,
    whole: bool = True,
) -> list[Difference]:
    """Everything that is not as it should be in an account; none is right. Safe at any moment, under any traffic.

    ```
    tables = settlement.Tables("records", "credits", "ledger", "rollups", "counters")      # their names
    found = await differences(db, tables, "acme", first=date(2026, 11, 1), last=now.date(), now=now)
    assert not found, "\\n".join(map(str, found))
    ```

    Args:
        first: The day of the account's first request, or any before; with `whole` everything is counted from there.
        last: Usually today.
        now: Aware. What is overdue (an hour past its time: uncounted, not ended, not released) is a difference too.
        whole: `first` to `last` is all of the account's life. False: some days of it; what sums up all of time
            (counters of `total`, months that are not all in it) is left out.
    """
    return list((await Verifier(db, tables).account(account_id, Period(first, last, whole), now)).differences)


class Verifier:
    """Over the ledger's tables; needs to read them, and nothing else."""

    def __init__(self, db: DynamoDb, tables: Tables, catalog: Catalog | None = None) -> None:
        """`catalog`: checks the prices of records that were priced by it."""
        self._db = db
        self._tables = tables
        self._catalog = catalog

    async def account(self, account_id: str, period: Period, now: datetime, *, born: date | None = None) -> Report:
        """Verifies what is booked in a period, and what stands now: balance, holds, reservations.

        Args:
            born: The day before which the account has no records: how far back attempts are looked for that were
                booked in the period long after they ended, where its rows have some. None: the period's first.
        """
        reader = Reader(self._db, self._tables.records, account_id)
        priced = None if self._catalog is None else partial(wrong_prices, self._catalog)
        recount = Recount(period, priced=priced)
        return await _Look(self._db, self._tables, reader, recount, now, born or period.first).run()


class _Look:
    """One account, looked at once."""

    def __init__(
        self, db: DynamoDb, tables: Tables, reader: Reader, recount: Recount, now: datetime, born: date
    ) -> None:
        self._db = db
        self._tables = tables
        self._reader = reader
        self._account = reader.account_id
        self._period = recount.period
        self._now = now
        self._born = born
        self._recount = recount
        self._found: list[Difference] = []
        self._rows: list[Row] = []
        self._days_wrong: set[Bucket] = set()
        """Months that a day of is wrong."""

    async def run(self) -> Report:
        """All of it, in the order that the comparisons need."""
        rows, months = await self._all_rows(), await self._months()
        await self._read_all()
        await self._read_late(rows)
        await self._compare_rows(rows)
        await self._compare_months(months)
        await self._compare_postings()
        await self._compare_rewards()
        recount = self._recount
        counters = LimitCounters(self._db, self._tables.counters, self._account, self._period, self._now)
        counted, counter_rows = await counters.verified(recount, self._used_again)
        standing = Standing(self._db, self._tables, self._reader, self._now)
        await standing.verify(recount.waiting)
        found = (*self._reader.unreadable(), *recount.wrong_prices, *self._found, *counted, *standing.found)
        return Report(
            self._account,
            self._period,
            recount.records,
            len(recount.waiting),
            found,
            (*self._rows, *counter_rows),
        )

    # ── What is counted from

    async def _read_all(self) -> None:
        self._recount.credit(await self._reader.deposits())
        self._recount.credit(await self._reader.releases())
        self._recount.credit(await self._reader.rewards())
        await self._read_booked(self._period.first - timedelta(days=1))
        for day in self._period.days():
            await self._read_day(day)

    async def _read_day(self, day: date) -> None:
        """A day's postings and attempts side by side, as time had them: they soon find each other."""
        recount, between = self._recount, (f"{day}", f"{day}{keys.LAST}")
        postings = self._pages(self._tables.ledger, keys.ledger(self._account), between)
        by_request = self._reader.attempts(day)
        item, attempts = await anext(postings, None), await anext(by_request, None)
        while item is not None or attempts is not None:
            if attempts is None or (item is not None and item["at"][:_SECONDS] <= _started(attempts)):
                assert item is not None
                recount.post(to_posting(item))
                item = await anext(postings, None)
            else:
                recount.attempts(attempts)
                attempts = await anext(by_request, None)

    async def _read_booked(self, day: date) -> None:
        """Attempts of a day before the period that are booked in it."""
        async for attempts in self._reader.attempts(day):
            for each in attempts:
                self._recount.late_attempt(each)

    async def _read_late(self, rows: Mapping[Bucket, Counts]) -> None:
        """What was booked in the period long after it ended: day by day, as long as the rows have more of it."""
        stored = sum(
            counts.get("late_attempts", 0)
            for bucket, counts in rows.items()
            if (bucket.dimension, bucket.granularity) == (Dimension.SOURCE, Granularity.DAY)
        )
        day = self._period.first - timedelta(days=2)
        while self._recount.late < stored and day >= self._born:
            await self._read_booked(day)
            day -= timedelta(days=1)

    async def _used_again(self) -> Mapping[CounterOf, Used]:
        """What records have used of limits, read anew."""
        again = Recount(self._period)
        for day in self._period.days():
            async for attempts in self._reader.attempts(day):
                again.use(attempts)
        return again.used

    async def _pages(self, table: str, pk: str, between: tuple[str, str]) -> AsyncIterator[Item]:
        after: str | None = None
        while True:
            page = await self._db.query(table, pk, between=between, after_sk=after)
            for item in page.items:
                yield item
            if page.next_sk is None:
                return
            after = page.next_sk

    # ── Usage

    async def _all_rows(self) -> dict[Bucket, Counts]:
        """All rows of usage that the period's days, and its months, have."""
        first, last = self._period.first.isoformat(), self._period.end.isoformat()
        found: dict[Bucket, Counts] = {}
        for dimension in _KEPT:
            found |= await self._dimension(dimension, Granularity.DAY, first, last)
            found |= await self._dimension(dimension, Granularity.MONTH, first[:7], last[:7])
        return found | await self._dimension(Dimension.SOURCE, Granularity.HOUR, first, last)

    async def _dimension(
        self, dimension: Dimension, granularity: Granularity, first: str, last: str
    ) -> dict[Bucket, Counts]:
        pk = keys.rollup(self._account, dimension)
        between = (f"{granularity}#{first}", f"{granularity}#{last}{keys.LAST}")
        rows: dict[Bucket, Counts] = {}
        async for item in self._pages(self._tables.rollups, pk, between):
            _, time, value = item["sk"].split("#", 2)
            rows[Bucket(self._account, dimension, granularity, time, value)] = numbers(item)
        return rows

    async def _compare_rows(self, before: Mapping[Bucket, Counts]) -> None:
        days = await self._days_of_open_months()
        after = await self._all_rows()
        for bucket in sorted({*before, *after, *self._recount.rows}, key=lambda each: (each.granularity, each.time)):
            by_days = bucket.granularity is Granularity.MONTH and not self._period.covers_month(bucket.time)
            if by_days and bucket in self._days_wrong:
                continue  # its days are to be put right first
            expected = days.get(bucket, Counter()) if by_days else self._recount.rows.get(bucket, Counter())
            last = "" if by_days else self._recount.last.get(bucket, "")
            key, old, new = bucket.key(self._tables.rollups), before.get(bucket, {}), after.get(bucket, {})
            differs = self._compare(Kind.AGGREGATE, key, old, expected, new, last)
            if differs and bucket.granularity is Granularity.DAY:
                self._days_wrong.add(_month_of(bucket))

    async def _days_of_open_months(self) -> dict[Bucket, Counter[str]]:
        """What the days of a month that is not all in the period add up to: its days sum to the month."""
        sums: dict[Bucket, Counter[str]] = {}
        for month in sorted({day.isoformat()[:7] for day in self._period.days()}):
            for dimension in _KEPT if not self._period.covers_month(month) else ():
                rows = await self._dimension(dimension, Granularity.DAY, f"{month}-01", f"{month}-31")
                for bucket, counts in rows.items():
                    sums.setdefault(_month_of(bucket), Counter()).update(counts)
        return sums

    def _compare(
        self, kind: Kind, key: Key, before: Counts, expected: Counts, after: Counts, last_at: str = ""
    ) -> bool:
        """Whether something differs."""
        counts = {name: each for name, each in expected.items() if each}
        row = Row(kind, self._account, key.pk, key.sk, after, counts, still=before == after, last_at=last_at)
        if found := compared(row, before, after, signed=_SIGNED):
            self._found += found
            self._rows.append(row)
        return bool(found)

    # ── Postings

    async def _months(self) -> dict[str, Counts]:
        items = await self._db.query_all(self._tables.rollups, keys.rollup(self._account, movements.PARTITION))
        return {item["sk"].removeprefix(movements.FIRST): numbers(item) for item in items}

    async def _compare_months(self, before: Mapping[str, Counts]) -> None:
        after = await self._months()
        for month in sorted({*before, *after, *self._recount.months}):
            if self._period.covers_month(month):
                key = movements.key_of(self._tables.rollups, self._account, month)
                expected = self._recount.months.get(month, Counter())
                self._compare(Kind.MOVEMENTS, key, before.get(month, {}), expected, after.get(month, {}))

    async def _compare_postings(self) -> None:
        """What has found no partner is looked at once more: it may have come meanwhile, or belong to another day."""
        recount, pk = self._recount, keys.ledger(self._account)
        recount.released.update(each.attempt_id for each in await self._reader.releases())
        for record in recount.without_posting():
            item = await self._db.get(Key(self._tables.ledger, pk, posting_id(record)))
            if item is None:
                why = "its record is counted, and the ledger does not have what that moved"
                self._say(posting_id(record), why, None, moved_nanousd(movements_of(record)))
            else:
                recount.check(to_posting(item), record)
        for posting in recount.postings.values():
            await self._find_record(posting)
        for posting, should in recount.wrong():
            why = "its movements are not what its record says"
            self._say(posting.id, why, moved_nanousd(posting.movements), moved_nanousd(should))

    async def _compare_rewards(self) -> None:
        """What accounts are given for sharing stands in the transaction that counts the attempt: never without it."""
        due = {at: earned for at, earned in self._recount.rewards.items() if earned[1]}
        found = await self._reader.earned(list(due))
        why = "what the owner of the credential is given for it is another amount"
        for at, (attempt_id, amount) in due.items():
            if (says := found.get(at)) != amount:
                # By the attempt: whoever paid for it may read this, and is not to learn whose the credential is.
                item = f"{keys.attempts_of_request(self._account, attempt_id.partition('#')[0])} {attempt_id}"
                self._found.append(Difference(Kind.RECORD, self._account, item, "reward_nanousd", says, amount, why))

    async def _find_record(self, posting: Posting) -> None:
        moved = moved_nanousd(posting.movements)
        records = await self._reader.of_posting(posting)
        record = next((each for each in records if each.billed_at and posting_id(each) == posting.id), None)
        if record is not None:
            self._recount.check(posting, record)
        elif not records:
            self._say(posting.id, "it has no record", moved, None)
        else:
            self._say(posting.id, "its record is not counted, or at another time: it is posted twice", moved, None)

    def _say(self, posting: str, why: str, says: int | None, should: int | None) -> None:
        item = f"{keys.ledger(self._account)} {posting}"
        self._found.append(Difference(Kind.POSTING, self._account, item, "amount_nanousd", says, should, why))


def _started(attempts: Sequence[AttemptRecord]) -> str:
    """When a request came, to the second."""
    return attempts[0].start.started_at[:_SECONDS]


def _month_of(bucket: Bucket) -> Bucket:
    """The row of a day's month."""
    return replace(bucket, granularity=Granularity.MONTH, time=bucket.time[:7])
