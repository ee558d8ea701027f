"""The seam between a surface and a provider's dialect: what a translator takes, gives, and is asked.

A translator is pure: bytes and dataclasses in, bytes and dataclasses out. One stands for each (surface, dialect) pair
that can be served; `ownkey.providers.translator_for` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from ownkey.catalog import Auth, Model, Provider
from ownkey.domain.errors import ProviderFailure
from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.providers.document import Document


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request, aimed at one provider and model."""

    body: Document
    client_headers: Mapping[str, str]
    """The client's, names in lower case. Few of them go on."""
    provider: Provider
    model_id: str
    """As the provider names it."""
    base_url: str
    credential_headers: Mapping[str, str]
    """Further headers of the credential, by their name in our API (`organization`)."""
    beta: bool = False
    """Whether the client's URL said `?beta=true`, as the Anthropic SDK's beta methods do."""
    model: Model | None = None
    """What the catalog knows of it."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The credential's public fields: deployment, API version, region, project, …"""
    form: str = ""
    """The id of the form that the credential was given by."""
    own: bool = True
    """Whether the credential is the account's: what is stored under another's is not for the client to name."""
    asked_at_s: int = 0
    """When, in epoch seconds: what dialects call `created`."""
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a translator keeps between the request and its answer."""

    @property
    def streamed(self) -> bool:
        """Whether the client asked for a stream."""
        return self.body.values.get("stream") is True


class AnswerKind(StrEnum):
    """How an answer comes."""

    WHOLE = "whole"
    EVENTS = "events"
    """A stream of server-sent events."""
    EITHER = "either"
    """One of those, as its content type says: asked for a stream, the provider may not have one."""
    BYTES = "bytes"
    """A file, such as sound: passed on as it comes."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What goes to the provider, all but the key."""

    url: str
    headers: dict[str, str]
    body: bytes
    auth: Auth
    """How the key is to be presented."""
    dropped: tuple[str, ...] = ()
    """Members of the client's request that the provider's dialect cannot express, by the client's names."""
    answer: AnswerKind | None = None
    """None: events where the client asked for a stream, else whole."""


@dataclass(slots=True)
class Reading:
    """What an answer says about itself. A stream fills it as it comes."""

    usage: Usage | None = None
    """None: the provider has not told."""
    terms: Terms = STANDARD_TERMS
    finish_reason: str | None = None
    response_id: str | None = None
    model: str | None = None
    searched: bool = False
    """The text cites pages of the web: the provider has searched it, and says nowhere how often."""


Annotate = Callable[[Usage, Terms], Mapping[str, object]]
"""Usage and the terms it was served under → the members to add to the answer's usage: cost, and whose key served."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer in one piece, ready for the client."""

    body: bytes
    reading: Reading
    answer: Mapping[str, Any]
    """The answer's members as the provider sent them."""
    content_type: str = "application/json"


class StreamDecoder(Protocol):
    """Passes one stream on and reads it on the way. The output is the same however the input is cut into pieces."""

    reading: Reading
    started: bool
    """A first real event has come: from here on the answer is the provider's to give."""
    finished: bool
    """The provider has said that the answer is complete."""
    failure: ProviderFailure | None
    """The provider broke off by an event of the stream; nothing more will be given back."""

    def feed(self, data: bytes) -> bytes:
        """What can go to the client now: whole events. Comes with a change of the attributes, never an exception."""

    def close(self, *, orderly: bool) -> bytes:
        """The end of the input: what is still to be sent. `finished` or `failure` is set afterwards.

        Args:
            orderly: The provider ended its response as HTTP demands; else the connection broke.
        """

    def estimated_output_tokens(self) -> int:
        """About how many tokens have been generated so far, counted from their text."""


class Translator(Protocol):
    """Between one surface and one dialect."""

    def encode_request(self, call: Call) -> Encoded:
        """The provider's request.

        Raises:
            InvalidParameter: the client's request cannot be read.
            UnsupportedParameter: the provider's dialect cannot express it.
        """

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """A whole answer (status 200), its usage annotated.

        Raises:
            ProviderFailure: the body is no answer in the provider's dialect, or an error in spite of its status.
        """

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """A fresh decoder for one streamed answer."""

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """All text that a whole answer's tokens were spent on, for an estimate."""
