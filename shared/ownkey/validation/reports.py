"""Reading a provider's own report of usage with an admin credential, which this function alone opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

from ownkey.catalog import Catalog, Form, Provider, Verdict
from ownkey.domain.errors import CredentialUndecryptable, UnsafeBaseUrl
from ownkey.domain.reconciliation import Charge, ProviderKey, ReportLine
from ownkey.domain.scrub import scrub
from ownkey.domain.secrets import Secret
from ownkey.providers import ProbeAnswer, authorize, read_probe
from ownkey.providers.credentials import credential_headers
from ownkey.providers.reports import Period, Question, Report, UnreadableReport, report_of
from ownkey.upstream import Timeouts, Upstream, UpstreamFailure, UpstreamRequest
from ownkey.validation.candidate import Candidate
from ownkey.validation.report_parts import ReportAsk, ReportPart
from ownkey.vault import Opener

BUDGET_S = 10.0
"""Of one invocation, which has 20 s: then it says where to go on."""
_QUESTION_S = 8.0
_MAX_PAGES = 20
_MAX_LINES = 8_000
"""Of one answer: some 2 MB, where Lambda takes 6."""
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MAX_REASON_CHARS = 500
_TIMEOUTS = Timeouts(connect_s=4.0, first_byte_s=_QUESTION_S, idle_s=5.0)


class _Stopped(Exception):
    """The provider did not give the page: why, and whether it is of the credential."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class ReportReader:
    """Reads reports. Belongs to one event loop."""

    def __init__(
        self,
        opener: Opener,
        upstream: Upstream,
        catalog: Catalog,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._upstream = upstream
        self._catalog = catalog
        self._now = now
        self._monotonic = monotonic

    async def read(self, ask: ReportAsk) -> ReportPart:
        """Pages of the report, as many as there is time for; at least one.

        Raises:
            KeyError: a provider, form or report that is not in the catalog.
            VaultUnavailable: KMS does not answer.
        """
        report, provider, form = self._of(ask.candidate)
        period = Period(date.fromisoformat(ask.first), date.fromisoformat(ask.last))
        give_up_at, place = self._monotonic() + BUDGET_S, ask.place or dict(report.first)
        lines, charges, keys = list[ReportLine](), list[Charge](), list[ProviderKey]()
        try:
            secret = await self._open(ask.candidate)
            for _ in range(_MAX_PAGES):
                body = await self._page(ask.candidate, provider, form, secret, report.question(place, period))
                answered = report.read(place, body)
                lines += answered.lines
                charges += answered.charges
                keys += answered.keys
                following = answered.place
                full = len(lines) + len(charges) + len(keys) >= _MAX_LINES
                if following is None or full or self._monotonic() >= give_up_at:
                    return ReportPart(tuple(lines), tuple(charges), tuple(keys), following)
                place = following
            return ReportPart(tuple(lines), tuple(charges), tuple(keys), place)
        except _Stopped as e:
            return ReportPart(refused=str(e)) if e.refused else ReportPart(waits=str(e))
        except UnreadableReport as e:
            return ReportPart(waits=f"{provider.display_name}: {e}")

    async def prove(self, candidate: Candidate, secret: Mapping[str, Secret]) -> tuple[int, ProbeAnswer]:
        """Whether the credential may read the report: its first question, of yesterday alone.

        Raises:
            UpstreamFailure, UnsafeBaseUrl, TimeoutError: nothing was learned.
        """
        report, provider, form = self._of(candidate)
        yesterday = self._now().astimezone(UTC).date() - timedelta(days=1)
        question = report.question(dict(report.first), Period(yesterday, yesterday))
        status, headers, body = await self._ask(candidate, provider, form, secret, question)
        return status, read_probe(form, status, headers, body)

    def _of(self, candidate: Candidate) -> tuple[Report, Provider, Form]:
        provider = self._catalog.provider(candidate.binding.provider_id)
        if provider.report is None:
            raise KeyError(f"{provider.id} has no report")
        report, shaped = report_of(provider.report.api), provider.for_reports()
        return report, shaped, shaped.form(candidate.form)

    async def _open(self, candidate: Candidate) -> Mapping[str, Secret]:
        if candidate.sealed is None:
            raise _Stopped("there is no secret", refused=True)
        try:
            return await self._opener.open(candidate.binding, candidate.sealed)
        except CredentialUndecryptable as e:
            raise _Stopped(e.message, refused=True) from e

    async def _page(
        self, candidate: Candidate, provider: Provider, form: Form, secret: Mapping[str, Secret], question: Question
    ) -> bytes:
        try:
            async with asyncio.timeout(_QUESTION_S):
                status, headers, body = await self._ask(candidate, provider, form, secret, question)
        except TimeoutError as e:
            raise _Stopped("the provider did not answer in time", refused=False) from e
        except (UpstreamFailure, UnsafeBaseUrl) as e:
            raise _Stopped(str(e), refused=False) from e
        if status == 200:
            return body
        probe = read_probe(form, status, headers, body)
        said = scrub(probe.reason or "no reason")[:_MAX_REASON_CHARS]
        raise _Stopped(f"{provider.display_name} ({status}): {said}", refused=probe.verdict is Verdict.REJECTED)

    async def _ask(
        self, candidate: Candidate, provider: Provider, form: Form, secret: Mapping[str, Secret], question: Question
    ) -> tuple[int, Mapping[str, str], bytes]:
        url = candidate.binding.destination + question.path
        sent = {
            "accept": "application/json",
            **{name.lower(): value for name, value in provider.headers.items()},
            **credential_headers(provider, candidate.headers),
            **question.headers,
        }
        authorized = authorize(
            form,
            secret,
            method=question.method,
            url=url,
            headers=sent,
            body=question.body,
            region=candidate.fields.get("region"),
            now=self._now(),
        )
        request = UpstreamRequest(question.method, url, sent | authorized, question.body, _TIMEOUTS)
        async with await self._upstream.send(request) as response:
            return response.status, response.headers, await response.read(_MAX_ANSWER_BYTES)
