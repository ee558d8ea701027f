"""Prices, worked out again from records: whether each record's are right, and what another catalog makes of them.

A record has all that its price was made of: the usage, the terms, the moment, the margin, and the version of the price
list. A version with a `+` is a credential's own list, which is kept nowhere: its cost is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from ownkey.catalog import Catalog
from ownkey.domain.attempts import AttemptEnd, AttemptRecord, Outcome
from ownkey.domain.audit import milliseconds
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ids import DEPOSIT, id_day, made_id
from ownkey.domain.ledger import DepositKind
from ownkey.domain.money import with_margin
from ownkey.domain.usage import Usage
from ownkey.ledger.differences import Difference, Kind
from ownkey.ledger.pricing import cost_of
from ownkey.ledger.records import Deposit
from ownkey.store import keys


@dataclass(frozen=True, slots=True)
class Priced:
    """What a catalog says of one attempt, in nano-dollars."""

    cost_nanousd: int
    charge_nanousd: int | None
    """None: its record does not say the margin."""


def priced_by(catalog: Catalog, record: AttemptRecord) -> Priced | None:
    """Cost and charge of an ended attempt by a catalog's published prices; None where they cannot be told."""
    start, end = record.start, record.end
    model = catalog.model(start.provider_id, start.model_id) if catalog.knows_provider(start.provider_id) else None
    if end is None or end.terms is None or model is None or model.prices is None:
        return None
    if end.usage == Usage():
        return Priced(0, 0)
    at = datetime.fromisoformat(start.started_at)
    cost = cost_of(end.usage, model.prices, start.source, terms=end.terms, at=at)
    if cost is None:
        return None
    published = cost.total_nanousd
    if start.source is CredentialSource.BYOK:
        return Priced(published, 0)
    charge = None if start.margin_percent is None else with_margin(published, start.margin_percent)
    return Priced(published, charge)


def wrong_prices(catalog: Catalog, record: AttemptRecord) -> list[Difference]:
    """Where a record's cost or charge is not what its own usage and price list come to.

    By the stated rule: nothing used and no price cost nothing, own keys are charged nothing, one whose function died
    is priced by its intent, all others by the price list they name, if this catalog is of that version.
    """
    start, end = record.start, record.end
    if end is None:
        return []
    wanted_cost, wanted_charge = _wanted(catalog, record)
    found = []
    for what, says, should in (
        ("cost_nanousd", end.cost_nanousd, wanted_cost),
        ("charge_nanousd", end.charge_nanousd, wanted_charge),
    ):
        if should is not None and says != should:
            request = start.request
            item = f"{keys.attempts_of_request(request.account_id, request.request_id)} {start.attempt_id}"
            why = f"its usage by price list {start.price_version} comes to another sum"
            found.append(Difference(Kind.PRICE, request.account_id, item, what, says, should, why))
    return found


def _wanted(catalog: Catalog, record: AttemptRecord) -> tuple[int | None, int | None]:
    """Cost and charge; None where they cannot be told."""
    start, end = record.start, record.end
    assert end is not None
    nothing_charged = 0 if start.source is CredentialSource.BYOK else None
    if end.outcome is Outcome.ABANDONED:
        return start.estimated_cost_nanousd, start.estimated_charge_nanousd
    if end.usage == Usage():
        return 0, 0
    if start.price_version is None:
        return 0, nothing_charged
    version, own, _ = start.price_version.partition("+")
    if version != catalog.version or (priced := priced_by(catalog, record)) is None:
        return None, nothing_charged
    return None if own else priced.cost_nanousd, priced.charge_nanousd


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What is priced again as one: a day's requests to a model."""

    day: str
    """Of the requests, UTC."""
    model: str
    """`<provider>/<model>`."""
    source: CredentialSource


@dataclass(slots=True)
class Repriced:
    """What another catalog makes of a line, in nano-dollars: what was recorded, and what it would be."""

    attempts: int = 0
    skipped: int = 0
    """Attempts by a credential's own list, of unknown terms or margin, or without a price there: left as they are."""
    cost_nanousd: int = 0
    new_cost_nanousd: int = 0
    charge_nanousd: int = 0
    new_charge_nanousd: int = 0
    owed_nanousd: int = 0
    """What the account would have paid more, or less. What was never taken of a charge is not given back, and what
    was beyond its credits then is not asked for now."""


@dataclass(slots=True)
class Repricing:
    """Some days of an account under another catalog. Fed with attempts, each once."""

    catalog: Catalog
    overruns: Mapping[str, int]
    """Of what was charged, what was not taken: by attempt."""
    lines: dict[Line, Repriced] = field(default_factory=dict)
    waiting: int = 0
    """Attempts that are not counted yet, and are left out."""

    def add(self, records: Iterable[AttemptRecord]) -> None:
        """Attempts."""
        for record in records:
            if record.end is None or record.billed_at is None:
                self.waiting += 1
            else:
                self._add(record, record.end)

    def _add(self, record: AttemptRecord, end: AttemptEnd) -> None:
        start = record.start
        key = Line(id_day(start.request.request_id), f"{start.provider_id}/{start.model_id}", start.source)
        line = self.lines.setdefault(key, Repriced())
        own = start.price_version is None or "+" in start.price_version
        priced = None if own or end.outcome is Outcome.ABANDONED else priced_by(self.catalog, record)
        if priced is None or priced.charge_nanousd is None:
            line.skipped += 1
            return
        line.attempts += 1
        line.cost_nanousd += end.cost_nanousd
        line.new_cost_nanousd += priced.cost_nanousd
        line.charge_nanousd += end.charge_nanousd
        line.new_charge_nanousd += priced.charge_nanousd
        if overrun := self.overruns.get(start.attempt_id, 0):
            line.owed_nanousd += min(0, priced.charge_nanousd - (end.charge_nanousd - overrun))
        else:
            line.owed_nanousd += priced.charge_nanousd - end.charge_nanousd

    def corrections(
        self, account_id: str, before: Iterable[Deposit], *, requested_by: str, requested_at: str
    ) -> list[Deposit]:
        """What brings the account to where this catalog would have it, after all corrections there were before.

        An id is made of line, catalog and how many came before: of two who correct at once, one does. What is not
        there any more when billing takes it back stays the operator's.
        """
        earlier = list(before)
        made = []
        for key, line in sorted(self.lines.items()):
            about = f"reprice {key.day} {key.model}"
            past = [each.amount_nanousd for each in earlier if each.about == about]
            amount = -line.owed_nanousd - sum(past)
            if key.source is not CredentialSource.PLATFORM or not amount:
                continue
            made.append(
                Deposit(
                    account_id,
                    correction_id(key.day, account_id, about, self.catalog.version, str(len(past))),
                    amount,
                    requested_by,
                    requested_at,
                    f"{key.model} on {key.day} by price list {self.catalog.version}",
                    kind=DepositKind.CORRECTION,
                    partial=True,
                    about=about,
                )
            )
        return made


def correction_id(day: str, *about: str) -> str:
    """The id of a correction that is to be made once: of the day that it is about, and of what."""
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    digest = sha256("\x1f".join(about).encode()).digest()
    return made_id(DEPOSIT, milliseconds(at), int.from_bytes(digest[:10], "big"))
