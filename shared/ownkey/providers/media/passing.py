"""What the surfaces share whose answers are no conversation: the client's body goes on, the answer is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.domain.usage import Usage
from ownkey.providers.address import Address, Plain, passed_on
from ownkey.providers.counts import string
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.failures import decode_failure
from ownkey.providers.media.billed import billable
from ownkey.providers.openai.departures import departed
from ownkey.providers.passthrough import GATEWAY_FIELDS, parsed_answer
from ownkey.providers.sse import with_data
from ownkey.providers.translator import Annotate, AnswerKind, Call, Encoded, Reading, StreamDecoder, Whole

_FORWARDED_HEADERS = frozenset({"openai-beta"})

ReadUsage = Callable[[Call, Mapping[str, Any]], Usage | None]
"""An answer's, or an event's, own word on what was used."""


class Passing(ABC):
    """A JSON request and a JSON answer. Subclasses say where it goes and how usage is read."""

    path: ClassVar[str]

    def __init__(self, address: Address | None = None) -> None:
        self._address = address or Plain(f"/{self.path}", _FORWARDED_HEADERS)

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's, with the provider's names."""
        provider = call.provider
        otherwise = departed(call.body.values, provider.parameters_of(call.model_id), provider.display_name)
        changes = {**dict.fromkeys(GATEWAY_FIELDS, REMOVED), **otherwise.changes, **self.changes(call)}
        encoded = passed_on(self._address, call, changes, otherwise.dropped)
        return replace(encoded, answer=self.answer(call))

    def changes(self, call: Call) -> dict[str, Any]:
        """Of the client's body, whatever the address and the provider's row demand."""
        return {}

    def answer(self, call: Call) -> AnswerKind:
        """How it will come."""
        return AnswerKind.WHOLE

    @abstractmethod
    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """What an answer says was used."""

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """The answer, its `usage` annotated where it has one."""
        document = parsed_answer(body)
        reading = Reading()
        note(reading, call, document.values, self.usage)
        changes = self.annotated(call, document, reading, annotate)
        return Whole(document.edited(changes) if changes else body, reading, document.values)

    def annotated(self, call: Call, document: Document, reading: Reading, annotate: Annotate) -> dict[str, Any]:
        """The changes of an answer: it tells its cost."""
        return annotation(document, reading, annotate)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """There is no stream of it."""
        raise ProviderInvalidResponse("The provider streams what has no stream.")

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """Whatever a compatible provider sends."""
        return decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """None: no tokens are generated."""
        return ""


def for_own_keys(call: Call, name: str, why: str) -> None:
    """Refuses what may not be asked by a credential that is not the account's own.

    Raises:
        UnsupportedParameter: it is not.
    """
    if not call.own:
        raise UnsupportedParameter(
            f"`{name}` cannot be served by a key that is not yours: {why}.",
            fix="Leave it out, or save a key of your own.",
            param=name,
            details={"unsupported": [name]},
        )


def note(reading: Reading, call: Call, values: Mapping[str, Any], usage: ReadUsage) -> None:
    """What an answer says of itself."""
    reading.response_id = string(values.get("id")) or reading.response_id
    reading.model = string(values.get("model")) or reading.model
    reading.usage = billable(call.model, usage(call, values)) or reading.usage


def annotation(document: Document, reading: Reading, annotate: Annotate) -> dict[str, Any]:
    """The change that tells the cost in an answer's own `usage`."""
    usage = document.values.get("usage")
    if not isinstance(usage, dict) or reading.usage is None:
        return {}
    return {"usage": {**usage, **annotate(reading.usage, reading.terms)}}


class LastEvent:
    """`Events` of a stream whose last event, by its `type`, has the usage; no `[DONE]` need follow.

    Args:
        last: That type.
        text: The member of the others that has text, where they have some.
    """

    terminator = b""

    def __init__(self, call: Call, annotate: Annotate, usage: ReadUsage, last: str, text: str | None = None) -> None:
        self.reading = Reading()
        self._call = call
        self._annotate = annotate
        self._usage = usage
        self._last = last
        self._mark = last.encode()
        self._text = text
        self._whole = False

    def stripped(self, events: bytes) -> bytes:
        """There is nothing that the client did not ask for."""
        return events

    def tells(self, events: bytes) -> bool:
        """Only the last event does, or one that is none."""
        return self._mark in events or b'"error"' in events or events.count(b"}\n\n") != events.count(b"\n\n")

    def read(self, event: bytes, document: Document) -> bytes | None:
        """Notes the usage of the last one, and annotates it."""
        if document.values.get("type") != self._last:
            return event
        self._whole = True
        before = self.reading.usage
        self.reading.usage = None
        note(self.reading, self._call, document.values, self._usage)
        changes = annotation(document, self.reading, self._annotate)
        self.reading.usage = _sum(before, self.reading.usage)
        return with_data(event, document.edited(changes)) if changes else event

    def starts(self, _: Mapping[str, Any]) -> bool:
        """Every event is of the answer."""
        return True

    def ends(self, _: Mapping[str, Any]) -> bool:
        """Several pictures end one after the other: the body's end is the end."""
        return False

    def complete(self) -> bool:
        """Whether a last event has come."""
        return self._whole

    def text_of(self, values: Mapping[str, Any]) -> str:
        """The text of a delta."""
        return string(values.get(self._text)) or "" if self._text else ""


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in one.to_item() | other.to_item()})
