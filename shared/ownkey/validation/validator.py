"""One live validation: open the candidate, send the provider's probe once, read the verdict, forget the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ownkey.catalog import Catalog, Form, Provider
from ownkey.catalog import Verdict as KeyVerdict
from ownkey.domain.errors import (
    CredentialsExhausted,
    CredentialUndecryptable,
    OwnkeyError,
    ProviderFailure,
    StoreUnavailable,
    UnsafeBaseUrl,
)
from ownkey.domain.ids import is_admin_credential
from ownkey.domain.scrub import scrub
from ownkey.domain.secrets import Secret
from ownkey.providers import ProbeAnswer, ProbeRequest, key_probe, read_probe
from ownkey.tokens import TokenBroker
from ownkey.upstream import Timeouts, Upstream, UpstreamFailure, UpstreamRequest
from ownkey.validation.candidate import Candidate, Finding, Verdict
from ownkey.validation.reports import ReportReader
from ownkey.vault import Opener

DEADLINE_S = 15.0
"""Of the 20 s that management waits: the rest is for starting up and for KMS."""
_TIMEOUTS = Timeouts(connect_s=4.0, first_byte_s=12.0, idle_s=5.0)
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""A provider's whole list of models; only the status of it counts."""
_MAX_REASON_CHARS = 500

_VERDICTS = {
    KeyVerdict.ACCEPTED: Verdict.ACCEPTED,
    # Genuine, short of a permission or of funds: it may be saved, and the reason becomes a warning.
    KeyVerdict.LIMITED: Verdict.ACCEPTED,
    KeyVerdict.REJECTED: Verdict.REJECTED,
    KeyVerdict.INCONCLUSIVE: Verdict.UNREACHABLE,
}


class Validator:
    """Validates candidates. Belongs to one event loop."""

    def __init__(
        self,
        opener: Opener,
        upstream: Upstream,
        catalog: Catalog,
        tokens: TokenBroker,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._opener = opener
        self._upstream = upstream
        self._catalog = catalog
        self._tokens = tokens
        self._reports = ReportReader(opener, upstream, catalog, now=now)
        self._now = now

    async def validate(self, candidate: Candidate) -> Finding:
        """Asks the candidate's provider, at most once; before that its token endpoint, where its form has one.

        Raises:
            KeyError: a provider or form that is not in the catalog.
            VaultUnavailable: KMS does not answer.
        """
        admin = is_admin_credential(candidate.binding.credential_id)
        provider = self._catalog.provider(candidate.binding.provider_id)
        try:
            sealed = candidate.sealed
            secret = {} if sealed is None else await self._opener.open(candidate.binding, sealed)
        except CredentialUndecryptable as e:
            return Finding(Verdict.UNDECRYPTABLE, e.message, fix=_fix(e))
        try:
            async with asyncio.timeout(DEADLINE_S):
                if admin:
                    status, answer = await self._reports.prove(candidate, secret)
                else:
                    status, answer = await self._prove(candidate, provider, provider.form(candidate.form), secret)
        except TimeoutError:
            return Finding(Verdict.UNREACHABLE, "the provider did not answer in time")
        except (UpstreamFailure, UnsafeBaseUrl) as e:
            return Finding(Verdict.UNREACHABLE, str(e))
        except CredentialsExhausted as e:
            return Finding(Verdict.REJECTED, _reason(e.message), _status(e), _fix(e))
        except (ProviderFailure, StoreUnavailable) as e:
            return Finding(Verdict.UNREACHABLE, _reason(e.message), _status(e), _fix(e))
        return Finding(_VERDICTS[answer.verdict], answer.reason and _reason(answer.reason), status)

    async def _prove(
        self, candidate: Candidate, provider: Provider, form: Form, secret: Mapping[str, Secret]
    ) -> tuple[int, ProbeAnswer]:
        binding = candidate.binding
        # Fresh: a token from before says nothing of the key that made it.
        fields = await self._tokens.present(
            provider,
            binding.credential_id,
            binding.version,
            binding.account_id,
            form,
            candidate.fields,
            secret,
            fresh=True,
        )
        # Only a seal binds a destination: what the function's own identity gets goes to the vendor, and nowhere else.
        destination = provider.address(form, candidate.fields) if form.keyless else binding.destination
        probe = key_probe(provider, form, destination, candidate.fields, fields, candidate.headers, self._now())
        return await self._ask(form, probe)

    async def _ask(self, form: Form, probe: ProbeRequest) -> tuple[int, ProbeAnswer]:
        request = UpstreamRequest(probe.method, probe.url, probe.headers, probe.body, _TIMEOUTS)
        async with await self._upstream.send(request) as response:
            body = await response.read(_MAX_ANSWER_BYTES)
            return response.status, read_probe(form, response.status, response.headers, body)


def _reason(said: str) -> str:
    return scrub(said)[:_MAX_REASON_CHARS]


def _fix(error: OwnkeyError) -> str | None:
    """What this failure alone says to do."""
    return None if error.fix == error.default_fix else error.fix


def _status(error: ProviderFailure | StoreUnavailable) -> int | None:
    status = error.details.get("provider_status")
    return status if isinstance(status, int) else None
