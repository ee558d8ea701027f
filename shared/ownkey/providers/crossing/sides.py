"""The two sides of a crossing: a client's dialect, and a provider's API. Each is written once, and meets all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.crossing.answer import Answer, Event
from ownkey.providers.crossing.conversation import Conversation
from ownkey.providers.translator import Annotate, Call, Encoded


class EventWriter(Protocol):
    """One stream in a client's dialect. What it writes for an event is whole events of the wire, or nothing yet."""

    def write(self, event: Event) -> bytes:
        """What the client gets of it. Of `Ended` with all that ends a stream in this dialect, the usage among it."""


class ClientDialect(Protocol):
    """What a client speaks."""

    def read_request(self, values: Mapping[str, Any]) -> Conversation:
        """The request's JSON members, read strictly: what cannot be read is said, with the field's path as `param`.

        Raises:
            InvalidParameter: a member is missing or of the wrong kind.
        """

    def write_answer(self, call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
        """A whole answer's body, its usage annotated."""

    def writer(self, call: Call, conversation: Conversation, annotate: Annotate) -> EventWriter:
        """For one streamed answer."""


class EventReader(Protocol):
    """One stream of a provider's API. Its events are the same however the bytes are cut."""

    def feed(self, data: bytes) -> Iterable[Event]:
        """What the bytes say.

        Raises:
            ProviderFailure: the provider broke off, or sends what cannot be read. Events that came before it in the
            same bytes were given: an implementation yields.
        """

    def close(self, *, orderly: bool) -> Iterable[Event]:
        """The end of the input. Ends with `Ended` where the answer is complete; without it the stream was cut.

        Args:
            orderly: The provider ended its response as HTTP demands; else the connection broke.
        """


class ProviderApi(Protocol):
    """One API of a provider's that a conversation can be had by."""

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """The provider's request, with `dropped`: what it leaves out.

        Raises:
            UnsupportedParameter: something cannot be expressed, and may not be left out.
        """

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """A whole answer (status 200).

        Raises:
            ProviderFailure: it is none, or an error in spite of its status.
        """

    def reader(self, call: Call) -> EventReader:
        """For one streamed answer."""

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""


class CountingApi(Protocol):
    """An API that tells how many tokens a conversation has, without answering it."""

    def write_count(self, call: Call, conversation: Conversation) -> Encoded:
        """The request, with what it leaves out.

        Raises:
            UnsupportedParameter: as `ProviderApi.write_request`.
        """

    def read_count(self, body: bytes) -> int:
        """The number of tokens.

        Raises:
            ProviderFailure: the answer has none.
        """

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""
