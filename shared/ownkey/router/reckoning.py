"""What one attempt came to: the usage that is recorded of it, its price, and the end of its record.

============================================== =============================================================
the answer came whole                          the provider's usage; without one, the input estimated and the output
                                               counted from its text
a stream came to its end, or to its finish     the provider's usage, if it was told
reason
a stream ended before that, for whatever       what the provider had told so far, and at least the output counted from
reason, on whoever's side                      the text that came; the input estimated where nothing was told
nothing of the answer had come                 the input, estimated, where the provider was left; nothing where it
                                               failed
============================================== =============================================================
All but the provider's own numbers are marked as estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ownkey.domain.attempts import AttemptEnd, AttemptStart, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ids import REWARD, new_id
from ownkey.domain.ledger import shard_of
from ownkey.domain.limits import Claim
from ownkey.domain.savings import NO_SAVINGS
from ownkey.domain.sharing import SHARED, SHARED_VERSION, Donation
from ownkey.domain.usage import Terms, Usage, UsageSource
from ownkey.providers import Reading, StreamDecoder, Whole, tokens_of
from ownkey.router import sizes
from ownkey.router.candidates import Candidate
from ownkey.router.job import Job
from ownkey.router.recorder import Recorder
from ownkey.router.sizes import SIZED
from ownkey.router.tariff import Bill, Tariff, annotation


@dataclass(frozen=True, slots=True)
class Used:
    """A usage, where it is from, and what else the answer said of itself."""

    usage: Usage = field(default_factory=Usage)
    source: UsageSource = UsageSource.NONE
    reading: Reading = field(default_factory=Reading)


NOTHING = Used()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of the exchange with the provider, for the record."""

    status: int | None
    """The provider's; None: it did not answer."""
    upstream_id: str | None
    latency_ms: int
    ttft_ms: int | None


class Reckoning:
    """Belongs to one attempt."""

    def __init__(self, job: Job, candidate: Candidate, tariff: Tariff, recorder: Recorder) -> None:
        self._job = job
        self._candidate = candidate
        self._tariff = tariff
        self._recorder = recorder
        self._billed: tuple[Usage, Terms, Bill] | None = None

    def annotate(self, usage: Usage, terms: Terms) -> Mapping[str, object]:
        """The members added to the answer's `usage`."""
        return annotation(self._bill(usage, terms), self._candidate.source, self._job.cost_mode)

    def of_whole(self, whole: Whole) -> Used:
        """Of an answer that came in one piece."""
        if whole.reading.usage is not None:
            return Used(whole.reading.usage, UsageSource.PROVIDER, whole.reading)
        text = self._candidate.translator.text_of_answer(whole.answer)
        usage = replace(self._recorder.start.estimated_usage, output=tokens_of(text))
        return Used(usage, UsageSource.ESTIMATED, whole.reading)

    def of_stream(self, decoder: StreamDecoder | None) -> Used:
        """Of a stream as far as it came; None: it had not begun, and the provider was left with the request."""
        estimate = self._recorder.start.estimated_usage
        if decoder is None:
            return Used(estimate, UsageSource.ESTIMATED)
        reading = decoder.reading
        if reading.usage is not None and (decoder.finished or reading.finish_reason):
            return Used(reading.usage, UsageSource.PROVIDER, reading)
        so_far = reading.usage or estimate
        generated = max(so_far.output_tokens, decoder.estimated_output_tokens())
        usage = replace(so_far, output=generated - (so_far.output_tokens - so_far.output))
        return Used(usage, UsageSource.ESTIMATED, reading)

    def end(self, outcome: Outcome, facts: Facts, used: Used = NOTHING, *, error_code: str | None = None) -> None:
        """Ends the record, unless it has ended."""
        usage, reading = used.usage, used.reading
        bill = self._bill(usage, reading.terms)
        self._recorder.write_end(
            AttemptEnd(
                outcome=outcome,
                ended_at=_rfc3339(datetime.now(UTC)),
                status=facts.status,
                usage=usage,
                usage_source=used.source if usage != Usage() else UsageSource.NONE,
                cost_nanousd=bill.cost_nanousd,
                charge_nanousd=bill.charge_nanousd,
                terms=self._tariff.applied(reading.terms),
                error_code=error_code,
                finish_reason=reading.finish_reason,
                upstream_id=facts.upstream_id or reading.response_id,
                response_model=reading.model,
                latency_ms=facts.latency_ms,
                ttft_ms=facts.ttft_ms,
                savings=self._tariff.saved(usage, reading.terms) if outcome is Outcome.SUCCEEDED else NO_SAVINGS,
            )
        )

    def _bill(self, usage: Usage, terms: Terms) -> Bill:
        """What the client was told is what is recorded: the same usage is billed once."""
        if self._billed is None or self._billed[:2] != (usage, terms):
            self._billed = (usage, terms, self._tariff.bill(usage, terms))
        return self._billed[2]


def intent(job: Job, candidate: Candidate, number: int, tariff: Tariff, claims: tuple[Claim, ...]) -> AttemptStart:
    """The record's beginning: all that is known before the provider answers, the worst case among it."""
    estimated = Usage(input=job.input_tokens)
    if job.surface in SIZED:
        estimated = sizes.estimated(job.surface, job.body, candidate.model, job.input_tokens)
    bill = tariff.bill(estimated)
    credential, lent = candidate.credential, candidate.lent
    start = AttemptStart(
        request=job.facts,
        number=number,
        provider_id=candidate.provider.id,
        model_id=candidate.model_id,
        source=candidate.source,
        credential_id=SHARED if lent else credential.id,
        credential_version=SHARED_VERSION if lent else credential.version,
        credential_alias=credential.alias,
        started_at=_rfc3339(tariff.at),
        expires_at_s=job.expires_at_s,
        estimated_usage=estimated,
        estimated_cost_nanousd=bill.cost_nanousd,
        estimated_charge_nanousd=bill.charge_nanousd,
        price_version=tariff.price_version,
        margin_percent=None if candidate.source is CredentialSource.BYOK else tariff.margin_percent,
        hold_nanousd=tariff.hold(job.body, candidate.model, job.input_tokens, job.surface),
        claims=claims,
        donation=_donation(job, candidate, tariff.at) if lent else None,
    )
    return replace(start, hold_shard=shard_of(start.attempt_id, job.credit_shards)) if start.hold_nanousd else start


def _donation(job: Job, candidate: Candidate, at: datetime) -> Donation:
    """Under an id of the hour, not of the moment: its owner may read it."""
    credential, hour_ms = candidate.credential, int(at.timestamp()) // 3_600 * 3_600_000
    reward_id = new_id(REWARD, hour_ms)
    return Donation(credential.account_id, credential.id, credential.version, reward_id, job.reward_basis_points)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
