"""Anthropic's messages, to a provider that speaks them too.

Facts from anthropic-sdk-python 2.11: `types/usage.py`, `types/message_delta_usage.py`, `_streaming.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ownkey.catalog import Auth
from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.domain.usage import USAGE_BUCKETS, Terms, Usage
from ownkey.providers.address import Address, Plain, passed_on
from ownkey.providers.anthropic.foreign import own
from ownkey.providers.anthropic.threads import refuse_thread
from ownkey.providers.counts import count, member, string, tells
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.failures import decode_failure
from ownkey.providers.passthrough import GATEWAY_FIELDS, Scanner, parsed_answer, texts_in
from ownkey.providers.sse import with_data
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_BEARER_SINCE = "2026-10-21"
"""The version of the API from which on Anthropic's own SDKs present a key as a bearer token."""
_BEARER = Auth("authorization", "Bearer {key}")
_TEXT_NAMES = frozenset({"text", "thinking", "partial_json"})


class MessagesAddress(Plain):
    """Anthropic's own: `?beta=true` where the client said so, and the key as the API's version wants it."""

    __slots__ = ()

    def __init__(self, path: str = "/messages") -> None:
        super().__init__(path, forwarded=frozenset({"anthropic-version", "anthropic-beta"}))

    def url(self, call: Call) -> str:
        """As `Address` has it."""
        return super().url(call) + ("?beta=true" if call.beta else "")

    def auth(self, call: Call) -> Auth:
        """As the vendor's SDK of the same version does; a compatible provider's row may state another way."""
        stated, newer = call.provider.auth, self.headers(call).get("anthropic-version", "") >= _BEARER_SINCE
        return _BEARER if newer and stated.header.lower() == "x-api-key" else stated


class AnthropicMessages:
    """`messages` to the Anthropic family."""

    def __init__(self, address: Address | None = None, *, holds: bool = True) -> None:
        """
        Args:
            holds: The API holds conversations (`threads`), as Anthropic's own does.
        """
        self._address = address or MessagesAddress()
        self._holds = holds

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's, or another provider's.

        Raises:
            UnsupportedParameter: by a credential that is not the account's own, as `apart` has it; as `threads` has it.
        """
        if not (call.own and self._holds):
            refuse_thread(call.body.values)
        check_apart(call)
        changes: dict[str, Any] = {name: REMOVED for name in GATEWAY_FIELDS if name in call.body.values}
        mine = own(call.body.values, call.model_id)
        return passed_on(self._address, call, changes | mine.changes, mine.dropped)

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """A `message`."""
        document = parsed_answer(body)
        values = document.values
        if not isinstance(values.get("content"), list):
            raise ProviderInvalidResponse("The provider's answer is no message: it has no content.")
        reading = Reading()
        _note_message(reading, values)
        usage = member(values, "usage")
        _note_usage(reading, usage)
        if reading.usage is None:
            return Whole(body, reading, values)
        annotated = {**usage, **annotate(reading.usage, reading.terms)}
        return Whole(document.edited({"usage": annotated}), reading, values)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Named events; `message_delta` has the final usage."""
        reading = Reading()
        return Scanner(_MessageEvents(reading, annotate), reading)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """`{"type": "error", "error": {…}}`."""
        return decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """Text, thinking and the input of tools."""
        blocks = answer.get("content")
        inputs = [block.get("input") for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
        return texts_in(blocks, _TEXT_NAMES) + "".join(json.dumps(each) for each in inputs if each)


def check_apart(call: Call) -> None:
    """Whoever passes messages on has to, wherever they are served.

    Raises:
        UnsupportedParameter: by a credential that is not the account's own, as `apart` has it.
    """
    if not call.own:
        from ownkey.providers.anthropic.apart import keep_apart

        keep_apart(call.body.values, call.body.raw)


class AnthropicCountTokens(AnthropicMessages):
    """`count_tokens` to the Anthropic family: free, and never a stream."""

    def __init__(self, address: Address | None = None) -> None:
        super().__init__(address or MessagesAddress("/messages/count_tokens"))

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """`{"input_tokens": …}`, which nobody used."""
        document = parsed_answer(body)
        if not isinstance(document.values.get("input_tokens"), int):
            raise ProviderInvalidResponse("The provider's answer is no count of tokens.")
        return Whole(body, Reading(usage=Usage()), document.values)


class _MessageEvents:
    """The `Events` of a streamed message."""

    terminator = MESSAGE_STOP

    def __init__(self, reading: Reading, annotate: Annotate) -> None:
        self._reading = reading
        self._annotate = annotate
        self._usage: dict[str, Any] = {}

    def stripped(self, events: bytes) -> bytes:
        """All of it was asked for."""
        return events

    def tells(self, events: bytes) -> bool:
        """Only the first and the last events have a usage; names in a text would have their quotes escaped."""
        return (
            b'"usage"' in events
            or b'"stop_reason"' in events
            or b'"error"' in events
            or b"message_stop" in events
            # A comment, a broken event: anything but a JSON object.
            or events.count(b"}\n\n") != events.count(b"\n\n")
        )

    def read(self, event: bytes, document: Document) -> bytes | None:
        """Notes the message's head, its end, and the usage, which is cumulative: later counts replace earlier ones."""
        values, reading = document.values, self._reading
        message = member(values, "message")
        if message:
            _note_message(reading, message)
        reading.finish_reason = string(member(values, "delta").get("stop_reason")) or reading.finish_reason
        usage = member(message or values, "usage")
        if not usage:
            return event
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        _note_usage(reading, self._usage)
        if message or reading.usage is None:
            return event
        annotated = {**usage, **self._annotate(reading.usage, reading.terms)}
        return with_data(event, document.edited({"usage": annotated}))

    def starts(self, values: Mapping[str, Any]) -> bool:
        """A ping is no beginning."""
        return values.get("type") != "ping"

    def ends(self, values: Mapping[str, Any]) -> bool:
        """`message_stop`."""
        return values.get("type") == "message_stop"

    def complete(self) -> bool:
        """All but the last event has come."""
        return self._reading.finish_reason is not None

    def text_of(self, values: Mapping[str, Any]) -> str:
        """The deltas' text."""
        return texts_in([values.get("delta"), values.get("content_block")], _TEXT_NAMES)


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """Anthropic's arithmetic: what was read from and written to the cache comes on top of `input_tokens`; thinking is
    part of `output_tokens`; a compaction of the conversation is billed, and on top of all (`types/beta/beta_usage.py`).
    None: it tells nothing that can be leaned on.
    """
    if not tells(usage, "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        return None
    told, iterations = _buckets(usage), usage.get("iterations")
    for each in iterations if isinstance(iterations, list) else ():
        if isinstance(each, dict) and each.get("type") == "compaction":
            told = _sum(told, _buckets(each))
    return told


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in USAGE_BUCKETS})


def _buckets(usage: Mapping[str, Any]) -> Usage:
    lifetimes = member(usage, "cache_creation")
    for_an_hour = count(lifetimes, "ephemeral_1h_input_tokens")
    written = count(usage, "cache_creation_input_tokens")
    written = written or for_an_hour + count(lifetimes, "ephemeral_5m_input_tokens")
    for_an_hour = min(for_an_hour, written)
    output = count(usage, "output_tokens")
    thinking = min(count(member(usage, "output_tokens_details"), "thinking_tokens"), output)
    return Usage(
        input=count(usage, "input_tokens"),
        cache_read=count(usage, "cache_read_input_tokens"),
        cache_write_5m=written - for_an_hour,
        cache_write_1h=for_an_hour,
        reasoning=thinking,
        output=output - thinking,
        web_searches=count(member(usage, "server_tool_use"), "web_search_requests"),
    )


def _note_message(reading: Reading, message: Mapping[str, Any]) -> None:
    reading.response_id = string(message.get("id"))
    reading.model = string(message.get("model"))
    reading.finish_reason = string(message.get("stop_reason"))


def read_terms(usage: Mapping[str, Any]) -> Terms:
    """What the usage says of the terms it was served under."""
    named = {"geo": string(usage.get("inference_geo")), "speed": string(usage.get("speed"))}
    uplifts = tuple(f"{name}:{value}" for name, value in named.items() if value)
    return Terms(string(usage.get("service_tier")), uplifts)


def _note_usage(reading: Reading, usage: Mapping[str, Any]) -> None:
    reading.usage, reading.terms = read_usage(usage), read_terms(usage)
