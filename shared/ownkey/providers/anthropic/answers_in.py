"""Anthropic's messages as answers of no dialect: whole, and event by event.

anthropic-sdk-python 2.11: `types/message.py`, `types/content_block.py`, `types/raw_message_stream_event.py`. What a
hosted tool of the provider's did on the way is passed over; the text that came of it, and its count, are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.domain.usage import STANDARD_TERMS
from ownkey.providers.anthropic.messages import read_terms, read_usage
from ownkey.providers.anthropic.words import FINISHES, read_citation
from ownkey.providers.counts import member, parsed, string
from ownkey.providers.crossing import (
    Answer,
    AnswerPart,
    ArgumentsAdded,
    Begun,
    Citation,
    CitationAdded,
    Counted,
    Ended,
    Event,
    Finish,
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
from ownkey.providers.failures import failure_in_answer
from ownkey.providers.sse import EventSplitter, data_of

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NOTHING = "{}"
_EVENT = "An event of the provider's stream"


def read_message(
    values: Mapping[str, Any], emulated: str | None = None, names: Mapping[str, str] | None = None
) -> Answer:
    """A whole message.

    Args:
        emulated: The tool whose call is the answer's text.
        names: Tools' names as they were sent → as the client has them, where they are others.

    Raises:
        ProviderInvalidResponse: it is none.
    """
    content = values.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise ProviderInvalidResponse("The provider's answer is no message: it has no content.")
    found = (_unwrapped(_part(block, names or {}), emulated) for block in content)
    parts = tuple(part for part in found if part is not None)
    native = string(values.get("stop_reason"))
    usage = member(values, "usage")
    counted = read_usage(usage)
    return Answer(
        parts=parts,
        finish=_finish(native, called=any(isinstance(part, ToolUse) for part in parts)),
        id=string(values.get("id")),
        model=string(values.get("model")),
        stop_sequence=string(values.get("stop_sequence")),
        native_finish=native,
        usage=counted,
        terms=read_terms(usage) if counted is not None else STANDARD_TERMS,
    )


class MessageReader:
    """The `EventReader` of a streamed message."""

    __slots__ = (
        "_begun",
        "_called",
        "_emulated",
        "_names",
        "_next",
        "_open",
        "_over",
        "_splitter",
        "_stop",
        "_unsaid",
        "_usage",
    )

    def __init__(self, emulated: str | None = None, names: Mapping[str, str] | None = None) -> None:
        """As `read_message` has them."""
        self._emulated = emulated
        self._names = names or {}
        self._splitter = EventSplitter()
        self._begun = False
        self._called = False
        self._over = False
        self._next = 0
        self._open: dict[int, tuple[int | None, AnswerPart | None]] = {}
        """Index of a block that is open → where its part is, and what it began as; None: it is passed over."""
        self._unsaid: int | None = None
        """The part that is the text by a call, while nothing has come of it."""
        self._stop: Mapping[str, Any] = {}
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the bytes say."""
        events = self._splitter.feed(data)
        for event in events.removesuffix(b"\n\n").split(b"\n\n") if events else ():
            told = data_of(event)
            if told is not None:
                yield from self.read(parsed(told, _EVENT))

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """The end of the input: a last event that but its blank line is missing of, an end that was not said."""
        if not orderly or self._over:
            return
        rest = data_of(self._splitter.rest())
        if rest is not None and _is_json(rest):
            yield from self.read(parsed(rest, _EVENT))
        if self._stop and not self._over:
            yield from self._end()

    def read(self, values: Mapping[str, Any]) -> Iterable[Event]:
        """One event's JSON.

        Raises:
            ProviderFailure: it is an error, or cannot be read.
        """
        if self._over:
            return ()
        if values.get("error"):
            raise failure_in_answer(values)
        if values.get("type") == "content_block_delta":  # nearly all of them
            return self._delta(_index(values), member(values, "delta"))
        return self._of_the_frame(values)

    def _of_the_frame(self, values: Mapping[str, Any]) -> Iterator[Event]:
        match values.get("type"):
            case "message_start":
                message = member(values, "message")
                yield from self._begin(message)
                yield from self._count(member(message, "usage"))
            case "content_block_start":
                yield from self._begin({})
                yield from self._block(_index(values), member(values, "content_block"))
            case "content_block_stop":
                at, _ = self._open.pop(_index(values), (None, None))
                if at is not None:
                    yield from self._part_end(at)
            case "message_delta":
                yield from self._begin({})
                stop = member(values, "delta")
                if stop.get("stop_reason") is not None:
                    self._stop = stop
                yield from self._count(member(values, "usage"))
            case "message_stop":
                yield from self._begin({})
                yield from self._end()
            case _:
                return

    def _begin(self, message: Mapping[str, Any]) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield Begun(string(message.get("id")), string(message.get("model")))

    def _count(self, usage: Mapping[str, Any]) -> Iterator[Event]:
        """Counts are cumulative: later ones replace earlier ones, but what is not told again still holds."""
        if usage:
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            counted = read_usage(self._usage)
            if counted is not None:
                yield Counted(counted, read_terms(self._usage))

    def _block(self, index: int, block: Mapping[str, Any]) -> Iterator[Event]:
        if index in self._open:
            raise ProviderInvalidResponse("The provider's stream begins a block that is open.")
        part = _part(block, self._names)
        self._open[index] = (None, None)
        if part is None:
            return
        at = self._next
        self._next += 1
        if isinstance(part, ToolUse) and part.name == self._emulated:
            part = Text(part.arguments)
            self._unsaid = None if part.text else at
        self._called = self._called or isinstance(part, ToolUse)
        self._open[index] = (at, part)
        yield PartBegun(at, part)

    def _delta(self, index: int, delta: Mapping[str, Any]) -> Iterable[Event]:
        if index not in self._open:
            raise ProviderInvalidResponse("The provider's stream adds to a block that is not open.")
        at, part = self._open[index]
        if at is None:
            return ()
        match part, delta.get("type"):
            case (Text(), "text_delta"):
                return _text(at, delta.get("text"))
            case (Thinking(), "thinking_delta"):
                return _text(at, delta.get("thinking"))
            case (Thinking(), "signature_delta"):
                signature = string(delta.get("signature"))
                return (SignatureAdded(at, signature, Format.ANTHROPIC),) if signature else ()
            case (Text(), "citations_delta"):
                citation = read_citation(member(delta, "citation"))
                return (CitationAdded(at, citation),) if citation is not None else ()
            case (Text(), "input_json_delta"):  # the call that is the text
                added = _text(at, delta.get("partial_json"))
                self._unsaid = None if added else self._unsaid
                return added
            case (ToolUse(), "input_json_delta"):
                arguments = string(delta.get("partial_json"))
                return (ArgumentsAdded(at, arguments),) if arguments else ()
        return ()

    def _part_end(self, at: int) -> Iterator[Event]:
        if self._unsaid == at:  # a call without arguments is an object without members
            self._unsaid = None
            yield TextAdded(at, _NOTHING)
        yield PartEnded(at)

    def _end(self) -> Iterator[Event]:
        self._over = True
        for at, _ in self._open.values():
            if at is not None:
                yield from self._part_end(at)
        native = string(self._stop.get("stop_reason"))
        yield Ended(_finish(native, called=self._called), string(self._stop.get("stop_sequence")), native)


def _text(at: int, text: Any) -> tuple[Event, ...]:
    return (TextAdded(at, text),) if isinstance(text, str) and text else ()


def _unwrapped(part: AnswerPart | None, emulated: str | None) -> AnswerPart | None:
    """The text that a call stands for."""
    stands = isinstance(part, ToolUse) and part.name == emulated
    return Text(part.arguments or _NOTHING) if stands and isinstance(part, ToolUse) else part


def _part(block: Mapping[str, Any], names: Mapping[str, str]) -> AnswerPart | None:
    """A block, as far as it has come; None: one that no other dialect has."""
    match block.get("type"):
        case "thinking":
            signature = string(block.get("signature")) or None
            thought = string(block.get("thinking")) or ""
            return Thinking(thought, signature, Format.ANTHROPIC if signature else None)
        case "redacted_thinking":
            data = string(block.get("data"))
            return RedactedThinking(data, Format.ANTHROPIC) if data else None
        case "tool_use":
            return _tool_use(block, names)
        case _:
            text = block.get("text")
            return Text(text, citations=_citations(block)) if isinstance(text, str) else None


def _tool_use(block: Mapping[str, Any], names: Mapping[str, str]) -> ToolUse:
    name, id, given = block.get("name"), block.get("id"), block.get("input")
    if not isinstance(name, str) or not isinstance(id, str):
        raise ProviderInvalidResponse("The provider's answer calls a tool without a name or an id.")
    return ToolUse(id, names.get(name, name), _dumps(given) if given else "")


def _citations(block: Mapping[str, Any]) -> tuple[Citation, ...]:
    given = block.get("citations")
    found = (read_citation(each) for each in given if isinstance(each, dict)) if isinstance(given, list) else ()
    return tuple(each for each in found if each is not None)


def _finish(native: str | None, *, called: bool) -> Finish:
    """Why it ended. Bedrock is known to say `end_turn` though there are calls; a call that is the text is none."""
    finish = FINISHES.get(native or "", Finish.OTHER)
    if called and finish in (Finish.END, Finish.OTHER):
        return Finish.TOOL_USE
    return Finish.END if finish is Finish.TOOL_USE and not called else finish


def _index(values: Mapping[str, Any]) -> int:
    index = values.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise ProviderInvalidResponse("An event of the provider's stream does not say which block it is of.")
    return index


def _is_json(data: bytes) -> bool:
    try:
        parsed(data, "")
    except ProviderInvalidResponse:
        return False
    return True
