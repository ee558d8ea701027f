"""The stream function's work: each ended attempt, deposit, release and reward counted exactly once.

The stream delivers at least once, in any cut, and failed batches may be replayed by hand much later. So the mark that
a record was counted (`billed_at`) is set in the same transaction as everything it moves: aggregates, balance, hold,
posting. A batch of an account is one transaction, or a few where it is large; the records in it that turn out to be
counted already are dropped and the rest is tried again.

An attempt on a credential that another account shares leaves a reward of that account's in the same transaction; the
stream brings it, and it is counted by its own mark. No transaction writes two accounts' balances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ownkey.domain.attempts import AttemptEnd, AttemptRecord
from ownkey.domain.ledger import MAX_SHARDS, Cause, Posting, posting, released, rewarded, settled
from ownkey.ledger import counters, escrow, movements, rollups
from ownkey.ledger.booking import booked_at, hour_of
from ownkey.ledger.records import Deposit, Release, Reward, reward_item
from ownkey.ledger.statements import posting_item
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Delete, DynamoDb, Key, Put, Update, Write

_MAX_ACTIONS = 100 - (MAX_SHARDS - 1)
"""Of a transaction, less what a charge may have to draw from other sub-balances."""
_ACTIONS_OF_ALL = 2
"""The balance, and the month's movements."""
_MAX_TRIES = 50

Role = Literal["mark", "hold", "reservation", "balance", "other"]


@dataclass(frozen=True, slots=True)
class Tables:
    """Names of the tables that a settlement writes."""

    records: str
    credits: str
    ledger: str
    rollups: str
    counters: str


@dataclass(frozen=True, slots=True)
class _Due:
    """An ended attempt and what is known of its hold and its reservation."""

    record: AttemptRecord
    end: AttemptEnd
    hold_nanousd: int
    reserved: bool
    """Whether it still has what it reserved of the account's limits."""
    overrun_nanousd: int = 0

    @property
    def charge_nanousd(self) -> int:
        """What is taken from credits: the charge, less what neither hold nor balance covers."""
        return self.end.charge_nanousd - self.overrun_nanousd

    @property
    def actions(self) -> int:
        """The most writes of its own: mark, hold, reservation, posting, reward. All else is shared."""
        held = self.hold_nanousd > 0
        return 1 + held + self.reserved + (held or self.end.charge_nanousd > 0) + (self.reward is not None)

    @property
    def shared(self) -> set[object]:
        """The aggregates and counters that it belongs to."""
        return {*rollups.buckets(self.record), *((claim.limit_id, claim.period) for claim in self.record.start.claims)}

    @property
    def reward(self) -> Reward | None:
        """What the account whose credential served is to be given; None where it is nothing.

        By the record alone, whatever could be taken for the attempt: an overrun is the operator's.
        """
        start, donation = self.record.start, self.record.start.donation
        amount = donation.reward(self.end.cost_nanousd) if donation else 0
        if donation is None or amount <= 0:
            return None
        return Reward(
            donation.account_id,
            donation.reward_id,
            start.provider_id,
            start.model_id,
            donation.credential_id,
            amount,
            hour_of(self.end.ended_at),
        )

    @property
    def posting(self) -> Posting | None:
        """What it moves; None where it had no credits to do with."""
        end, start = self.end, self.record.start
        moved = settled(
            held_nanousd=self.hold_nanousd,
            cost_nanousd=end.cost_nanousd,
            charge_nanousd=end.charge_nanousd,
            overrun_nanousd=self.overrun_nanousd,
        )
        if not moved:
            return None
        overrun, account_id = self.overrun_nanousd, start.request.account_id
        at = booked_at(end.ended_at, self.record.billed_at)
        return posting(account_id, Cause.ATTEMPT, start.attempt_id, at, *moved, overrun_nanousd=overrun)


class SettlementStuck(Exception):
    """The same batch kept changing under us: the stream will bring it again."""


class Settlement:
    """Counts records. Safe to call again with any of them, in any order, from anywhere."""

    def __init__(self, db: DynamoDb, tables: Tables) -> None:
        self._db = db
        self._tables = tables
        self._escrow = escrow.Escrow(db, tables.credits)

    async def deposit(self, deposit: Deposit, *, now: str) -> bool:
        """Carries out a deposit or a correction; False where it had been already."""
        if deposit.standing:
            at = Key(self._tables.records, keys.deposits(deposit.account_id), deposit.id)
            return await self._once(_mark(at, now), *self._post(_deposited(deposit, now)))
        if deposit.amount_nanousd < 0:
            return await self._take_back(deposit, now=now)
        moved = _deposited(deposit, now)
        paid_in = self._paid_in(deposit.account_id, deposit.amount_nanousd)
        at = Key(self._tables.records, keys.deposits(deposit.account_id), deposit.id)
        return await self._once(_mark(at, now), paid_in, *self._post(moved))

    async def _take_back(self, deposit: Deposit, *, now: str) -> bool:
        """A correction downwards: of what is available and never of what is held. Too little: nothing, or all of it."""
        at = Key(self._tables.records, keys.deposits(deposit.account_id), deposit.id)
        for _ in range(_MAX_TRIES):
            available = await self._escrow.available(deposit.account_id)
            taken = min(-deposit.amount_nanousd, sum(available))
            if not deposit.partial and taken < -deposit.amount_nanousd:
                taken = 0
            writes: list[Write] = [_mark(at, now, moved_nanousd=-taken)]
            if taken:
                drawn = escrow.draw(available, 0, taken) or {}
                writes += escrow.moved(
                    self._tables.credits, deposit.account_id, 0, available=-taken, held=0, drawn=drawn
                )
                writes += self._post(_deposited(replace(deposit, moved_nanousd=-taken), now))
            try:
                await self._db.transact(writes)
            except ConditionFailed as e:
                if 0 in e.failed:
                    return False
                continue  # Spent meanwhile.
            return True
        raise SettlementStuck("a correction kept meeting changes")

    async def release(self, release: Release, *, now: str) -> bool:
        """Posts a hold that was given back already; False where it had been posted."""
        moved = posting(
            release.account_id,
            Cause.RELEASE,
            release.attempt_id,
            booked_at(release.released_at, now),
            *released(release.amount_nanousd),
        )
        at = Key(self._tables.records, keys.releases(release.account_id), release.id)
        return await self._once(_mark(at, now), *self._post(moved))

    async def reward(self, reward: Reward, *, now: str) -> bool:
        """Gives an account what it earned by sharing; False where it had been given already."""
        booked = hour_of(booked_at(reward.earned_at, now))
        moved = posting(reward.account_id, Cause.REWARD, reward.id, booked, *rewarded(reward.amount_nanousd))
        at = Key(self._tables.records, keys.rewards(reward.account_id), reward.id)
        given = self._paid_in(reward.account_id, reward.amount_nanousd)
        return await self._once(_mark(at, now), given, *self._post(moved))

    def _paid_in(self, account_id: str, amount_nanousd: int) -> Update:
        return Update(
            escrow.balance_key(self._tables.credits, account_id),
            "ADD available_nanousd :amount, held_nanousd :nothing",
            values={":amount": amount_nanousd, ":nothing": 0},
        )

    async def _once(self, mark: Update, *moves: Write) -> bool:
        """All of it, or nothing where the mark stands already."""
        try:
            await self._db.transact([mark, *moves])
        except ConditionFailed as e:
            if 0 in e.failed:
                return False
            raise
        return True

    async def attempts(self, account_id: str, records: Sequence[AttemptRecord], *, now: str) -> int:
        """Counts ended attempts of one account; gives how many were not counted before."""
        due = {
            start.attempt_id: _Due(
                replace(record, billed_at=now),
                record.end,
                start.hold_nanousd,
                counters.reservation_of(start) is not None,
            )
            for record in records
            if record.end and (start := record.start)
        }
        by_shard: dict[int, list[_Due]] = {}
        for each in due.values():
            by_shard.setdefault(each.record.start.hold_shard, []).append(each)
        counted = 0
        for shard, group in by_shard.items():
            for chunk in _chunks(group):
                counted += await self._chunk(account_id, shard, chunk, now)
        return counted

    async def _chunk(self, account_id: str, shard: int, chunk: list[_Due], now: str) -> int:
        """Counts attempts whose holds are in one sub-balance: transactions of different ones do not meet there."""
        drawn: Mapping[int, int] = {}
        for _ in range(_MAX_TRIES):
            if not chunk:
                return 0
            roles, writes = self._writes(account_id, shard, drawn, chunk, now)
            try:
                await self._db.transact(writes)
                return len(chunk)
            except ConditionFailed as e:
                failed = [roles[index] for index in e.failed]
            counted = {owner for role, owner in failed if role == "mark"}
            unheld = {owner for role, owner in failed if role == "hold"}
            unreserved = {owner for role, owner in failed if role == "reservation"}
            chunk = [
                replace(
                    due,
                    hold_nanousd=0 if index in unheld else due.hold_nanousd,
                    reserved=due.reserved and index not in unreserved,
                )
                for index, due in enumerate(chunk)
                if index not in counted
            ]
            if not (counted or unheld or unreserved):
                available = await self._escrow.available(account_id)
                shard = shard if shard < len(available) else 0
                chunk = _cut_to(sum(available), chunk)
                drawn = escrow.draw(available, shard, _charged(chunk) - _held(chunk)) or {}
        raise SettlementStuck(f"settling {len(chunk)} attempts kept meeting changes")

    def _writes(
        self, account_id: str, shard: int, drawn: Mapping[int, int], chunk: list[_Due], now: str
    ) -> tuple[list[tuple[Role, int]], list[Write]]:
        """All writes of a chunk, each with its role and the index of the attempt it belongs to (-1: all)."""
        roles: list[tuple[Role, int]] = []
        writes: list[Write] = []

        def add(role: Role, owner: int, write: Write) -> None:
            roles.append((role, owner))
            writes.append(write)

        for index, due in enumerate(chunk):
            start = due.record.start
            partition = keys.attempts_of_request(account_id, start.request.request_id)
            add("mark", index, _mark(Key(self._tables.records, partition, start.attempt_id), now))
            if due.hold_nanousd:
                at = Key(self._tables.credits, keys.credits_of(account_id, shard), keys.hold(start.attempt_id))
                condition, values = "amount_nanousd = :amount", {":amount": due.hold_nanousd}
                add("hold", index, Delete(at, condition=condition, values=values))
            if due.reserved and (reservation := counters.reservation_of(start)):
                add("reservation", index, counters.ending(self._tables.counters, reservation))
            if earned := due.reward:
                reward_at = Key(self._tables.records, keys.rewards(earned.account_id), earned.id)
                add("other", index, Put(reward_at, reward_item(earned), condition="attribute_not_exists(pk)"))
        held, charged = _held(chunk), _charged(chunk)
        if held or charged:
            back = held - charged  # what the holds do not cover comes from what is available
            for update in escrow.moved(
                self._tables.credits, account_id, shard, available=back, held=-held, drawn=drawn, charged=charged
            ):
                add("balance", -1, update)
        for write in self._post(*(moved for due in chunk if (moved := due.posting))):
            add("other", -1, write)
        for update in rollups.updates((due.record for due in chunk), self._tables.rollups):
            add("other", -1, update)
        for update in counters.settling(((due.record, due.reserved) for due in chunk), self._tables.counters):
            add("other", -1, update)
        return roles, writes

    def _post(self, *postings: Posting) -> list[Write]:
        """The postings, each once, and what they add to their month."""
        puts = [
            Put(
                Key(self._tables.ledger, keys.ledger(each.account_id), each.id),
                posting_item(each),
                condition="attribute_not_exists(pk)",
            )
            for each in postings
        ]
        return [*puts, *movements.updates(postings, self._tables.rollups)]


def _mark(key: Key, now: str, *, moved_nanousd: int | None = None) -> Update:
    moved = {} if moved_nanousd is None else {":moved": moved_nanousd}
    return Update(
        key,
        "SET billed_at = :now" + (", moved_nanousd = :moved" if moved else ""),
        condition="attribute_exists(pk) AND attribute_not_exists(billed_at)",
        values={":now": now, **moved},
    )


def _deposited(deposit: Deposit, now: str) -> Posting:
    at = booked_at(deposit.requested_at, now)
    return posting(deposit.account_id, deposit.cause, deposit.id, at, *deposit.movements())


def _held(chunk: Sequence[_Due]) -> int:
    return sum(due.hold_nanousd for due in chunk)


def _charged(chunk: Sequence[_Due]) -> int:
    return sum(due.charge_nanousd for due in chunk)


def _cut_to(available_nanousd: int, chunk: list[_Due]) -> list[_Due]:
    """The chunk with its charges cut, from the last on, to what holds and balance cover. The rest is overrun."""
    covered = available_nanousd + _held(chunk)
    cut: list[_Due] = []
    for due in chunk:
        whole = due.charge_nanousd + due.overrun_nanousd
        taken = min(whole, covered)
        covered -= taken
        cut.append(replace(due, overrun_nanousd=whole - taken))
    return cut


def _chunks(due: list[_Due]) -> list[list[_Due]]:
    """Groups that fit a transaction, in order. What is shared within a group is written once, so it is a set."""
    chunks: list[list[_Due]] = []
    shared: set[object] = set()
    for added in due:
        wanted = shared | added.shared
        size = sum(each.actions for each in [*chunks[-1], added]) + _ACTIONS_OF_ALL + len(wanted) if chunks else 0
        if not chunks or size > _MAX_ACTIONS:
            chunks.append([])
            wanted = added.shared
        chunks[-1].append(added)
        shared = wanted
    return chunks
