"""One use of one credential: opened, held, sent, judged, recorded. Whatever happens, its record ends exactly once.

```
new ──begin()──▶ answered ──pieces()──▶ over         begin() raises: the attempt is over, the next candidate's turn
                                finish()             ends what is still open, waits for the record
```
The intent is written while the provider is being called, the end after the client has its answer: neither delays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ownkey.domain.attempts import AttemptEnd, AttemptStart, Outcome
from ownkey.domain.errors import (
    CredentialsExhausted,
    OwnkeyError,
    ProviderFailure,
    ProviderInvalidResponse,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    StoreUnavailable,
    UnsafeBaseUrl,
)
from ownkey.domain.ledger import Hold, shard_of
from ownkey.domain.limits import Claim
from ownkey.domain.savings import NO_SAVINGS
from ownkey.domain.secrets import Secret
from ownkey.domain.usage import Terms, Usage, UsageSource
from ownkey.providers import Call, Encoded, Reading, StreamDecoder, Whole, authorize, tokens_of, upstream_request_id
from ownkey.router.candidates import Candidate
from ownkey.router.job import Job, Limits, Served
from ownkey.router.limits import Allowance
from ownkey.router.ports import Ports
from ownkey.router.recorder import Recorder
from ownkey.router.tariff import Bill, Tariff, annotation
from ownkey.upstream import (
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_MAX_ERROR_BYTES = 256 * 1024


class Attempt:
    """See the module. Belongs to one request and one event loop."""

    def __init__(
        self, job: Job, candidate: Candidate, number: int, ports: Ports, limits: Limits, allowance: Allowance
    ) -> None:
        self.candidate = candidate
        self.whole: Whole | None = None
        """The answer, where it came in one piece."""
        self.client_gone = False
        """Set from outside: nobody reads on. Read on all the same, for the real usage."""
        self.numbered = False
        """Whether something stands under its number. One that got nowhere leaves the number to the next: records are
        counted as requests by their first."""
        self.sent = False
        """Whether the provider has been asked: a failure before says nothing of it."""
        self.token_refused = False
        """Whether it did not take the token that the credential had been exchanged for: the next one may do."""
        self._job = job
        self._ports = ports
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._clock()
        self._tariff = Tariff.of(candidate, job.margin_percent, datetime.now(UTC))
        self._call = Call(
            body=job.body,
            client_headers=job.client_headers,
            provider=candidate.provider,
            model_id=candidate.model_id,
            base_url=candidate.base_url,
            credential_headers=candidate.credential.headers,
            beta=job.beta,
        )
        self._allowance = allowance
        claims = allowance.claims(job, candidate, self._tariff)
        self._recorder = Recorder(ports.attempts, _intent(job, candidate, number, self._tariff, claims))
        self._response: UpstreamResponse | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder: StreamDecoder | None = None
        self._held = b""
        self._ttft_ms: int | None = None
        self._billed: tuple[Usage, Terms, Bill] | None = None

    @property
    def id(self) -> str:
        """The attempt's id."""
        return self._recorder.start.attempt_id

    @property
    def served(self) -> Served:
        """For headers."""
        candidate = self.candidate
        return Served(candidate.provider.id, candidate.model_id, candidate.credential.alias, candidate.source)

    @property
    def upstream_headers(self) -> Mapping[str, str]:
        """The provider's response headers; none before it answered."""
        return self._response.headers if self._response else {}

    async def begin(self) -> None:
        """Sends the request and waits for a whole answer, or for a stream's first event.

        Raises:
            OwnkeyError: there is no answer from this candidate.
        """
        fields = await self._presented()
        encoded = self.candidate.translator.encode_request(self._call)
        await self._reserve()
        await self._place_hold()
        self.numbered = True
        self._recorder.write_intent()
        headers = encoded.headers | self._authorization(encoded, fields)
        request = UpstreamRequest("POST", encoded.url, headers, encoded.body, self._timeouts())
        try:
            await self._exchange(request)
        except OwnkeyError as error:
            answered = self._response is not None and self._response.status >= 400
            if isinstance(error, CredentialsExhausted) and self.candidate.form.scheme.exchanges:
                self._forget_token()
            self._end(Outcome.REFUSED if answered else Outcome.FAILED, error_code=error.code)
            raise
        except asyncio.CancelledError:
            self._end(Outcome.CANCELLED, self._recorder.start.estimated_usage, UsageSource.ESTIMATED)
            raise
        self._ttft_ms = self._elapsed_ms()

    async def pieces(self) -> AsyncIterator[bytes]:
        """A streamed answer: whole events, ready for the client.

        Raises:
            ProviderFailure: the provider broke off; what came before has been given.
        """
        decoder, chunks = self._decoder, self._chunks
        assert decoder is not None
        assert chunks is not None
        yield self._held
        late = asyncio.get_running_loop().call_at(self._job.deadline_s, self._close)
        try:
            while not (decoder.finished or decoder.failure):
                data = await anext(chunks, None)
                passed = decoder.close(orderly=True) if data is None else decoder.feed(data)
                if passed:
                    yield passed
        except UpstreamFailure as failure:
            decoder.close(orderly=False)
            decoder.failure = self._broken(failure)
        finally:
            late.cancel()
        if decoder.failure:
            decoder.failure.details.setdefault("provider", self.candidate.provider.display_name)
            raise decoder.failure

    async def finish(self) -> None:
        """Ends what is still open and waits until the record is written; gives the connection back."""
        self._end_answered()
        await self._read_tail()
        self._close()
        await self._recorder.written()

    # ── Sending

    async def _presented(self) -> Mapping[str, Secret]:
        """The secret's fields, after the exchange where the credential's form asks for one."""
        candidate, credential, ports = self.candidate, self.candidate.credential, self._ports
        sealed = candidate.stored.sealed
        secret = {} if sealed is None else await ports.vault.open(credential.binding(), sealed)
        form, account_id = candidate.form, credential.account_id
        return await ports.tokens.present(
            candidate.provider, credential.id, credential.version, account_id, form, credential.fields, secret
        )

    def _authorization(self, encoded: Encoded, fields: Mapping[str, Secret]) -> dict[str, str]:
        """The headers that authorise the request: the one place where a secret stands in a request."""
        return authorize(
            self.candidate.form,
            fields,
            method="POST",
            url=encoded.url,
            headers=encoded.headers,
            body=encoded.body,
            region=self.candidate.credential.fields.get("region"),
            now=self._tariff.at,
            auth=encoded.auth,
        )

    def _forget_token(self) -> None:
        self.token_refused = True
        credential = self.candidate.credential
        self._ports.tokens.forget(credential.account_id, credential.id, credential.version)

    async def _reserve(self) -> None:
        start = self._recorder.start
        if not start.claims:
            return
        try:
            self._recorder.start = await self._allowance.reserve(start)
        except StoreUnavailable:
            self.numbered = True  # the reservation may stand all the same
            raise

    async def _place_hold(self) -> None:
        start = self._recorder.start
        if not start.hold_nanousd:
            return
        hold = Hold(
            start.request.account_id, start.attempt_id, start.hold_nanousd, start.expires_at_s, start.hold_shard
        )
        try:
            await self._ports.holds.place(hold)
        except StoreUnavailable:
            self.numbered = True  # the hold may stand all the same
            await self._allowance.give_back()
            raise
        except OwnkeyError:
            await self._allowance.give_back()
            raise

    async def _exchange(self, request: UpstreamRequest) -> None:
        """Sends and reads as far as the answer can still be another candidate's; every failure as one of our tree."""
        try:
            async with asyncio.timeout_at(self._job.deadline_s):
                self.sent = True
                self._response = await self._ports.upstream.send(request)
                await self._read_beginning(self._response)
        except TimeoutError:
            raise ProviderTimeout("The provider did not answer within this gateway's time.") from None
        except UnsafeBaseUrl as error:
            raise ProviderUnreachable(error.message, fix=error.fix) from None
        except UpstreamFailure as failure:
            message = f"{str(failure).capitalize()}."
            kind = next((error for cause, error in _ERRORS if isinstance(failure, cause)), ProviderInvalidResponse)
            raise kind(message) from None

    async def _read_beginning(self, response: UpstreamResponse) -> None:
        translator = self.candidate.translator
        if not 200 <= response.status < 300:
            raise translator.decode_failure(response.status, response.headers, await _read_error(response))
        if not self._call.streamed:
            body = await response.read(self._limits.max_answer_bytes)
            self._close()
            self.whole = translator.decode_whole(body, self._annotate)
            return
        kind = response.headers.get("content-type", "")
        if "json" in kind or "html" in kind:
            translator.decode_whole(await response.read(self._limits.max_answer_bytes), self._annotate)
            raise ProviderInvalidResponse("The provider answered in one piece where a stream was asked for.")
        self._chunks = response.chunks()
        self._decoder = translator.decode_stream(self._call, self._annotate)
        try:
            async with asyncio.timeout(self._limits.first_token_s):
                self._held = await _until_started(self._decoder, self._chunks)
        except TimeoutError:
            raise ProviderTimeout("The provider did not begin to answer in time.") from None

    def _timeouts(self) -> Timeouts:
        model, limits = self.candidate.model, self._limits
        left_s = max(0.1, self._job.deadline_s - self._clock())
        if not self._call.streamed:
            return Timeouts(limits.connect_s, min(limits.whole_s, left_s), min(limits.whole_s, left_s))
        reasons = model is None or "reasoning" in model.capabilities
        idle_s = limits.first_token_s if reasons else limits.idle_s
        return Timeouts(limits.connect_s, min(limits.first_token_s, left_s), min(idle_s, left_s))

    def _broken(self, failure: UpstreamFailure) -> ProviderFailure:
        if self._clock() >= self._job.deadline_s:
            return ProviderTimeout("The answer took longer than this gateway's time.")
        if isinstance(failure, UpstreamTimeout):
            return ProviderTimeout("The provider fell silent in the middle of its answer.")
        return ProviderStreamBroken("The provider's stream stopped before its end.")

    async def _read_tail(self) -> None:
        """What follows the last event is the body's end; with it read, the connection can be used again."""
        if self._chunks is None or self._decoder is None or not self._decoder.finished:
            return
        try:
            async with asyncio.timeout(self._limits.tail_s):
                async for _ in self._chunks:
                    continue
        except (UpstreamFailure, TimeoutError):
            return  # the answer is complete; only the connection is lost

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()

    # ── Recording

    def _end_answered(self) -> None:
        """Ends the record of an attempt that answered; one that did not has ended already."""
        if not self._recorder.open:
            return
        if self.whole is not None:
            usage, source = self._usage_of_whole(self.whole)
            outcome = Outcome.CANCELLED if self.client_gone else Outcome.SUCCEEDED
            self._end(outcome, usage, source, reading=self.whole.reading)
        elif self._decoder is not None:
            self._end_stream(self._decoder)
        else:
            self._end(Outcome.FAILED, error_code=OwnkeyError.code)

    def _end_stream(self, decoder: StreamDecoder) -> None:
        reading, estimate = decoder.reading, self._recorder.start.estimated_usage
        if reading.usage is not None and (decoder.finished or reading.finish_reason):
            usage, source = reading.usage, UsageSource.PROVIDER
        else:
            so_far = reading.usage or estimate
            generated = max(so_far.output_tokens, decoder.estimated_output_tokens())
            usage = replace(so_far, output=generated - (so_far.output_tokens - so_far.output))
            source = UsageSource.ESTIMATED
        if self.client_gone or not (decoder.finished or decoder.failure):
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.SUCCEEDED if decoder.finished else Outcome.BROKEN
        code = decoder.failure.code if decoder.failure else None
        self._end(outcome, usage, source, reading=reading, error_code=code)

    def _usage_of_whole(self, whole: Whole) -> tuple[Usage, UsageSource]:
        if whole.reading.usage is not None:
            return whole.reading.usage, UsageSource.PROVIDER
        text = self.candidate.translator.text_of_answer(whole.answer)
        return replace(self._recorder.start.estimated_usage, output=tokens_of(text)), UsageSource.ESTIMATED

    def _end(
        self,
        outcome: Outcome,
        usage: Usage | None = None,
        source: UsageSource = UsageSource.NONE,
        *,
        reading: Reading | None = None,
        error_code: str | None = None,
    ) -> None:
        usage, reading = usage or Usage(), reading or Reading()
        bill = self._bill(usage, reading.terms)
        self._recorder.write_end(
            AttemptEnd(
                outcome=outcome,
                ended_at=_rfc3339(datetime.now(UTC)),
                status=self._response.status if self._response else None,
                usage=usage,
                usage_source=source if usage != Usage() else UsageSource.NONE,
                cost_nanousd=bill.cost_nanousd,
                charge_nanousd=bill.charge_nanousd,
                error_code=error_code,
                finish_reason=reading.finish_reason,
                upstream_id=upstream_request_id(self.upstream_headers) or reading.response_id,
                response_model=reading.model,
                latency_ms=self._elapsed_ms(),
                ttft_ms=self._ttft_ms,
                savings=self._tariff.saved(usage, reading.terms) if outcome is Outcome.SUCCEEDED else NO_SAVINGS,
            )
        )

    def _annotate(self, usage: Usage, terms: Terms) -> Mapping[str, object]:
        return annotation(self._bill(usage, terms), self.candidate.source, self._job.cost_mode)

    def _bill(self, usage: Usage, terms: Terms) -> Bill:
        """What the client was told is what is recorded: the same usage is billed once."""
        if self._billed is None or self._billed[:2] != (usage, terms):
            self._billed = (usage, terms, self._tariff.bill(usage, terms))
        return self._billed[2]

    def _elapsed_ms(self) -> int:
        return round((self._clock() - self._began_s) * 1000)


_ERRORS: tuple[tuple[type[UpstreamFailure], type[ProviderFailure]], ...] = (
    (UpstreamUnreachable, ProviderUnreachable),
    (UpstreamTimeout, ProviderTimeout),
)
"""What a failure of the transport is before the answer has begun; any other is an answer cut short."""


async def _read_error(response: UpstreamResponse) -> bytes:
    """As much of an error's body as is worth reading; one that breaks off is an error all the same."""
    body = b""
    try:
        async for data in response.chunks():
            body += data
            if len(body) > _MAX_ERROR_BYTES:
                break
    except UpstreamFailure:
        return body
    return body


async def _until_started(decoder: StreamDecoder, chunks: AsyncIterator[bytes]) -> bytes:
    """The events up to the first real one.

    Raises:
        ProviderFailure: there is none.
    """
    held = b""
    while not (decoder.started or decoder.finished or decoder.failure):
        data = await anext(chunks, None)
        held += decoder.close(orderly=True) if data is None else decoder.feed(data)
    if not decoder.started:
        raise decoder.failure or ProviderInvalidResponse("The provider's stream is empty.")
    return held


def _intent(job: Job, candidate: Candidate, number: int, tariff: Tariff, claims: tuple[Claim, ...]) -> AttemptStart:
    estimated = Usage(input=job.input_tokens)
    bill = tariff.bill(estimated)
    credential = candidate.credential
    start = AttemptStart(
        request=job.facts,
        number=number,
        provider_id=candidate.provider.id,
        model_id=candidate.model_id,
        source=candidate.source,
        credential_id=credential.id,
        credential_version=credential.version,
        credential_alias=credential.alias,
        started_at=_rfc3339(tariff.at),
        expires_at_s=job.expires_at_s,
        estimated_usage=estimated,
        estimated_cost_nanousd=bill.cost_nanousd,
        estimated_charge_nanousd=bill.charge_nanousd,
        price_version=tariff.price_version,
        hold_nanousd=tariff.hold(job.body, candidate.model, job.input_tokens) if job.input_tokens else 0,
        claims=claims,
    )
    return replace(start, hold_shard=shard_of(start.attempt_id, job.credit_shards)) if start.hold_nanousd else start


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
