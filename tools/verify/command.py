"""What the command does, account by account; each prints what it finds and says how many things are not right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ownkey.catalog import Catalog
from ownkey.domain.ledger import DepositKind
from ownkey.domain.money import usd_string
from ownkey.domain.times import rfc3339
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.recount import Period
from ownkey.ledger.repricing import Repricing, correction_id
from ownkey.ledger.rereading import Reader
from ownkey.ledger.verify import Report, Verifier
from ownkey.store import keys
from tools.verify.stack import Account, Stack

_PASSES = 4
"""A row that is being added to cannot be rebuilt at that moment: the next pass may find it still."""


@dataclass(frozen=True, slots=True)
class Command:
    """One run over a deployment.

    Args:
        month: `2026-11`; None: all of each account's life.
        by: Who runs it, for the audit log and for corrections.
    """

    stack: Stack
    catalog: Catalog
    month: str | None
    by: str
    now: Callable[[], datetime]

    def period(self, account: Account) -> Period:
        """What is verified of an account."""
        if self.month is None:
            return Period(account.created_on, self.now().date(), whole=True)
        first = date.fromisoformat(f"{self.month}-01")
        return Period(first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1))

    async def verify(self, account: Account, *, repair: bool = False) -> int:
        """Names every difference; with `repair`, rebuilds projections until those that stand still are right."""
        report = await self._look(account)
        for _ in range(_PASSES if repair else 0):
            if not report.rows:
                break
            rows = [row for row in report.rows if row.still]
            rebuilt = await self.stack.rebuild(account.id, self.by, rows) if rows else 0
            print(f"{account.id}: {rebuilt} of {len(report.rows)} rows rebuilt")
            report = await self._look(account)
        for each in report.differences:
            print(f"{account.id}: {each}")
        left = len(report.differences)
        print(f"{account.id}: {report.records} attempts, {report.waiting} not counted yet, {left} differences")
        return left

    async def correct_balance(self, account: Account, reason: str) -> int:
        """Posts what the balance has more, or less, than the ledger: the balance stays, and the books say so."""
        gap = (await self._look(account)).balance_gap
        if gap is None:
            print(f"{account.id}: balance and ledger agree")
            return 0
        says, should = gap
        about = f"balance {should} {says}"  # of both sums: the same gap is corrected once, however often this runs
        made = Deposit(
            account.id,
            correction_id(account.created_on.isoformat(), account.id, about),
            says - should,
            self.by,
            rfc3339(self.now()),
            reason,
            kind=DepositKind.CORRECTION,
            about=about,
            standing=True,
        )
        return 0 if await self._request(made) else 1

    async def reprice(self, account: Account, catalog: Catalog, *, apply: bool) -> int:
        """What another catalog makes of the days' requests; with `apply`, asks for the corrections."""
        reader, period = Reader(self.stack.db, self.stack.tables.records, account.id), self.period(account)
        repricing = Repricing(catalog, await self._overruns(account))
        for day in period.days():
            async for attempts in reader.attempts(day):
                repricing.add(attempts)
        for key, line in sorted(repricing.lines.items()):
            print(
                f"{account.id} {key.day} {key.model} {key.source}: {line.attempts} attempts ({line.skipped} skipped), "
                f"cost {usd_string(line.cost_nanousd)} would be {usd_string(line.new_cost_nanousd)}, "
                f"charge {usd_string(line.charge_nanousd)} would be {usd_string(line.new_charge_nanousd)}"
            )
        at = rfc3339(self.now())
        made = repricing.corrections(account.id, await reader.deposits(), requested_by=self.by, requested_at=at)
        if repricing.waiting:
            print(f"{account.id}: {repricing.waiting} attempts are not counted yet, and left out: run it again then")
        refused = 0
        for each in made:
            if apply:
                refused += not await self._request(each)
            else:
                print(f"{account.id}: {_said(each)} to be corrected")
        return refused if apply else len(made)

    async def _look(self, account: Account) -> Report:
        verifier = Verifier(self.stack.db, self.stack.tables, self.catalog)
        return await verifier.account(account.id, self.period(account), self.now(), born=account.created_on)

    async def _request(self, correction: Deposit) -> bool:
        asked = await Records(self.stack.db, self.stack.tables.records).request_deposit(correction)
        state = "asked for; billing posts it" if asked else "was asked for before; nothing is done"
        print(f"{correction.account_id}: {_said(correction)} {state}")
        return asked

    async def _overruns(self, account: Account) -> dict[str, int]:
        rows = await self.stack.db.query_all(
            self.stack.tables.ledger,
            keys.ledger(account.id),
            filter_expression="overrun_nanousd > :zero AND cause = :attempt",
            values={":zero": 0, ":attempt": "attempt"},
        )
        return {row["cause_id"]: row["overrun_nanousd"] for row in rows}


def _said(correction: Deposit) -> str:
    return f"{correction.id}: {usd_string(correction.amount_nanousd)} ({correction.note}):"
