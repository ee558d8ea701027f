"""Reconciliations from run to run: stopped, refused, taken by another; each sums its days once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import GatewayFailure
from ownkey.domain.reconciliation import (
    ProviderKey,
    Reconciliation,
    ReportLine,
    RunState,
)
from ownkey.domain.secrets import Secret
from ownkey.domain.sharing import Consent, Donation
from ownkey.domain.usage import Usage
from ownkey.ledger.recorded import RecordedUse
from ownkey.ledger.records import Records
from ownkey.registry import CreateCredential, Registry
from ownkey.registry.audit import AuditTrail
from ownkey.upkeep.leaks import LeakAlarm
from ownkey.upkeep.reconciling import MAX_TRIES, Reconciling
from ownkey.validation.report_parts import ReportAsk, ReportPart
from ownkey.vault import Sealer
from tests.support.attempts import AT, attempt
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, FakeKms

DAY = AT.date().isoformat()
USED = Usage(input=1_000)
STAMP = "2026-11-21T08:00:00.000000Z"


@dataclass
class Reports:
    """The function that may decrypt, with the answers it was told to give."""

    answers: list[ReportPart | Exception] = field(default_factory=list)
    asked: list[ReportAsk] = field(default_factory=list)

    async def report(self, ask: ReportAsk) -> ReportPart:
        self.asked.append(ReportAsk.from_json(ask.to_json()))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ReportPart.from_json(answer.to_json())


@dataclass
class Events:
    put_: list[tuple[str, Any]] = field(default_factory=list)

    async def put(self, detail_type: str, detail: Any) -> None:
        self.put_.append((detail_type, detail))


@dataclass
class Bench:
    tables: Tables
    registry: Registry
    reports: Reports
    events: Events
    now: datetime = AT + timedelta(days=10)

    def reconciling(self, monotonic: Callable[[], float] = lambda: 0.0) -> Reconciling:
        trail = AuditTrail(self.tables.db, self.tables.audit)
        alarm = LeakAlarm(self.registry, trail, self.events, now=lambda: self.now)
        recorded = RecordedUse(self.tables.db, self.tables.records)
        return Reconciling(
            self.registry, recorded, self.reports, Catalog.load(), alarm, now=lambda: self.now, monotonic=monotonic
        )

    async def save(self, credential_id: str, account_id: str = "acme", mask: str = "sk-…aB3d") -> Credential:
        credential = Credential(
            credential_id, account_id, "openai", "main", mask, 1, "https://api.openai.com/v1", STAMP, STAMP
        )
        sealed = await Sealer(FakeKms(), KMS_KEY).seal(credential.binding(), {"key": Secret("k" * 30)}, now=STAMP)
        await self.registry.apply(account_id, [CreateCredential(credential, sealed)])
        return credential

    async def serve(self, account_id: str = "acme", **start: Any) -> None:
        record = attempt(account_id, usage=USED, **start)
        records = Records(self.tables.db, self.tables.records)
        assert record.end is not None
        await records.end(record.start, record.end)

    async def begin(self, account_id: str = "acme", first: str = DAY, last: str = DAY) -> Reconciliation:
        run = Reconciliation(
            ids.new_id(ids.RECONCILIATION), account_id, "openai", first, last, "ann", STAMP, STAMP, day=first
        )
        await self.registry.start_reconciliation(run, self.now)
        return run

    def answers(self, *tokens: int, key: str = "key_1") -> None:
        lines = tuple(ReportLine(DAY, key, "gpt-4o-mini", Usage(input=each), 1) for each in tokens)
        self.reports.answers.append(ReportPart(lines, keys=(ProviderKey(key, "sk-proj-...aB3d"),)))


@pytest.fixture
async def bench(tables: Tables) -> Bench:
    registry = Registry(tables.db, tables.registry)
    for account in ("acme", "other", PLATFORM_ACCOUNT):
        await registry.create_account(account, account, now=STAMP)
    made = Bench(tables, registry, Reports(), Events())
    await made.save("adm_1")
    await made.save("cred_1")
    return made


async def done(bench: Bench, run: Reconciliation) -> Reconciliation:
    await bench.reconciling().run()
    return await bench.registry.reconciliation(run.account_id, run.id)


async def test_records_and_report_agree(bench: Bench) -> None:
    await bench.serve()
    await bench.serve()
    bench.answers(2_000)
    run = await done(bench, await bench.begin())
    assert (run.state, run.unexplained_nanousd, run.leaks) == (RunState.DONE, 0, ())
    assert run.reported_nanousd > 0
    (ask,) = bench.reports.asked
    assert (ask.first, ask.last, ask.candidate.binding.credential_id) == (DAY, DAY, "adm_1")
    assert await bench.registry.open_reconciliations() == []


async def test_a_run_out_of_time_goes_on_where_it_stopped(bench: Bench) -> None:
    days = [(AT + timedelta(days=n)).date().isoformat() for n in range(3)]
    for n in range(3):
        await bench.serve(at=AT + timedelta(days=n))
    bench.answers(1_000)
    run = await bench.begin(first=days[0], last=days[2])
    seen = []
    for _ in range(8):
        # A clock that ticks with each look: time for one page a run.
        ticks = itertools.count()
        await bench.reconciling(lambda ticks=ticks: float(next(ticks))).run(budget_s=3)  # type: ignore[misc]
        seen.append((await bench.registry.reconciliation("acme", run.id)).day)
        if not await bench.registry.open_reconciliations():
            break
    assert seen == sorted(seen)
    assert len(set(seen)) > 1, "it took several runs"
    rows = (await bench.registry.rows("acme", run.id, limit=10)).rows
    assert [(row.day, row.models[0].recorded_tokens) for row in rows] == [(day, 1_000) for day in days]


async def test_pages_of_the_report_are_read_to_the_end(bench: Bench) -> None:
    await bench.serve()
    bench.answers(400)
    bench.reports.answers[0] = replace(bench.reports.answers[0], place={"part": "x"})  # type: ignore[type-var]
    bench.answers(600)
    assert (await done(bench, await bench.begin())).unexplained_nanousd == 0
    assert [ask.place for ask in bench.reports.asked] == [None, {"part": "x"}]


async def test_a_provider_that_cannot_be_asked_is_asked_again_and_not_for_ever(bench: Bench) -> None:
    run = await bench.begin()
    bench.reports.answers += [GatewayFailure("gone"), ReportPart(waits="429: slow down")]
    assert (await done(bench, run)).state is RunState.RUNNING
    waiting = await done(bench, run)
    assert (waiting.state, waiting.reason, waiting.tries) == (RunState.RUNNING, "429: slow down", 2)
    bench.reports.answers += [ReportPart(waits="429: slow down")] * MAX_TRIES
    for _ in range(MAX_TRIES - 2):
        waiting = await done(bench, run)
    assert (waiting.state, waiting.tries) == (RunState.FAILED, MAX_TRIES)
    assert await bench.registry.open_reconciliations() == []


async def test_a_refused_admin_credential_ends_it_at_once(bench: Bench) -> None:
    bench.reports.answers.append(ReportPart(refused="OpenAI (401): no"))
    ended = await done(bench, await bench.begin())
    assert (ended.state, ended.reason) == (RunState.FAILED, "OpenAI (401): no")


async def test_without_an_admin_credential_there_is_nothing_to_ask(bench: Bench) -> None:
    ended = await done(bench, await bench.begin("other"))
    assert (ended.state, bench.reports.asked) == (RunState.FAILED, [])


async def test_the_alarm_is_told_once_and_names_the_credential(bench: Bench) -> None:
    tokens = 10**9
    for _ in range(2):
        bench.answers(tokens)
        run = await done(bench, await bench.begin())
        assert run.leaks == ("cred_1",)
    ((detail_type, detail),) = bench.events.put_
    assert detail_type == "Credential Leak Suspected"
    assert (detail["account"], detail["credential_id"], detail["provider"]) == ("acme", "cred_1", "openai")
    leak = (await bench.registry.leaks("acme"))["cred_1"]
    assert (leak.version, leak.first, leak.last, leak.disabled) == (1, DAY, DAY, False)


async def test_platform_credentials_are_compared_over_all_accounts(bench: Bench) -> None:
    await bench.save("adm_2", PLATFORM_ACCOUNT)
    await bench.save("cred_9", PLATFORM_ACCOUNT, mask="sk-…zZ99")
    platform: dict[str, Any] = {"charge": 1, "hold": 1, "credential_id": "cred_9"}
    await bench.serve("acme", **platform)
    await bench.serve("other", **platform)
    await bench.serve("acme")
    line = ReportLine(DAY, "key_9", "gpt-4o-mini", Usage(input=2_000), 2)
    bench.reports.answers.append(ReportPart((line,), keys=(ProviderKey("key_9", "sk-...zZ99"),)))
    run = await done(bench, await bench.begin(PLATFORM_ACCOUNT))
    (row,) = (await bench.registry.rows(PLATFORM_ACCOUNT, run.id, limit=10)).rows
    assert (row.credential_id, row.unexplained_nanousd) == ("cred_9", 0)
    assert row.models[0].recorded_requests == 2


async def test_the_days_runs_are_of_the_last_days(bench: Bench) -> None:
    bench.now = datetime(2026, 11, 21, 5, 30, tzinfo=UTC)
    assert await bench.reconciling().begin_daily() == 1
    (run,) = await bench.registry.open_reconciliations()
    assert (run.first, run.last, run.account_id) == ("2026-11-18", "2026-11-20", "acme")


async def test_what_others_spend_on_a_shared_credential_is_recorded_too(bench: Bench) -> None:
    """Its owner's report has their requests; their records have the owner's credential."""
    await bench.registry.give_consent("acme", Consent("1", "digest", "ann", STAMP))
    lent = Donation("acme", "cred_1", 1, "rwd_1", 500)
    await bench.serve("other", charge=1, hold=1, credential_id="shared", donation=lent)
    await bench.serve("acme")
    bench.answers(2_000)
    run = await done(bench, await bench.begin())
    (row,) = (await bench.registry.rows("acme", run.id, limit=10)).rows
    assert (row.credential_id, row.unexplained_nanousd, row.models[0].recorded_requests) == ("cred_1", 0, 2)


async def test_a_shared_credential_is_none_of_the_platforms(bench: Bench) -> None:
    await bench.save("adm_2", PLATFORM_ACCOUNT)
    lent = Donation("acme", "cred_1", 1, "rwd_1", 500)
    await bench.serve("other", charge=1, hold=1, credential_id="shared", donation=lent)
    bench.reports.answers.append(ReportPart())
    run = await done(bench, await bench.begin(PLATFORM_ACCOUNT))
    assert (run.state, (await bench.registry.rows(PLATFORM_ACCOUNT, run.id, limit=10)).rows) == (RunState.DONE, ())
