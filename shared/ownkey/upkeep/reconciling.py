"""Compares, by the day and when asked, what was recorded with what providers report. `validation` alone opens.

```
daily      one reconciliation for each admin credential: the last days, again until their reports are final
a run      the records of each day are summed, page by page, and kept; then the report is read, all of it at once;
           then everything is compared, kept, and the alarm raised where spend is explained by no record
```
A run that is stopped goes on from the last sum that it kept. A provider that cannot be asked is asked again by the
minute, ten times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from ownkey.catalog import Catalog, PriceList, Provider, price_list_for
from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.domain.errors import GatewayFailure, StoreUnavailable
from ownkey.domain.reconciliation import Charge, ProviderKey, Reconciliation, ReportLine, Row, RunState
from ownkey.domain.times import rfc3339
from ownkey.ledger import reconcile
from ownkey.ledger.recorded import Cells, RecordedUse, Summed
from ownkey.ledger.records import UnreadableRecord
from ownkey.registry import Registry
from ownkey.registry.reconciliations import ReconciliationTaken
from ownkey.upkeep.leaks import LeakAlarm
from ownkey.validation.candidate import Candidate
from ownkey.validation.report_parts import ReportAsk, ReportPart

_log = logging.getLogger(__name__)

DAILY_DAYS = 3
"""How many days back the daily one looks: by then reports are final, and an alarm is a day late at most."""
BUDGET_S = 45.0
"""Of one run, which comes by the minute."""
REPORT_BUDGET_S = 150.0
"""Of reading one report whole; the function has 300 s."""
MAX_TRIES = 10
_MAX_REASON_CHARS = 300
_STARTED_BY = "upkeep"


class ReportPort(Protocol):
    """The function that may decrypt."""

    async def report(self, ask: ReportAsk) -> ReportPart:
        """Some pages of a provider's report.

        Raises:
            GatewayFailure: the function failed, or did not answer.
        """


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one run did."""

    done: int = 0
    failed: int = 0
    waiting: int = 0
    leaks: int = 0


@dataclass(slots=True)
class _Report:
    lines: list[ReportLine] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    keys: list[ProviderKey] = field(default_factory=list)


class _Refused(Exception):
    """The provider wants nothing to do with the admin credential, or there is none any more."""


class _Waits(Exception):
    """The provider could not be asked now."""


class Reconciling:
    """One run works on open reconciliations until its time is up."""

    def __init__(
        self,
        registry: Registry,
        recorded: RecordedUse,
        reports: ReportPort,
        catalog: Catalog,
        alarm: LeakAlarm,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._recorded = recorded
        self._reports = reports
        self._catalog = catalog
        self._alarm = alarm
        self._now = now
        self._monotonic = monotonic

    async def begin_daily(self) -> int:
        """Begins the day's reconciliation of each admin credential; how many."""
        begun, now = 0, self._now()
        last = now.astimezone(UTC).date() - timedelta(days=1)
        first = last - timedelta(days=DAILY_DAYS - 1)
        for account_id in await self._registry.account_ids():
            for stored in await self._registry.admin_credentials(account_id):
                if stored.credential.disabled or stored.is_previous:
                    continue
                at = rfc3339(now)
                run = Reconciliation(
                    id=ids.new_id(ids.RECONCILIATION, int(now.timestamp() * 1000)),
                    account_id=account_id,
                    provider_id=stored.credential.provider_id,
                    first=first.isoformat(),
                    last=last.isoformat(),
                    started_by=_STARTED_BY,
                    started_at=at,
                    updated_at=at,
                    day=first.isoformat(),
                )
                await self._registry.start_reconciliation(run, now)
                begun += 1
        return begun

    async def run(self, budget_s: float = BUDGET_S) -> Reconciled:
        """Goes on with the open ones, the oldest first."""
        give_up_at, total = self._monotonic() + budget_s, Reconciled()
        for run in await self._registry.open_reconciliations():
            if self._monotonic() >= give_up_at:
                return replace(total, waiting=total.waiting + 1)
            try:
                worked = await self._work(run, give_up_at)
            except ReconciliationTaken:
                _log.info("another run is at the reconciliation", extra={"reconciliation": run.id})
                continue
            total = Reconciled(
                total.done + (worked.state is RunState.DONE),
                total.failed + (worked.state is RunState.FAILED),
                total.waiting + (worked.state is RunState.RUNNING),
                total.leaks + len(worked.leaks),
            )
        return total

    async def _work(self, run: Reconciliation, give_up_at: float) -> Reconciliation:
        try:
            return await self._advance(run, give_up_at)
        except StoreUnavailable as e:
            _log.warning("a reconciliation was interrupted", extra={"reconciliation": run.id, "reason": e.message})
            return run
        except (_Refused, UnreadableRecord) as e:
            return await self._ended(run, str(e), tries=MAX_TRIES)
        except _Waits as e:
            return await self._ended(run, str(e))
        except GatewayFailure as e:
            return await self._ended(run, e.message)

    async def _ended(self, run: Reconciliation, reason: str, *, tries: int = 1) -> Reconciliation:
        """For now, or, after so many tries, for good."""
        # As progress was noted last: its revision is the one that stands.
        current = await self._registry.reconciliation(run.account_id, run.id)
        tries = current.tries + tries
        state = RunState.FAILED if tries >= MAX_TRIES else RunState.RUNNING
        return await self._note(replace(current, tries=tries, state=state, reason=reason[:_MAX_REASON_CHARS]))

    async def _advance(self, run: Reconciliation, give_up_at: float) -> Reconciliation:
        provider = self._catalog.find_provider(run.provider_id)
        if provider is None or provider.report is None:
            raise _Refused("The catalog knows no report of this provider.")
        admin = await self._admin(run)
        accounts = await self._accounts(run)
        while run.day <= run.last:
            if not await self._sum(run, accounts, give_up_at):
                return await self._note(run)
            run = await self._note(replace(run, day=_next(run.day)))
        report = await self._read(run, admin)
        return await self._compare(run, provider, report)

    async def _admin(self, run: Reconciliation) -> StoredCredential:
        stored = await self._registry.admin_credentials(run.account_id)
        own = [each for each in stored if each.credential.provider_id == run.provider_id and not each.is_previous]
        if not own or own[0].credential.disabled:
            raise _Refused("The account has no admin credential for this provider (any more).")
        return own[0]

    async def _accounts(self, run: Reconciliation) -> list[str]:
        """Whose attempts may have used the account's credentials: its own; of platform and shared ones, anybody's."""
        everybodys = run.account_id == PLATFORM_ACCOUNT
        if not everybodys:
            # What was shared until yesterday counts: a consent taken back leaves the credentials marked.
            shared = any(each.shared_version is not None for each in await self._credentials(run))
            everybodys = shared or (await self._registry.account(run.account_id)).sharing_consent is not None
        return sorted(await self._registry.account_ids()) if everybodys else [run.account_id]

    async def _sum(self, run: Reconciliation, accounts: Sequence[str], give_up_at: float) -> bool:
        """Sums the records of the run's day as far as time allows; whether all of them are."""
        kept = await self._registry.recorded(run, run.day)
        summed = Summed() if kept is None else Summed.from_json(kept)
        while not summed.done and self._monotonic() < give_up_at:
            await self._recorded.go_on(summed, run.account_id, accounts, run.day, run.provider_id)
        await self._registry.put_recorded(run, run.day, summed.to_json(), self._now())
        return summed.done

    async def _read(self, run: Reconciliation, admin: StoredCredential) -> _Report:
        """The whole report, or nothing of it."""
        give_up_at, report, place = self._monotonic() + REPORT_BUDGET_S, _Report(), None
        candidate = Candidate.of(admin.credential, admin.sealed)
        while self._monotonic() < give_up_at:
            part = await self._reports.report(ReportAsk(candidate, run.first, run.last, place))
            if part.refused is not None:
                raise _Refused(part.refused)
            if part.waits is not None:
                raise _Waits(part.waits)
            report.lines += part.lines
            report.charges += part.charges
            report.keys += part.keys
            if part.place is None:
                return report
            place = part.place
        raise _Waits("The report is too long to be read at once: ask for fewer days.")

    async def _compare(self, run: Reconciliation, provider: Provider, report: _Report) -> Reconciliation:
        assert provider.report is not None
        credentials = {each.id: each for each in await self._credentials(run)}
        match = reconcile.matched(
            report.keys,
            {each.id: _masks(each) for each in credentials.values()},
            await self._registry.known_keys(run.account_id, run.provider_id),
        )
        rows = list[Row]()
        for day in _days(run):
            rows += await self._rows_of(run, day, provider, report, match, credentials)
        await self._registry.put_known_keys(run.account_id, run.provider_id, match.credentials)
        await self._registry.put_rows(run, rows, self._now())
        done = replace(_summary(run, rows, report), state=RunState.DONE, reason=None, ambiguous=match.ambiguous)
        if provider.report.usage_by_key:
            leaks = await self._alarm.raise_for(done, rows, credentials)
            done = replace(done, leaks=tuple(leaks))
        return await self._note(done)

    async def _rows_of(
        self,
        run: Reconciliation,
        day: str,
        provider: Provider,
        report: _Report,
        match: reconcile.Matched,
        credentials: Mapping[str, Credential],
    ) -> list[Row]:
        assert provider.report is not None
        kept = await self._registry.recorded(run, day)
        cells: Cells = Summed.from_json(kept).cells if kept is not None else {}
        ends_at = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC)
        final = self._now() >= ends_at + timedelta(hours=provider.report.final_after_hours)

        def prices(credential_id: str, model: str) -> PriceList | None:
            known = self._catalog.model(provider.id, model)
            credential = credentials.get(credential_id)
            published = known.prices if known else None
            return price_list_for(credential.pricing if credential else None, credential_id, model, published)

        return reconcile.rows(
            day,
            cells,
            report.lines,
            report.charges,
            match,
            reconcile.plain_worth(prices),
            final=final,
            bill_by_key=provider.report.bill_by_key,
            usage_by_key=provider.report.usage_by_key,
        )

    async def _credentials(self, run: Reconciliation) -> list[Credential]:
        own = await self._registry.credentials(run.account_id)
        return [each for each in own if each.provider_id == run.provider_id]

    async def _note(self, run: Reconciliation) -> Reconciliation:
        return await self._registry.note_reconciliation(replace(run, updated_at=rfc3339(self._now())))


def _summary(run: Reconciliation, rows: Iterable[Row], report: _Report) -> Reconciliation:
    own = [row for row in rows if row.credential_id is not None]
    others = [row for row in rows if row.credential_id is None]
    return replace(
        run,
        recorded_nanousd=sum(row.recorded_nanousd for row in own),
        reported_nanousd=sum(model.reported_nanousd for row in own for model in row.models),
        charged_nanousd=sum(charge.amount_nanousd for charge in report.charges) if report.charges else None,
        explained_nanousd=sum(sum(row.explained.values()) for row in own),
        unexplained_nanousd=sum(row.unexplained_nanousd for row in own),
        not_known_nanousd=sum(row.variance_nanousd for row in others),
    )


def _masks(credential: Credential) -> list[str]:
    return [credential.mask, *([credential.previous.mask] if credential.previous else [])]


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _days(run: Reconciliation) -> list[str]:
    first, last = date.fromisoformat(run.first), date.fromisoformat(run.last)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
