"""ConverseStream's answer, as events.

Shapes from botocore 1.44, `bedrock-runtime`: ConverseStreamOutput. The usage comes after the message's end, in
`metadata`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.providers.bedrock.answers import answer_id, finish_of, read_citation, read_terms, read_usage
from ownkey.providers.bedrock.eventstream import FrameSplitter
from ownkey.providers.bedrock.failures import failure_in_frame
from ownkey.providers.bedrock.names import own_name
from ownkey.providers.bedrock.tools import answer_tool
from ownkey.providers.counts import member, string
from ownkey.providers.crossing import (
    AnswerPart,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Counted,
    Ended,
    Event,
    Format,
    PartBegun,
    PartEnded,
    RedactedThinking,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
)
from ownkey.providers.translator import Call

_MAX_INDEX = 10**6


class ConverseReader:
    """An `EventReader`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._tool = answer_tool(call)
        self._frames = FrameSplitter()
        self._begun = False
        self._ended = False
        self._stop: str | None = None
        self._parts = 0
        self._open: dict[tuple[int, str], int] = {}
        """(the block's index, the kind of its part) → the part's place."""
        self._redacted: dict[int, bytes] = {}

    def feed(self, data: bytes) -> Iterable[Event]:
        """As `EventReader` has it."""
        for frame in self._frames.feed(data):
            if failure := failure_in_frame(frame):
                raise failure
            kind = frame.headers.get(":event-type", "")
            if kind in _READERS and not self._ended:
                yield from self._read(kind, _parsed(frame.payload))

    def close(self, *, orderly: bool) -> Iterable[Event]:
        """The end, where the message had come to its own and only its usage is missing."""
        if orderly and self._frames.whole and self._stop is not None and not self._ended:
            yield from self._end()

    def _read(self, kind: str, values: Mapping[str, Any]) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield Begun(answer_id(self._call), self._call.model_id)
        yield from _READERS[kind](self, values)

    def _message_start(self, values: Mapping[str, Any]) -> Iterator[Event]:
        yield from ()

    def _block_start(self, values: Mapping[str, Any]) -> Iterator[Event]:
        called = member(member(values, "start"), "toolUse")
        if not called:
            return  # a text's start, where there is one at all, says nothing
        name, id_ = string(called.get("name")), string(called.get("toolUseId"))
        if not name or not id_:
            raise ProviderInvalidResponse("The provider's stream calls a tool without a name or an id.")
        part = Text() if name == self._tool else ToolUse(id_, own_name(self._call, name))
        yield from self._begin((_index(values), "tool"), part)

    def _block_delta(self, values: Mapping[str, Any]) -> Iterator[Event]:
        index, delta = _index(values), member(values, "delta")
        if text := string(delta.get("text")):
            yield from self._begin((index, "text"), Text())
            yield TextAdded(self._open[index, "text"], text)
        if arguments := string(member(delta, "toolUse").get("input")):
            at = self._open.get((index, "tool"))
            if at is None:
                raise ProviderInvalidResponse("The provider's stream has arguments of a tool that it does not call.")
            yield TextAdded(at, arguments) if self._tool else ArgumentsAdded(at, arguments)
        if citation := member(delta, "citation"):
            yield from self._begin((index, "text"), Text())
            yield CitationAdded(self._open[index, "text"], read_citation(citation))
        yield from self._thought(index, member(delta, "reasoningContent"))

    def _thought(self, index: int, delta: Mapping[str, Any]) -> Iterator[Event]:
        text, signature = string(delta.get("text")), string(delta.get("signature"))
        if text or signature:
            yield from self._begin((index, "thinking"), Thinking())
        if text:
            yield TextAdded(self._open[index, "thinking"], text)
        if signature:
            yield SignatureAdded(self._open[index, "thinking"], signature, Format.BEDROCK)
        if redacted := string(delta.get("redactedContent")):
            self._redacted[index] = self._redacted.get(index, b"") + _decoded(redacted)

    def _block_stop(self, values: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._close_block(_index(values))

    def _message_stop(self, values: Mapping[str, Any]) -> Iterator[Event]:
        stop = string(values.get("stopReason"))
        if stop is None:
            raise ProviderInvalidResponse("The provider's stream ends without a reason.")
        for index in sorted({index for index, _ in self._open} | set(self._redacted)):
            yield from self._close_block(index)
        self._stop = stop

    def _metadata(self, values: Mapping[str, Any]) -> Iterator[Event]:
        usage = read_usage(member(values, "usage"))
        if usage is not None:
            yield Counted(usage, read_terms(values))
        if self._stop is not None:
            yield from self._end()

    def _begin(self, key: tuple[int, str], part: AnswerPart) -> Iterator[Event]:
        """Opens a part that is not open."""
        if key not in self._open:
            self._open[key] = self._parts
            self._parts += 1
            yield PartBegun(self._open[key], part)

    def _close_block(self, index: int) -> Iterator[Event]:
        if index in self._redacted:
            data = base64.b64encode(self._redacted.pop(index)).decode()
            yield from self._begin((index, "redacted"), RedactedThinking(data, Format.BEDROCK))
        for key in [key for key in self._open if key[0] == index]:
            yield PartEnded(self._open.pop(key))

    def _end(self) -> Iterator[Event]:
        assert self._stop is not None
        self._ended = True
        yield Ended(finish_of(self._stop, self._tool), None, self._stop)


_READERS: Mapping[str, Callable[[ConverseReader, Mapping[str, Any]], Iterator[Event]]] = {
    "messageStart": ConverseReader._message_start,
    "contentBlockStart": ConverseReader._block_start,
    "contentBlockDelta": ConverseReader._block_delta,
    "contentBlockStop": ConverseReader._block_stop,
    "messageStop": ConverseReader._message_stop,
    "metadata": ConverseReader._metadata,
}
"""`:event-type` → what it says; others say nothing that is known."""


def _parsed(payload: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ProviderInvalidResponse("An event of the provider's stream cannot be read: it is not a JSON object.")
    return values


def _index(values: Mapping[str, Any]) -> int:
    index = values.get("contentBlockIndex")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= _MAX_INDEX:
        raise ProviderInvalidResponse("An event of the provider's stream does not say which block it belongs to.")
    return index


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise ProviderInvalidResponse("An event of the provider's stream cannot be read: it is not Base64.") from None
