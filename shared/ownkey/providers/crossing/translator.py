"""A client's dialect and a provider's API, put together to a `Translator`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from ownkey.catalog import Model
from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, ProviderStreamBroken
from ownkey.domain.usage import Usage
from ownkey.providers.crossing.answer import (
    Answer,
    ArgumentsAdded,
    Begun,
    Counted,
    Ended,
    Event,
    PartBegun,
    TextAdded,
    text_of,
)
from ownkey.providers.crossing.call_ids import CallIds, with_own_ids
from ownkey.providers.crossing.conversation import Conversation
from ownkey.providers.crossing.sides import (
    ClientDialect,
    CountingApi,
    EventReader,
    EventWriter,
    ProviderApi,
)
from ownkey.providers.tokens import tokens_of
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

_CONVERSATION = "conversation"
_KEPT_CHARS = 512 * 1024
"""Of a stream's text, for an estimate should it break; what comes beyond is taken to be like what came before."""


class Crossing:
    """A `Translator` between two dialects, by way of what both mean."""

    def __init__(self, client: ClientDialect, api: ProviderApi) -> None:
        self._client = client
        self._api = api

    def encode_request(self, call: Call) -> Encoded:
        """The request in the API's dialect, with what was left out of it."""
        return self._api.write_request(call, _read(self._client, call))

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """The answer in the client's dialect."""
        conversation = _read(self._client, call)
        answer = with_own_ids(self._api.read_answer(call, body), conversation)
        reading = _reading_of(answer)
        written = self._client.write_answer(call, conversation, answer, annotate)
        return Whole(written, reading, {"text": text_of(answer)})

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Event by event."""
        conversation = _read(self._client, call)
        writer = self._client.writer(call, conversation, annotate)
        return CrossingDecoder(self._api.reader(call), writer, CallIds(conversation))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As the API tells it."""
        return self._api.decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """What `decode_whole` found."""
        return str(answer.get("text", ""))


class CrossingDecoder:
    """A `StreamDecoder`: the provider's events, in the client's dialect."""

    __slots__ = (
        "_chars",
        "_ids",
        "_kept",
        "_kept_chars",
        "_reader",
        "_writer",
        "failure",
        "finished",
        "reading",
        "started",
    )

    def __init__(self, reader: EventReader, writer: EventWriter, ids: CallIds) -> None:
        self._ids = ids
        self.reading = Reading()
        self.started = False
        self.finished = False
        self.failure: ProviderFailure | None = None
        self._reader = reader
        self._writer = writer
        self._kept: list[str] = []
        self._kept_chars = 0
        self._chars = 0

    def feed(self, data: bytes) -> bytes:
        """What the client gets of it; empty once the stream is finished or has failed."""
        return b"" if self.finished or self.failure else self._written(self._reader.feed(data))

    def close(self, *, orderly: bool) -> bytes:
        """What is left. Without the provider's own end the stream was cut."""
        if self.finished or self.failure:
            return b""
        last = self._written(self._reader.close(orderly=orderly))
        if not (self.finished or self.failure):
            self.failure = ProviderStreamBroken("The provider's stream stopped before its end.")
        return last

    def estimated_output_tokens(self) -> int:
        """Counted from the text kept, stretched over what was not."""
        tokens = tokens_of("".join(self._kept))
        return tokens * self._chars // self._kept_chars if self._kept_chars else tokens

    def _written(self, events: Iterable[Event]) -> bytes:
        pieces = []
        try:
            for event in events:
                self._note(event)
                if type(event) is PartBegun:
                    event = PartBegun(event.at, self._ids.of(event.part))
                pieces.append(self._writer.write(event))
                if self.finished:
                    break
        except ProviderFailure as failure:
            self.failure = failure
        return b"".join(pieces)

    def _note(self, event: Event) -> None:
        kind = type(event)
        if kind is TextAdded or kind is ArgumentsAdded:
            assert isinstance(event, TextAdded | ArgumentsAdded)
            self._chars += len(event.text)
            if self._kept_chars < _KEPT_CHARS:
                self._kept.append(event.text)
                self._kept_chars += len(event.text)
            return
        self.started = True
        match event:
            case Begun(id_, model):
                self.reading.response_id, self.reading.model = id_, model
            case Counted(usage, terms):
                self.reading.usage, self.reading.terms = usage, terms
            case Ended(finish, _, native):
                self.reading.finish_reason = native or finish.value
                self.finished = True
            case _:
                return


class CountingClient(Protocol):
    """A client's dialect that has a surface for counting tokens."""

    def read_request(self, values: Mapping[str, Any]) -> Conversation:
        """As `ClientDialect` has it."""

    def write_count(self, tokens: int) -> bytes:
        """The count's body."""


class CountCrossing:
    """A `Translator` for counting tokens: nothing is generated, nothing is charged, nothing is streamed."""

    def __init__(self, client: CountingClient, api: CountingApi) -> None:
        self._client = client
        self._api = api

    def encode_request(self, call: Call) -> Encoded:
        """The question in the API's dialect."""
        return self._api.write_count(call, _read(self._client, call))

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """The count in the client's dialect; nobody used it."""
        return Whole(self._client.write_count(self._api.read_count(body)), Reading(usage=Usage()), {})

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """There is none: `http.requests` refuses to stream a count."""
        raise ProviderInvalidResponse("The provider streams what has no stream.")

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As the API tells it."""
        return self._api.decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """Nothing was generated."""
        return ""


def _read(client: ClientDialect | CountingClient, call: Call) -> Conversation:
    """The call's conversation: read once, for the request and for its answer."""
    found = call.kept.get(_CONVERSATION)
    if found is None:
        found = call.kept[_CONVERSATION] = _within(client.read_request(call.body.values), call.model)
    assert isinstance(found, Conversation)
    return found


def _within(conversation: Conversation, model: Model | None) -> Conversation:
    """With no more to come out than the model can give: a client names one limit for models of many makers."""
    asked, most = conversation.max_output_tokens, model.max_output if model is not None else None
    return replace(conversation, max_output_tokens=most) if asked and most and asked > most else conversation


def _reading_of(answer: Answer) -> Reading:
    return Reading(
        usage=answer.usage,
        terms=answer.terms,
        finish_reason=answer.native_finish or answer.finish.value,
        response_id=answer.id,
        model=answer.model,
    )
