"""One use of one credential: opened, held, sent, read. Whatever happens, its record ends exactly once.

```
new ──begin()──▶ answered ──pour()──▶ over           begin() raises: the attempt is over, the next candidate's turn
                                finish()             ends what is still open, waits for the record
```
The intent is written while the provider is being called, the end after the client has its answer: neither delays it.
What the end says of usage and cost is `reckoning`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ownkey.domain.accounts import OnDisconnect
from ownkey.domain.attempts import Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import (
    CredentialsExhausted,
    OwnkeyError,
    ProviderAnswerTooLarge,
    ProviderFailure,
    ProviderInvalidResponse,
    ProviderStreamBroken,
    ProviderTimeout,
    ProviderUnreachable,
    StoreUnavailable,
    UnsafeBaseUrl,
    UnsupportedParameter,
)
from ownkey.domain.ledger import Hold
from ownkey.providers import AnswerKind, Call, Encoded, Reading, StreamDecoder, Whole, upstream_request_id
from ownkey.router.candidates import Candidate
from ownkey.router.job import Job, Limits, Served
from ownkey.router.limits import Allowance
from ownkey.router.ports import Ports
from ownkey.router.presenting import Presenting
from ownkey.router.reckoning import NOTHING, Facts, Reckoning, Used, intent
from ownkey.router.recorder import Recorder
from ownkey.router.tariff import Tariff
from ownkey.router.withheld import E, withheld
from ownkey.upstream import (
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)

_MAX_ERROR_BYTES = 256 * 1024


class ClientLeft(Exception):
    """Nobody waits for an answer any more, and the account's rule is not to wait for it either."""


class Attempt:
    """See the module. Belongs to one request and one event loop."""

    def __init__(
        self, job: Job, candidate: Candidate, number: int, ports: Ports, limits: Limits, allowance: Allowance
    ) -> None:
        self.candidate = candidate
        self.whole: Whole | None = None
        """The answer, where it came in one piece."""
        self.beginning = b""
        """Of a streamed answer: its events up to the first real one."""
        self.client_gone = False
        """Nobody reads on: see `client_left`."""
        self.numbered = False
        """Whether something stands under its number. One that got nowhere leaves the number to the next: records are
        counted as requests by their first."""
        self.sent = False
        """Whether the provider has been asked: a failure before says nothing of it."""
        self.error: OwnkeyError | None = None
        """Why there is no answer, with all that the provider said."""
        self.token_refused = False
        """Whether it did not take the token that the credential had been exchanged for: the next one may do."""
        self._job = job
        self._ports = ports
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._clock()
        self._tariff = Tariff.of(candidate, job.margin_percent, datetime.now(UTC))
        self._dropped: tuple[str, ...] = ()
        self._call = Call(
            body=job.body,
            client_headers=job.client_headers,
            provider=candidate.provider,
            model_id=candidate.model_id,
            base_url=candidate.base_url,
            credential_headers=candidate.credential.headers,
            beta=job.beta,
            model=candidate.model,
            fields=candidate.credential.fields,
            form=candidate.credential.form,
            own=candidate.source is CredentialSource.BYOK,
            asked_at_s=int(self._tariff.at.timestamp()),
        )
        self._kind = AnswerKind.EVENTS if self._call.streamed else AnswerKind.WHOLE
        self._presenting = Presenting(candidate, ports)
        self._allowance = allowance
        claims = allowance.claims(job, candidate, self._tariff)
        self._recorder = Recorder(ports.attempts, intent(job, candidate, number, self._tariff, claims))
        self._reckoning = Reckoning(job, candidate, self._tariff, self._recorder)
        self._response: UpstreamResponse | None = None
        self._decoder: StreamDecoder | None = None
        self._ttft_ms: int | None = None
        self._aborted = False
        self._patience: asyncio.Timeout | None = None
        """While the provider is being asked: how long that may take."""

    @property
    def id(self) -> str:
        """The attempt's id."""
        return self._recorder.start.attempt_id

    @property
    def served(self) -> Served:
        """For headers."""
        candidate = self.candidate
        alias, lent = candidate.credential.alias, candidate.lent
        return Served(candidate.provider.id, candidate.model_id, alias, candidate.source, lent, self._dropped)

    @property
    def upstream_headers(self) -> Mapping[str, str]:
        """The provider's response headers; none before it answered."""
        return self._response.headers if self._response else {}

    @property
    def reading(self) -> Reading:
        """What a streamed answer has said of itself by now."""
        assert self._decoder is not None
        return self._decoder.reading

    @property
    def content_type(self) -> str:
        """The answer's, once it has begun. Of a file it is the provider's own word, where that is sound."""
        if self.whole is not None:
            return self.whole.content_type
        if self.as_events:
            return "text/event-stream; charset=utf-8"
        told = self.upstream_headers.get("content-type", "")
        return told if told.startswith("audio/") else "application/octet-stream"

    @property
    def as_events(self) -> bool:
        """Whether the answer is a stream of events, which comments may stand between; else whole, or a file."""
        return self._kind is AnswerKind.EVENTS

    @property
    def complete(self) -> bool:
        """Whether all of an answer has come."""
        return self.whole is not None or (self._decoder is not None and self._decoder.finished)

    @property
    def _refused(self) -> bool:
        return self._response is not None and self._response.status >= 400

    async def begin(self) -> None:
        """Sends the request and waits for a whole answer, or for a stream's first event.

        Raises:
            OwnkeyError: there is no answer from this candidate.
            ClientLeft: nobody waits for it any more.
        """
        try:
            await self._begin()
        except OwnkeyError as error:
            self.error = error
            raise self._told(error) from None

    async def _begin(self) -> None:
        encoded = self._encoded()
        fields = await self._presenting.fields()
        await self._reserve()
        await self._place_hold()
        self.numbered = True
        self._recorder.write_intent()
        headers = encoded.headers | self._presenting.headers(encoded, fields, self._tariff.at)
        self._kind = encoded.answer or self._kind
        request = UpstreamRequest("POST", encoded.url, headers, encoded.body, self._timeouts())
        try:
            await self._exchange(request)
        except OwnkeyError as error:
            if isinstance(error, CredentialsExhausted):
                self.token_refused = self._presenting.forget()
            self._end(Outcome.REFUSED if self._refused else Outcome.FAILED, error_code=self._told(error).code)
            raise
        except (ClientLeft, asyncio.CancelledError):
            generating = self.sent and not self._refused
            self._end(Outcome.CANCELLED, self._reckoning.of_stream(self._decoder) if generating else NOTHING)
            raise
        self._ttft_ms = self._elapsed_ms()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """What follows the `beginning` of a streamed answer: whole events, ready for the client.

        Each is handed to `take` in the wake-up that brings it. Where `take` says to stop it returns True, and is to be
        called again; else False at the answer's end, which comes early where the provider is left because the client
        has gone.

        Raises:
            ProviderFailure: the provider broke off; what came before has been given.
        """
        decoder, response, flows = self._decoder, self._response, True
        assert decoder is not None
        assert response is not None

        def feed(data: bytes) -> bool:
            nonlocal flows
            passed = decoder.feed(data)
            if passed:
                flows = take(passed)
            return flows and not (decoder.finished or decoder.failure)

        late = asyncio.get_running_loop().call_at(self._job.deadline_s, self._close)
        try:
            while flows and not (decoder.finished or decoder.failure):
                if not await response.pour(feed) and (last := decoder.close(orderly=True)):
                    flows = take(last)
        except UpstreamFailure as failure:
            if self._aborted:
                return False
            decoder.close(orderly=False)
            decoder.failure = self._broken(failure)
        finally:
            late.cancel()
        if flows and decoder.failure:
            told = self._told(decoder.failure)
            told.details.setdefault("provider", self.candidate.provider.display_name)
            raise told
        return not flows

    def client_left(self) -> None:
        """The client has gone. By the account's rule the answer is read on, for the real usage and for whoever repeats
        the request, or the provider is left at once: then `begin` raises `ClientLeft`, or `pour` ends.
        """
        self.client_gone = True
        if self._job.on_disconnect is not OnDisconnect.ABORT or self.whole is not None:
            return
        self._aborted = True
        if self._patience is not None:
            if not self._patience.expired():
                self._patience.reschedule(self._clock())
        elif self._decoder is not None:
            self._close()

    async def finish(self) -> None:
        """Ends what is still open and waits until the record is written; gives the connection back."""
        self._end_answered()
        await self._read_tail()
        self._close()
        await self._recorder.written()

    # ── Sending

    def _encoded(self) -> Encoded:
        """The provider's request; what of the client's it lacks goes into the record and the headers."""
        encoded = self.candidate.translator.encode_request(self._call)
        if encoded.dropped and self._job.require_parameters:
            raise UnsupportedParameter(
                f"{self.candidate.provider.display_name} cannot express all of the request, and "
                "`provider.require_parameters` allows nothing to be left out.",
                fix="Leave these out, allow it, or choose a model whose provider has them.",
                param=encoded.dropped[0],
                details={"unsupported": list(encoded.dropped)},
            )
        self._dropped = encoded.dropped
        if encoded.dropped:
            self._recorder.start = replace(self._recorder.start, dropped=encoded.dropped)
        return encoded

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
        if self._aborted:
            raise ClientLeft
        try:
            async with asyncio.timeout_at(self._job.deadline_s) as self._patience:
                self.sent = True
                self._response = await self._ports.upstream.send(request)
                await self._read_beginning(self._response)
        except TimeoutError:
            if self._aborted:
                raise ClientLeft from None
            raise ProviderTimeout("The provider did not answer within this gateway's time.") from None
        except UnsafeBaseUrl as error:
            raise ProviderUnreachable(error.message, fix=error.fix) from None
        except UpstreamFailure as failure:
            message = f"{str(failure).capitalize()}."
            kind = next((error for cause, error in _ERRORS if isinstance(failure, cause)), ProviderInvalidResponse)
            raise kind(message) from None
        finally:
            self._patience = None

    async def _read_beginning(self, response: UpstreamResponse) -> None:
        translator = self.candidate.translator
        if not 200 <= response.status < 300:
            raise translator.decode_failure(response.status, response.headers, await _read_error(response))
        kind = response.headers.get("content-type", "")
        if self._kind is AnswerKind.EITHER:
            self._kind = AnswerKind.EVENTS if kind.startswith("text/event-stream") else AnswerKind.WHOLE
        if self._kind is AnswerKind.WHOLE:
            body = await response.read(self._limits.max_answer_bytes)
            self._close()
            self.whole = translator.decode_whole(self._call, body, self._reckoning.annotate)
            return
        if "json" in kind or "html" in kind:
            body = await response.read(self._limits.max_answer_bytes)
            translator.decode_whole(self._call, body, self._reckoning.annotate)
            raise ProviderInvalidResponse("The provider answered in one piece where a stream was asked for.")
        self._decoder = translator.decode_stream(self._call, self._reckoning.annotate)
        try:
            async with asyncio.timeout(self._limits.first_token_s):
                self.beginning = await _until_started(self._decoder, response)
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
        if self._response is None or self._decoder is None or not self._decoder.finished:
            return
        try:
            async with asyncio.timeout(self._limits.tail_s):
                while await self._response.next():
                    continue
        except (UpstreamFailure, TimeoutError):
            return  # the answer is complete; only the connection is lost

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()

    def _told(self, error: E) -> E:
        """What those who asked, and their account's records, learn of an error."""
        return withheld(error) if self.candidate.lent else error

    # ── Recording

    def _end_answered(self) -> None:
        """Ends the record of an attempt that answered; one that did not has ended already."""
        if not self._recorder.open:
            return
        if self.whole is not None:
            outcome = Outcome.CANCELLED if self.client_gone else Outcome.SUCCEEDED
            self._end(outcome, self._reckoning.of_whole(self.whole))
        elif self._decoder is not None:
            self._end_stream(self._decoder)
        else:
            self._end(Outcome.FAILED, error_code=OwnkeyError.code)

    def _end_stream(self, decoder: StreamDecoder) -> None:
        if self.client_gone or not (decoder.finished or decoder.failure):
            outcome = Outcome.CANCELLED
        else:
            outcome = Outcome.SUCCEEDED if decoder.finished else Outcome.BROKEN
        code = self._told(decoder.failure).code if decoder.failure else None
        self._end(outcome, self._reckoning.of_stream(decoder), error_code=code)

    def _end(self, outcome: Outcome, used: Used = NOTHING, *, error_code: str | None = None) -> None:
        facts = Facts(
            status=self._response.status if self._response else None,
            upstream_id=upstream_request_id(self.upstream_headers),
            latency_ms=self._elapsed_ms(),
            ttft_ms=self._ttft_ms,
        )
        self._reckoning.end(outcome, facts, used, error_code=error_code)

    def _elapsed_ms(self) -> int:
        return round((self._clock() - self._began_s) * 1000)


_ERRORS: tuple[tuple[type[UpstreamFailure], type[ProviderFailure]], ...] = (
    (UpstreamUnreachable, ProviderUnreachable),
    (UpstreamTimeout, ProviderTimeout),
    (UpstreamTooLarge, ProviderAnswerTooLarge),
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


async def _until_started(decoder: StreamDecoder, response: UpstreamResponse) -> bytes:
    """The events up to the first real one.

    Raises:
        ProviderFailure: there is none.
    """
    held = b""
    while not (decoder.started or decoder.finished or decoder.failure):
        data = await response.next()
        held += decoder.feed(data) if data else decoder.close(orderly=True)
    if not decoder.started:
        raise decoder.failure or ProviderInvalidResponse("The provider's stream is empty.")
    return held
