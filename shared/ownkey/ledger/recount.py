"""Everything counted again, from the records and postings that come by: what the projections must say (pure).

It keeps sums, not records: an account's year fits in memory, but for the postings and records of a day or two that have
not found each other yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.ledger import Cause, Movement, Posting, released, rewarded, settled
from ownkey.domain.limits import Claim, Measure, Window, period_at
from ownkey.ledger import rollups
from ownkey.ledger.booking import booked_at, hour_of
from ownkey.ledger.counters import used_by
from ownkey.ledger.differences import Difference
from ownkey.ledger.movements import added as moved_by
from ownkey.ledger.reclaim import GRACE_S
from ownkey.ledger.records import OF_DEPOSITS, Deposit, Release, Reward
from ownkey.ledger.rollups import Bucket

Credited = Deposit | Release | Reward
Counted = AttemptRecord | Credited
"""What billing counts."""

_OF_RECORDS = (Cause.ATTEMPT, *OF_DEPOSITS, Cause.RELEASE, Cause.REWARD)
"""Causes whose postings follow from a record."""
_MINUTE_S = 60
_MAY_BE_FOLLOWED = (Outcome.REFUSED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Period:
    """Days (UTC), both included: what is booked in them is verified."""

    first: date
    last: date
    whole: bool = False
    """Whether it is all of the account's life, so that what is counted for all time can be counted again."""

    @property
    def end(self) -> date:
        """The last day to look at: midnight may come while somebody looks at all."""
        return self.last + timedelta(days=1) if self.whole else self.last

    def covers(self, time: str) -> bool:
        """Whether a day, or a moment (RFC 3339), is in it."""
        return self.first.isoformat() <= time[:10] <= self.end.isoformat()

    def covers_period(self, window: Window, period: str) -> bool:
        """Whether all of a limit's period is in it."""
        match window:
            case Window.MINUTE | Window.DAY:
                return self.covers(period)
            case Window.MONTH:
                return self.covers_month(period)
            case Window.TOTAL:
                return self.whole

    def covers_month(self, month: str) -> bool:
        """Whether all days of a month are in it."""
        first = date.fromisoformat(f"{month}-01")
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return self.whole or (self.first <= first and after <= self.last + timedelta(days=1))

    def days(self) -> list[date]:
        """All of them, in order."""
        return [self.first + timedelta(days=n) for n in range((self.end - self.first).days + 1)]


@dataclass(frozen=True, slots=True)
class CounterOf:
    """One limit's counter in one period."""

    limit_id: str
    window: Window
    period: str


@dataclass(slots=True)
class Used:
    """What records have used of a limit in one period: exactly, but for requests whose functions died."""

    least: int = 0
    most: int = 0


@dataclass(slots=True)
class Recount:
    """Fed with what is read, in any order of days; a request's attempts together."""

    period: Period
    rows: dict[Bucket, Counter[str]] = field(default_factory=dict)
    months: dict[str, Counter[str]] = field(default_factory=dict)
    """Of postings."""
    used: dict[CounterOf, Used] = field(default_factory=dict)
    limits: set[str] = field(default_factory=set)
    """Ids of all limits that any record has to do with."""
    postings: dict[str, Posting] = field(default_factory=dict)
    """Those whose record has not come by."""
    unposted: dict[str, Counted] = field(default_factory=dict)
    """Counted records whose posting has not come by, by its id."""
    pairs: list[tuple[Posting, Counted]] = field(default_factory=list)
    """Postings that do not say at first sight what their records say."""
    waiting: list[AttemptRecord] = field(default_factory=list)
    """Attempts that are under way, or ended and not counted yet."""
    released: set[str] = field(default_factory=set)
    """Attempts whose holds were given back. To be known before their records come by."""
    rewards: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """Attempts on credentials that other accounts share, and what those are to be given; by account and reward's id."""
    priced: Callable[[AttemptRecord], list[Difference]] | None = None
    """Says what is wrong with a record's price. None: nobody looks."""
    wrong_prices: list[Difference] = field(default_factory=list)
    last: dict[Bucket, str] = field(default_factory=dict)
    """When the last attempt of each row ended."""
    records: int = 0
    late: int = 0
    """Attempts that are booked in a later month than they ended in."""

    def post(self, posting: Posting) -> None:
        """A posting of the ledger, each once."""
        self.months.setdefault(posting.at[:7], Counter()).update(moved_by(posting))
        if posting.cause not in _OF_RECORDS:
            return
        record = self.unposted.pop(posting.id, None)
        if record is None:
            self.postings[posting.id] = posting
        else:
            self.check(posting, record)

    def credit(self, records: Sequence[Credited]) -> None:
        """Deposits, releases and rewards: all of the account's, before its attempts."""
        self.released.update(each.attempt_id for each in records if isinstance(each, Release))
        for each in records:
            if each.billed_at and self.period.covers(posting_at(each)) and movements_of(each):
                self._expect(each)

    def attempts(self, records: Sequence[AttemptRecord]) -> None:
        """All attempts of one request."""
        for record in records:
            self.records += 1
            self.wrong_prices += self.priced(record) if self.priced else []
            self.limits.update(claim.limit_id for claim in record.start.claims)
            if record.end is None or record.billed_at is None:
                self.waiting.append(record)
            else:
                self._count(record)
        self.use(records)

    def late_attempt(self, record: AttemptRecord) -> None:
        """An attempt of a day before the period, which may be booked in it."""
        if record.end is not None and record.billed_at is not None:
            self._count(record)

    def _count(self, record: AttemptRecord) -> None:
        assert record.end is not None
        if not self.period.covers(booked_at(record.end.ended_at, record.billed_at)):
            return
        counts = rollups.counters(record)
        self.late += counts["late_attempts"]
        for bucket in rollups.buckets(record):
            self.rows.setdefault(bucket, Counter()).update(counts)
            self.last[bucket] = max(self.last.get(bucket, ""), record.end.ended_at)
        if posts(record, released=False):
            self._expect(record)
        if donation := record.start.donation:
            earned = record.start.attempt_id, donation.reward(record.end.cost_nanousd)
            self.rewards[donation.account_id, donation.reward_id] = earned

    def _expect(self, record: Counted) -> None:
        posting = self.postings.pop(posting_id(record), None)
        if posting is None:
            self.unposted[posting_id(record)] = record
        else:
            self.check(posting, record)

    def check(self, posting: Posting, record: Counted) -> None:
        """A posting and its record, which have found each other."""
        if not agrees(posting, record, released=False):
            self.pairs.append((posting, record))

    def without_posting(self) -> list[Counted]:
        """Counted records that must have a posting, and for which none came by."""
        return [
            each
            for each in self.unposted.values()
            if not isinstance(each, AttemptRecord) or posts(each, released=each.start.attempt_id in self.released)
        ]

    def wrong(self) -> list[tuple[Posting, tuple[Movement, ...]]]:
        """Postings that do not say what their records say, and what those do."""
        return [
            (posting, movements_of(record, posting))
            for posting, record in self.pairs
            if not agrees(posting, record, released=posting.cause_id in self.released)
        ]

    def use(self, records: Sequence[AttemptRecord]) -> None:
        """What all attempts of one request have used of limits."""
        by_request: dict[CounterOf, Used] = {}
        for record in records:
            counted = record.end is not None and record.billed_at is not None
            for claim in record.start.claims:
                at = CounterOf(claim.limit_id, claim.window, claim.period)
                if not self.period.covers_period(claim.window, claim.period):
                    continue
                if claim.measure is Measure.REQUESTS and claim.reserved is not None:
                    is_last = record is records[-1]
                    by_request[at] = Used(int(is_last and _counts_request(record)), 1)
                    for later in _next_periods(record, claim) if is_last else ():
                        by_request.setdefault(CounterOf(claim.limit_id, claim.window, later), Used(0, 1))
                elif counted:
                    amount = used_by(record, claim, stands=True)
                    used = self.used.setdefault(at, Used())
                    used.least, used.most = used.least + amount, used.most + amount
        for at, one in by_request.items():
            used = self.used.setdefault(at, Used())
            used.least, used.most = used.least + one.least, used.most + one.most


def _next_periods(record: AttemptRecord, claim: Claim) -> set[str]:
    """The periods in which an attempt without a record may have followed, and counted the request there."""
    if record.end and record.end.outcome not in (*_MAY_BE_FOLLOWED, Outcome.ABANDONED):
        return set()
    first, last = _epoch_s(record.start.started_at), record.start.expires_at_s + GRACE_S
    minutes = range(int(first), int(last) + _MINUTE_S, _MINUTE_S)
    return {period_at(claim.window, datetime.fromtimestamp(second, UTC)) for second in minutes}


def _counts_request(record: AttemptRecord) -> bool:
    """Whether the last attempt of a request has surely counted it on hard limits.

    Not where its function died later, before the record of another attempt, or woke up after its reservation had been
    given back.
    """
    end, start = record.end, record.start
    if end is None or record.billed_at is None or end.outcome in _MAY_BE_FOLLOWED:
        return False
    return end.outcome is Outcome.ABANDONED or _epoch_s(end.ended_at) <= start.expires_at_s + GRACE_S


def _epoch_s(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def reserved(claims: Iterable[Claim]) -> Counter[CounterOf]:
    """What reservations hold of each counter."""
    total = Counter[CounterOf]()
    for claim in claims:
        total[CounterOf(claim.limit_id, claim.window, claim.period)] += claim.reserved or 0
    return total


def posts(record: AttemptRecord, *, released: bool) -> bool:
    """Whether a counted attempt has a posting: one that held nothing (any more) and costs nothing moves nothing."""
    assert record.end is not None
    return record.end.charge_nanousd > 0 or (record.start.hold_nanousd > 0 and not released)


def moved_nanousd(movements: Iterable[Movement]) -> int:
    """What the account has more, or less, by them."""
    return sum(each.amount_nanousd for each in movements)


def posting_at(record: Counted) -> str:
    """The time under which a counted record is posted."""
    if isinstance(record, AttemptRecord):
        assert record.end is not None
        return booked_at(record.end.ended_at, record.billed_at)
    if isinstance(record, Reward):
        return hour_of(booked_at(record.earned_at, record.billed_at))
    happened_at = record.requested_at if isinstance(record, Deposit) else record.released_at
    return booked_at(happened_at, record.billed_at)


def posting_id(record: Counted) -> str:
    """The id of a counted record's posting."""
    match record:
        case AttemptRecord():
            cause, cause_id = Cause.ATTEMPT, record.start.attempt_id
        case Deposit():
            cause, cause_id = record.cause, record.id
        case Release():
            cause, cause_id = Cause.RELEASE, record.attempt_id
        case Reward():
            cause, cause_id = Cause.REWARD, record.id
    return f"{posting_at(record)}#{cause}#{cause_id}"


def movements_of(record: Counted, posting: Posting | None = None, *, held: bool = True) -> tuple[Movement, ...]:
    """What a counted record moves, given the overrun that its posting states."""
    if isinstance(record, Deposit):
        return record.movements()
    if isinstance(record, Release):
        return released(record.amount_nanousd)
    if isinstance(record, Reward):
        return rewarded(record.amount_nanousd)
    assert record.end is not None
    return settled(
        held_nanousd=record.start.hold_nanousd if held else 0,
        cost_nanousd=record.end.cost_nanousd,
        charge_nanousd=record.end.charge_nanousd,
        overrun_nanousd=posting.overrun_nanousd if posting else 0,
    )


def agrees(posting: Posting, record: Counted, *, released: bool) -> bool:
    """Whether a posting says what its record does.

    An overrun is taken as it stands, within the charge: what was there at that moment is written nowhere else. An
    attempt whose hold was once given back may have settled with it or without.
    """
    if not isinstance(record, AttemptRecord):
        return posting.movements == movements_of(record) and posting.overrun_nanousd == 0
    assert record.end is not None
    if not 0 <= posting.overrun_nanousd <= record.end.charge_nanousd:
        return False
    if posting.movements == movements_of(record, posting):
        return True
    return released and posting.movements == movements_of(record, posting, held=False)
