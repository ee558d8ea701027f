"""Anthropic's dialect at Bedrock, passed through: InvokeModel, InvokeModelWithResponseStream, and CountTokens.

As anthropic-sdk-python 2.11 has it in `lib/bedrock`: model and stream in the URL, version and betas in the body, each
event of a stream as Base64 in a frame.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.domain.usage import Usage
from ownkey.providers.address import addressed, passed_on
from ownkey.providers.anthropic import AnthropicMessages
from ownkey.providers.anthropic.betas import unscoped
from ownkey.providers.anthropic.foreign import own
from ownkey.providers.anthropic.messages import check_apart
from ownkey.providers.anthropic.threads import refuse_thread
from ownkey.providers.bedrock.address import CountAddress, InvokeAddress
from ownkey.providers.bedrock.api import read_count
from ownkey.providers.bedrock.betas import betas_of
from ownkey.providers.bedrock.eventstream import Frame, FrameSplitter
from ownkey.providers.bedrock.failures import decode_failure, error_of
from ownkey.providers.counts import member
from ownkey.providers.document import REMOVED
from ownkey.providers.passthrough import GATEWAY_FIELDS, rewritten
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

_FORMAT = "output_config.format"
_NOT_HERE = ("cache_control", "service_tier", "speed")
"""Members that only tune, and that Bedrock refuses: it caches up to marks on single blocks, has its own tiers, and no
fast mode."""


class BedrockMessages(AnthropicMessages):
    """`messages` to Anthropic's models at Bedrock."""

    def __init__(self) -> None:
        super().__init__(InvokeAddress())

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's or said elsewhere.

        Raises:
            UnsupportedParameter: a form of the answer that Bedrock does not hold this model to; a crossing may.
        """
        refuse_thread(call.body.values)
        if member(call.body.values, "output_config").get("format") and not _holds_to_schemas(call.model_id):
            message = f"{call.provider.display_name} cannot serve `output_config.format`: this model does not take it."
            raise UnsupportedParameter(message, param=_FORMAT, details={"unsupported": [_FORMAT]})
        dropped = tuple(name for name in _NOT_HERE if call.body.values.get(name) is not None)
        changes, left_out = _changed(call)
        return passed_on(self._address, call, changes, dropped + left_out + betas_of(call).dropped)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """The events in their frames."""
        return Unframed(super().decode_stream(call, annotate))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As Bedrock tells it."""
        return decode_failure(status, headers, body)


class BedrockCountTokens(BedrockMessages):
    """`count_tokens` to Anthropic's models at Bedrock: the request that InvokeModel would get is counted."""

    def encode_request(self, call: Call) -> Encoded:
        """The whole body as Base64. InvokeModel demands a limit on output, which a count has none of."""
        body = rewritten(
            call,
            {"max_tokens": 1, **_changed(call)[0], **self._address.members(call)},
        )
        counted = {"invokeModel": {"body": base64.b64encode(body).decode()}}
        return addressed(CountAddress(), call, {"input": counted})

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """The count as Anthropic tells it; nobody used it."""
        values = {"input_tokens": read_count(body)}
        return Whole(json.dumps(values).encode(), Reading(usage=Usage()), values)


class Unframed:
    """A `StreamDecoder` over one of server-sent events: takes them out of their frames."""

    def __init__(self, events: StreamDecoder) -> None:
        self._events = events
        self._frames = FrameSplitter()

    @property
    def reading(self) -> Reading:
        """As `StreamDecoder` has it."""
        return self._events.reading

    @reading.setter
    def reading(self, reading: Reading) -> None:
        self._events.reading = reading

    @property
    def started(self) -> bool:
        """As `StreamDecoder` has it."""
        return self._events.started

    @started.setter
    def started(self, started: bool) -> None:
        self._events.started = started

    @property
    def finished(self) -> bool:
        """As `StreamDecoder` has it."""
        return self._events.finished

    @finished.setter
    def finished(self, finished: bool) -> None:
        self._events.finished = finished

    @property
    def failure(self) -> ProviderFailure | None:
        """As `StreamDecoder` has it."""
        return self._events.failure

    @failure.setter
    def failure(self, failure: ProviderFailure | None) -> None:
        self._events.failure = failure

    def feed(self, data: bytes) -> bytes:
        """As `StreamDecoder` has it."""
        passed: list[bytes] = []
        try:
            passed.extend(self._events.feed(event) for event in unframed(self._frames, data))
        except ProviderInvalidResponse as failure:
            if not self.finished:
                self.failure = self.failure or failure
        return b"".join(passed)

    def close(self, *, orderly: bool) -> bytes:
        """As `StreamDecoder` has it; within a frame nothing ends orderly."""
        return self._events.close(orderly=orderly and self._frames.whole)

    def estimated_output_tokens(self) -> int:
        """As `StreamDecoder` has it."""
        return self._events.estimated_output_tokens()


def unframed(frames: FrameSplitter, data: bytes) -> Iterator[bytes]:
    """The server-sent events that Anthropic itself would have sent, one by one.

    Raises:
        ProviderInvalidResponse: a frame cannot be read.
    """
    for frame in frames.feed(data):
        if error := error_of(frame):
            yield _event("error", json.dumps({"type": "error", "error": error}).encode())
        elif frame.headers.get(":event-type") == "chunk":
            yield _chunk(frame)


def _chunk(frame: Frame) -> bytes:
    try:
        data = base64.b64decode(json.loads(frame.payload)["bytes"], validate=True)
        values = json.loads(data)
        kind = values["type"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ProviderInvalidResponse("An event of the provider's stream cannot be read: it is no event.") from None
    if not isinstance(kind, str) or not kind.isidentifier():
        raise ProviderInvalidResponse("An event of the provider's stream cannot be read: it has no type.")
    return _event(kind, data)


def _event(kind: str, data: bytes) -> bytes:
    # JSON has no line end within a text: one that stands in it is white space.
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data.replace(b"\n", b" ").replace(b"\r", b" "))


def _holds_to_schemas(model_id: str) -> bool:
    from ownkey.providers.anthropic.claude import abilities_of

    there = abilities_of(model_id)
    return there.schemas_at_bedrock or not there.schemas


def _changed(call: Call) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What to change of the client's members, and those of them that had to be left out."""
    check_apart(call)
    stated = call.body.values
    mine = own(stated, call.model_id)
    changes = {name: REMOVED for name in (*GATEWAY_FIELDS, *_NOT_HERE) if name in stated} | mine.changes
    shared = unscoped({**stated, **changes})
    return changes | shared.changes, mine.dropped + shared.dropped
