"""One live validation: open the candidate, send the provider's probe once, read the verdict, forget the answer."""

from __future__ import annotations

import asyncio

from ownkey.catalog import Catalog, Provider
from ownkey.catalog import Verdict as KeyVerdict
from ownkey.domain.errors import CredentialUndecryptable, UnsafeBaseUrl
from ownkey.domain.scrub import scrub
from ownkey.providers import ProbeAnswer, ProbeRequest, key_probe, read_probe
from ownkey.upstream import Timeouts, Upstream, UpstreamFailure, UpstreamRequest
from ownkey.validation.candidate import Candidate, Finding, Verdict
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

    def __init__(self, opener: Opener, upstream: Upstream, catalog: Catalog) -> None:
        self._opener = opener
        self._upstream = upstream
        self._catalog = catalog

    async def validate(self, candidate: Candidate) -> Finding:
        """Asks the candidate's provider, at most once.

        Raises:
            KeyError: a provider that is not in the catalog.
            VaultUnavailable: KMS does not answer.
        """
        provider = self._catalog.provider(candidate.binding.provider_id)
        try:
            sealed = candidate.sealed
            fields = {} if sealed is None else await self._opener.open(candidate.binding, sealed)
        except CredentialUndecryptable as e:
            return Finding(Verdict.UNDECRYPTABLE, e.message)
        # A few providers prove keys at another address of theirs: only for a key that is sealed for their own.
        own = candidate.binding.destination == provider.base_url
        probe = key_probe(provider, None if own else candidate.binding.destination, fields, candidate.headers)
        try:
            async with asyncio.timeout(DEADLINE_S):
                status, answer = await self._ask(provider, probe)
        except TimeoutError:
            return Finding(Verdict.UNREACHABLE, "the provider did not answer in time")
        except (UpstreamFailure, UnsafeBaseUrl) as e:
            return Finding(Verdict.UNREACHABLE, str(e))
        reason = answer.reason and scrub(answer.reason)[:_MAX_REASON_CHARS]
        return Finding(_VERDICTS[answer.verdict], reason, status)

    async def _ask(self, provider: Provider, probe: ProbeRequest) -> tuple[int, ProbeAnswer]:
        request = UpstreamRequest(probe.method, probe.url, probe.headers, probe.body, _TIMEOUTS)
        async with await self._upstream.send(request) as response:
            body = await response.read(_MAX_ANSWER_BYTES)
            return response.status, read_probe(provider, response.status, body)
