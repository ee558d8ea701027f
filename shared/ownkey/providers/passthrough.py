"""What the translators share whose client and provider speak the same dialect: forward, and read on the way.

The body is the client's own text but for single members; a stream goes through event by event, and JSON is parsed only
for the events that say something about the answer as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ownkey.domain.errors import InvalidParameter, ProviderFailure, ProviderInvalidResponse, ProviderStreamBroken
from ownkey.providers.credentials import credential_headers
from ownkey.providers.document import REMOVED, Document, InvalidDocument
from ownkey.providers.failures import failure_in_answer
from ownkey.providers.sse import EventSplitter, data_of
from ownkey.providers.tokens import tokens_of
from ownkey.providers.translator import Call, Reading

GATEWAY_FIELDS = ("provider",)
"""Members of a request that are the gateway's to read: providers refuse fields they do not know."""
FOREIGN = "ownkey:"
"""How another maker's signature of its thoughts begins in a dialect's own field (`crossing.signatures`): who is passed
through to can neither read nor verify it."""

_DONE = b"[DONE]"
_KEPT_BYTES = 512 * 1024
"""Of a stream's events, for an estimate should it break; what comes beyond is taken to be like what came before."""


def request_headers(call: Call, forwarded: frozenset[str]) -> dict[str, str]:
    """The provider's headers but for the key: the row's, over them the client's own, over them the credential's."""
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if call.streamed else "application/json",
    }
    headers |= {name.lower(): value for name, value in call.provider.headers.items()}
    headers |= {name: value for name, value in call.client_headers.items() if name in forwarded}
    return headers | credential_headers(call.provider, call.credential_headers)


def rewritten(call: Call, changes: Mapping[str, Any]) -> bytes:
    """The client's body with the changes (`Document.edited`'s); untouched where they change nothing.

    Raises:
        InvalidParameter: as `unwritable` has it.
    """
    values = call.body.values
    changes = {name: value for name, value in changes.items() if values.get(name, REMOVED) != value}
    try:
        return call.body.edited(changes) if changes else call.body.raw
    except (ValueError, RecursionError):
        raise unwritable() from None


def unwritable() -> InvalidParameter:
    """The error for values that were read and cannot be written again: `1e999` is infinite to who reads it."""
    return InvalidParameter("The request has a number larger than any can be, or is nested too deeply.")


def parsed_answer(body: bytes) -> Document:
    """A whole answer's JSON.

    Raises:
        ProviderInvalidResponse: it is none.
        ProviderFailure: it is an error in spite of its status.
    """
    try:
        document = Document.parse(body)
    except InvalidDocument as e:
        raise ProviderInvalidResponse(f"The provider's answer cannot be read: {e.reason}.") from e
    if document.values.get("error"):
        raise failure_in_answer(document.values)
    return document


class Events(Protocol):
    """A dialect's share of a stream: which events to look at, and what they say."""

    terminator: bytes
    """What ends a stream in this dialect, for the client."""

    def stripped(self, events: bytes, /) -> bytes:
        """The events without what the client did not ask for, as far as that can be seen without parsing."""

    def tells(self, events: bytes, /) -> bool:
        """Whether any of the events says something of the answer as a whole, or is not as events should be."""

    def read(self, event: bytes, document: Document) -> bytes | None:
        """One event as it goes to the client (None: not at all); notes what it says in `reading`.

        Raises:
            ProviderFailure: by this event the provider breaks off, in other words than an `error`.
        """

    def starts(self, values: Mapping[str, Any], /) -> bool:
        """Whether this event is of the answer, so that with it the answer has begun."""

    def ends(self, values: Mapping[str, Any], /) -> bool:
        """Whether this event ends the stream."""

    def complete(self) -> bool:
        """Whether all of the answer has come, though its end was not said."""

    def text_of(self, values: Mapping[str, Any]) -> str:
        """The text that one event adds to the answer."""


class Scanner:
    """A `StreamDecoder`: splits, asks the dialect's `Events`, judges beginning and end."""

    __slots__ = (
        "_dialect",
        "_kept",
        "_kept_bytes",
        "_seen_bytes",
        "_splitter",
        "failure",
        "finished",
        "reading",
        "started",
    )

    def __init__(self, dialect: Events, reading: Reading) -> None:
        self.reading = reading
        self.started = False
        self.finished = False
        self.failure: ProviderFailure | None = None
        self._dialect = dialect
        self._splitter = EventSplitter()
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._seen_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Whole events, read where they say something; empty once the stream is finished or has failed."""
        if self.finished or self.failure:
            return b""
        try:
            events = self._splitter.feed(data)
        except ProviderInvalidResponse as e:
            self.failure = e
            return b""
        return self._passed(events) if events else b""

    def close(self, *, orderly: bool) -> bytes:
        """The last event, should only its blank line be missing, and the dialect's end where only that is missing."""
        if self.finished or self.failure:
            return b""
        last = self._last() if orderly else b""
        if self.finished or self.failure:
            return last
        if orderly and self._dialect.complete():
            self.finished = True
            return last + self._dialect.terminator
        self.failure = ProviderStreamBroken("The provider's stream stopped before its end.")
        return last

    def estimated_output_tokens(self) -> int:
        """Counted from the text of the events kept, stretched over those that were not."""
        events = (event for piece in self._kept for event in piece.split(b"\n\n"))
        tokens = tokens_of("".join(map(self._text_of, events)))
        return tokens * self._seen_bytes // self._kept_bytes if self._kept_bytes else tokens

    def _passed(self, events: bytes) -> bytes:
        events = self._dialect.stripped(events)
        if not self.started or self._dialect.tells(events):
            events = self._read_all(events)
        self._seen_bytes += len(events)
        if self._kept_bytes < _KEPT_BYTES:
            self._kept.append(events)
            self._kept_bytes += len(events)
        return events

    def _read_all(self, events: bytes) -> bytes:
        passed: list[bytes] = []
        for event in events.removesuffix(b"\n\n").split(b"\n\n"):
            # Each by itself, or what is read would depend on which events happened to come together.
            read = not self.started or self._dialect.tells(event + b"\n\n")
            kept = self._read(event) if read else event
            if kept is not None:
                passed += kept, b"\n\n"
            if self.finished or self.failure:
                break
        return b"".join(passed)

    def _read(self, event: bytes) -> bytes | None:
        data = data_of(event)
        if data is None:
            return event
        if data.strip() == _DONE:
            self.finished = True
            return event
        try:
            document = Document.parse(data)
        except InvalidDocument as e:
            self.failure = ProviderInvalidResponse(f"An event of the provider's stream cannot be read: {e.reason}.")
            return None
        if document.values.get("error"):
            self.failure = failure_in_answer(document.values)
            return None
        self.started = self.started or self._dialect.starts(document.values)
        self.finished = self._dialect.ends(document.values)
        try:
            return self._dialect.read(event, document)
        except ProviderFailure as e:
            self.failure = e
            return None

    def _last(self) -> bytes:
        rest = self._splitter.rest()
        data = data_of(rest)
        whole = data is not None and (data.strip() == _DONE or _is_json(data))
        return self._passed(rest) if whole else b""

    def _text_of(self, event: bytes) -> str:
        data = data_of(event)
        try:
            return self._dialect.text_of(Document.parse(data).values) if data else ""
        except InvalidDocument:
            return ""


def _is_json(data: bytes) -> bool:
    try:
        Document.parse(data)
    except InvalidDocument:
        return False
    return True


def texts_in(value: Any, names: frozenset[str]) -> str:
    """All strings that stand under one of the names, at any depth, joined."""
    if isinstance(value, Mapping):
        return "".join(
            each if isinstance(each, str) and name in names else texts_in(each, names) for name, each in value.items()
        )
    return "".join(texts_in(each, names) for each in value) if isinstance(value, list) else ""
