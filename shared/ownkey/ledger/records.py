"""Attempt records, deposits and releases in the records table: two writes an attempt, each idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from hashlib import sha256
from typing import Any

from ownkey.domain import ids
from ownkey.domain.attempts import (
    RECORD_SCHEMA,
    AttemptEnd,
    AttemptRecord,
    AttemptStart,
    AttemptState,
    Outcome,
    RequestFacts,
)
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import NotFound
from ownkey.domain.ledger import Cause, DepositKind, Movement
from ownkey.domain.limits import Claim
from ownkey.domain.savings import Savings
from ownkey.domain.sharing import Donation
from ownkey.domain.usage import Terms, Usage, UsageSource
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, DynamoDb, Item, Key, Put

DEPOSIT_REQUESTED = "requested"
RELEASED = "released"
REWARD_EARNED = "earned"
OF_DEPOSITS = frozenset(kind.moves[1] for kind in DepositKind)
"""Causes whose postings follow from a deposit record."""


class UnreadableRecord(Exception):
    """A record of a schema, or with attributes, that this version does not know. Says which, never the content."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """Credits that an account is given, or, by a correction, that are taken back."""

    account_id: str
    id: str
    amount_nanousd: int
    """Negative in a correction that takes back."""
    requested_by: str
    """A user's id, or the name of the function."""
    requested_at: str
    note: str = ""
    billed_at: str | None = None
    kind: DepositKind = DepositKind.DEPOSIT
    partial: bool = False
    """Of a correction that takes back: as much as there is, where that is less."""
    moved_nanousd: int | None = None
    """What a correction really moved, since `billed_at`; None: all of it."""
    provider: str | None = None
    """Of a payment: who took it, and how it is called there."""
    payment_id: str | None = None
    payment_intent: str | None = None
    event_id: str | None = None
    about: str | None = None
    """Of a correction by a command: what it corrects, so that the next one knows what was corrected before."""
    standing: bool = False
    """Of a correction: the balance has it already, by whatever accident, and only the ledger lacks it."""

    def movements(self) -> tuple[Movement, ...]:
        """What it moves, or has moved; none where it was refused."""
        amount_nanousd = self.amount_nanousd if self.moved_nanousd is None else self.moved_nanousd
        return (Movement(self.kind.moves[0], amount_nanousd),) if amount_nanousd else ()

    @property
    def cause(self) -> Cause:
        """What its posting is called."""
        return self.kind.moves[1]

    @property
    def refused(self) -> bool:
        """Whether billing found too little to take back, and moved nothing."""
        return self.billed_at is not None and self.moved_nanousd == 0


@dataclass(frozen=True, slots=True)
class Release:
    """A hold that was given back without any record of its attempt: billing posts it."""

    account_id: str
    attempt_id: str
    amount_nanousd: int
    released_at: str
    billed_at: str | None = None

    @property
    def id(self) -> str:
        """The record's sort key. With the time: whatever is held again is released again."""
        return f"{self.attempt_id}@{self.released_at}"


@dataclass(frozen=True, slots=True)
class Reward:
    """What an account is given for an attempt of somebody else's on a credential that it shares: billing posts it.

    It says nothing of the attempt but this, and of its time the hour.
    """

    account_id: str
    id: str
    provider_id: str
    model_id: str
    credential_id: str
    """The account's own."""
    amount_nanousd: int
    earned_at: str
    billed_at: str | None = None


@dataclass(frozen=True, slots=True)
class RewardsPage:
    """Rewards, the latest hour first; `next_cursor` continues."""

    rewards: tuple[Reward, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DepositsPage:
    """Deposits newest first; `next_cursor` continues."""

    deposits: tuple[Deposit, ...]
    next_cursor: str | None


def sign_up_credit(account_id: str, amount_nanousd: int, *, by: str, at: str) -> Deposit:
    """What a new account is given. There is one id for it in an account, and it sorts as the oldest of its deposits."""
    number = int.from_bytes(sha256(f"sign_up\x1f{account_id}".encode()).digest()[:10], "big")
    deposit_id = ids.made_id(ids.DEPOSIT, 0, number)
    return Deposit(account_id, deposit_id, amount_nanousd, by, at, kind=DepositKind.SIGN_UP)


class Records:
    """Reads and writes over the records table."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def start(self, start: AttemptStart) -> None:
        """Writes the intent. One that comes late, after the end, changes nothing."""
        try:
            await self._db.write(Put(self.key(start), started_item(start), condition="attribute_not_exists(pk)"))
        except ConditionFailed:
            # The end overtook it, and holds everything the intent does.
            return

    async def end(self, start: AttemptStart, end: AttemptEnd) -> bool:
        """Writes the end, whole: it stands even where the intent was lost. The first end counts.

        Returns:
            Whether this was it; False where the attempt had been ended already.
        """
        try:
            await self._db.write(
                Put(
                    self.key(start),
                    ended_item(start, end),
                    condition="attribute_not_exists(pk) OR #state = :started",
                    names={"#state": "state"},
                    values={":started": AttemptState.STARTED.value},
                )
            )
        except ConditionFailed:
            return False
        return True

    async def request_deposit(self, deposit: Deposit) -> bool:
        """Asks `billing` for a deposit; False where one of its id stands already, which stays as it is."""
        try:
            await self._db.write(self.deposit_write(deposit))
        except ConditionFailed:
            return False
        return True

    def deposit_write(self, deposit: Deposit) -> Put:
        """The same as a part of a transaction."""
        item = {name: getattr(deposit, name) for name in Deposit.__slots__}
        marks = {"kind": deposit.kind.value, "state": DEPOSIT_REQUESTED, "record_schema": RECORD_SCHEMA}
        at = Key(self._table, keys.deposits(deposit.account_id), deposit.id)
        return Put(at, item | marks, condition="attribute_not_exists(pk)")

    async def deposits(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> DepositsPage:
        """A page of the account's deposits, newest first."""
        page = await self._db.query(
            self._table, keys.deposits(account_id), newest_first=True, limit=limit, after_sk=cursor
        )
        return DepositsPage(tuple(to_deposit(item) for item in page.items), page.next_sk)

    async def deposit(self, account_id: str, deposit_id: str) -> Deposit:
        """One of them.

        Raises:
            NotFound: the account has none of this id.
        """
        # By a query: management may read these records, but not single items of the table.
        page = await self._db.query(self._table, keys.deposits(account_id), between=(deposit_id, deposit_id))
        if not page.items:
            raise NotFound("There is no such deposit in the account.")
        return to_deposit(page.items[0])

    async def rewards(self, account_id: str, *, limit: int = 50, cursor: str | None = None) -> RewardsPage:
        """A page of what the account was given for sharing."""
        page = await self._db.query(
            self._table, keys.rewards(account_id), newest_first=True, limit=limit, after_sk=cursor
        )
        return RewardsPage(tuple(to_reward(item) for item in page.items), page.next_sk)

    async def attempts_of_request(self, account_id: str, request_id: str) -> list[AttemptRecord]:
        """All attempts of a request in the order tried; empty where the account has no such request."""
        try:
            partition = keys.attempts_of_request(account_id, request_id)
        except ValueError:
            return []
        return [to_record(item) for item in await self._db.query_all(self._table, partition, prefix=f"{request_id}#")]

    def key(self, start: AttemptStart) -> Key:
        """Where an attempt's record stands."""
        request = start.request
        return Key(self._table, keys.attempts_of_request(request.account_id, request.request_id), start.attempt_id)


def started_item(start: AttemptStart) -> Item:
    """The record of an intent."""
    request = {name: getattr(start.request, name) for name in RequestFacts.__slots__}
    own = {name: getattr(start, name) for name in AttemptStart.__slots__ if name != "request"}
    return (
        request
        | own
        | {
            "tags": list(start.request.tags),
            "source": start.source.value,
            "estimated_usage": start.estimated_usage.to_item(),
            "claims": [claim.to_item() for claim in start.claims] or None,
            "donation": asdict(start.donation) if start.donation else None,
            "dropped": list(start.dropped) or None,
            "state": AttemptState.STARTED.value,
            "record_schema": RECORD_SCHEMA,
        }
    )


def ended_item(start: AttemptStart, end: AttemptEnd) -> Item:
    """The record of an attempt that ended."""
    own = {name: getattr(end, name) for name in AttemptEnd.__slots__}
    return (
        started_item(start)
        | own
        | {
            "outcome": end.outcome.value,
            "usage": end.usage.to_item(),
            "usage_source": end.usage_source.value,
            "savings": end.savings.to_item() or None,
            "terms": None if end.terms is None else end.terms.to_item(),
            "state": AttemptState.ENDED.value,
        }
    )


def to_record(item: Mapping[str, Any]) -> AttemptRecord:
    """An attempt's record from its item.

    Raises:
        UnreadableRecord: of another schema, or lacking what every record has.
    """
    if item.get("record_schema") != RECORD_SCHEMA:
        raise UnreadableRecord(f"record schema {item.get('record_schema')!r}")
    try:
        request = RequestFacts(**_values(RequestFacts, item) | {"tags": tuple(item.get("tags", ()))})
        start = AttemptStart(
            **_values(AttemptStart, item)
            | {
                "request": request,
                "source": CredentialSource(item["source"]),
                "estimated_usage": Usage.from_item(item.get("estimated_usage", {})),
                "margin_percent": Decimal(item["margin_percent"]) if "margin_percent" in item else None,
                "claims": tuple(Claim.from_item(each) for each in item.get("claims", ())),
                "donation": Donation.from_item(item["donation"]) if "donation" in item else None,
                "dropped": tuple(item.get("dropped", ())),
            }
        )
        if item["state"] != AttemptState.ENDED.value:
            return AttemptRecord(start, None)
        end = AttemptEnd(
            **{"status": None}
            | _values(AttemptEnd, item)
            | {
                "outcome": Outcome(item["outcome"]),
                "usage": Usage.from_item(item["usage"]),
                "usage_source": UsageSource(item["usage_source"]),
                "savings": Savings.from_item(item.get("savings", {})),
                "terms": Terms.from_item(item["terms"]) if "terms" in item else None,
            }
        )
    except (KeyError, TypeError, ValueError) as e:
        raise UnreadableRecord(f"{type(e).__name__} in a record") from e
    return AttemptRecord(start, end, item.get("billed_at"))


def to_deposit(item: Mapping[str, Any]) -> Deposit:
    """A deposit from its item.

    Raises:
        UnreadableRecord: of another schema, or lacking what every deposit has.
    """
    if item.get("record_schema") != RECORD_SCHEMA:
        raise UnreadableRecord(f"record schema {item.get('record_schema')!r}")
    try:
        kind = DepositKind(item.get("kind", DepositKind.DEPOSIT))
        return Deposit(**_values(Deposit, item) | {"kind": kind})
    except (TypeError, ValueError) as e:
        raise UnreadableRecord("a deposit lacks an attribute, or is of a kind that is not known") from e


def to_release(item: Mapping[str, Any]) -> Release:
    """A release from its item, keys included.

    Raises:
        UnreadableRecord: of another schema, or lacking what every release has.
    """
    if item.get("record_schema") != RECORD_SCHEMA:
        raise UnreadableRecord(f"record schema {item.get('record_schema')!r}")
    try:
        return Release(**_values(Release, item) | {"account_id": item["pk"].removeprefix(keys.RELEASES_PREFIX)})
    except (KeyError, TypeError) as e:
        raise UnreadableRecord("a release lacks an attribute") from e


def reward_item(reward: Reward) -> Item:
    """The record of a reward that was earned."""
    own = {f.name: getattr(reward, f.name) for f in fields(Reward) if f.name not in ("account_id", "id")}
    return own | {"state": REWARD_EARNED, "record_schema": RECORD_SCHEMA}


def to_reward(item: Mapping[str, Any]) -> Reward:
    """A reward from its item, keys included.

    Raises:
        UnreadableRecord: of another schema, or lacking what every reward has.
    """
    if item.get("record_schema") != RECORD_SCHEMA:
        raise UnreadableRecord(f"record schema {item.get('record_schema')!r}")
    try:
        at = {"account_id": item["pk"].removeprefix(keys.REWARDS_PREFIX), "id": item["sk"]}
        return Reward(**_values(Reward, item) | at)
    except (KeyError, TypeError) as e:
        raise UnreadableRecord("a reward lacks an attribute") from e


def _values(cls: type, item: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: item[f.name] for f in fields(cls) if f.name in item}
