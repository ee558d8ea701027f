"""Responses as answers of no dialect: whole, and event by event.

openai-python 3.52: `types/responses/response_output_item.py`, `response_stream_event.py`. What a hosted tool of the
provider's did on the way is passed over; the text that came of it, and its count, are not. The last event has the whole
response: what of it no event before has told, as of an item that came whole, is told then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.providers.counts import member, string
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
    Logprob,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    RedactedThinking,
    Refusal,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
)
from ownkey.providers.document import Document, InvalidDocument
from ownkey.providers.failures import failure_in_answer
from ownkey.providers.responses.passthrough import note_response
from ownkey.providers.responses.words import INCOMPLETE, read_citation, read_logprobs
from ownkey.providers.sse import EventSplitter, data_of
from ownkey.providers.translator import Reading

_PARAGRAPH = "\n\n"
"""Between the parts of a summary."""
_ARGUMENTS: Mapping[str, str] = {"function_call": "arguments", "custom_tool_call": "input"}
"""A call's item → its member with what the tool is given."""
_UNTOLD = {"error": "The provider's response failed and does not say why."}

Where = tuple[int, int]
"""Index of an item, of the content within it; 0 where an item has none."""


def read_response(values: Mapping[str, Any]) -> Answer:
    """A whole response.

    Raises:
        ProviderFailure: it is none, or has failed.
    """
    if values.get("status") == "failed":
        raise failure_in_answer(_UNTOLD)
    parts = tuple(part for at, item in enumerate(_items(values)) for _, part in _parts_of(at, item))
    reading = Reading()
    note_response(reading, values)
    finish, native = _finish(values, parts)
    return Answer(
        parts=parts,
        finish=finish,
        id=reading.response_id,
        model=reading.model,
        native_finish=native,
        usage=reading.usage,
        terms=reading.terms,
    )


class ResponseReader:
    """The `EventReader` of a streamed response."""

    __slots__ = ("_begun", "_next", "_over", "_parts", "_splitter", "_told")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._begun = False
        self._over = False
        self._next = 0
        self._parts: dict[Where, _Part] = {}
        self._told: set[int] = set()
        """Items that are over."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the bytes say."""
        events = self._splitter.feed(data)
        for event in events.removesuffix(b"\n\n").split(b"\n\n") if events else ():
            yield from self._event(event)

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """The end of the input: a last event that but its blank line is missing of."""
        if orderly and not self._over:
            yield from self._event(self._splitter.rest(), last=True)

    def read(self, values: Mapping[str, Any]) -> Iterator[Event]:
        """One event's JSON.

        Raises:
            ProviderFailure: it is an error, or cannot be read.
        """
        if self._over:
            return
        kind = string(values.get("type")) or ""
        if values.get("error") or kind == "error":
            raise failure_in_answer(values)
        response = member(values, "response")
        match kind.removeprefix("response."):
            case "failed":
                raise failure_in_answer(response if response.get("error") else _UNTOLD)
            case "completed" | "incomplete":
                yield from self._begin(response)
                yield from self._end(response)
            case "created" | "queued" | "in_progress":
                yield from self._begin(response)
            case "output_item.added":
                yield from self._added(_index(values, "output_index"), member(values, "item"))
            case "output_item.done":
                yield from self._done(_index(values, "output_index"), member(values, "item"))
            case "content_part.added":
                yield from self._begin_part(_where(values), _content(member(values, "part")))
            case "content_part.done":
                yield from self._end_part(_where(values), _content(member(values, "part")))
            case "reasoning_summary_text.delta" | "reasoning_text.delta":
                yield from self._thought(values)
            case delta:
                yield from self._delta(delta, values)

    def _event(self, event: bytes, *, last: bool = False) -> Iterator[Event]:
        data = data_of(event)
        if data is None or data.strip() == b"[DONE]":
            return
        try:
            values = Document.parse(data).values
        except InvalidDocument as e:
            if last:  # cut within it
                return
            raise ProviderInvalidResponse(f"An event of the provider's stream cannot be read: {e.reason}.") from e
        yield from self.read(values)

    def _begin(self, response: Mapping[str, Any]) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield Begun(string(response.get("id")), string(response.get("model")))

    def _added(self, index: int, item: Mapping[str, Any]) -> Iterator[Event]:
        """An item begins. A call is known by now; the others are by what comes of them."""
        yield from self._begin({})
        name = _ARGUMENTS.get(str(item.get("type")))
        if name is not None:
            yield from self._begin_part((index, 0), _call({**item, name: ""}, name))

    def _begin_part(self, where: Where, part: AnswerPart | None) -> Iterator[Event]:
        if part is None or where in self._parts or where[0] in self._told:
            return
        yield from self._begin({})
        self._parts[where] = _Part(self._next, part)
        self._next += 1
        yield PartBegun(self._parts[where].at, part)

    def _delta(self, kind: str, values: Mapping[str, Any]) -> Iterator[Event]:
        wanted: type[AnswerPart]
        match kind:
            case "output_text.delta" | "output_text.annotation.added":
                where, wanted = _where(values), Text
                yield from self._begin_part(where, Text())
            case "refusal.delta":
                where, wanted = _where(values), Refusal
                yield from self._begin_part(where, Refusal())
            case "function_call_arguments.delta" | "custom_tool_call_input.delta":
                where, wanted = (_index(values, "output_index"), 0), ToolUse
                if where not in self._parts:
                    raise ProviderInvalidResponse("The provider's stream adds to a call that has not begun.")
            case _:
                return
        part = self._parts.get(where)
        if part is not None and part.open and isinstance(part.kind, wanted):
            citation = read_citation(member(values, "annotation"))
            yield from part.grown(string(values.get("delta")) or "", (citation,) if citation else ())
            yield from part.likely(read_logprobs(values.get("logprobs")))

    def _thought(self, values: Mapping[str, Any]) -> Iterator[Event]:
        """A piece of a summary, or of the reasoning itself: paragraphs of one text."""
        text, where = string(values.get("delta")), (_index(values, "output_index"), 0)
        if not text:
            return
        yield from self._begin_part(where, Thinking(id=string(values.get("item_id"))))
        part = self._parts.get(where)
        if part is not None and part.open and isinstance(part.kind, Thinking):
            paragraph = (str(values["type"]), values.get("summary_index"), values.get("content_index"))
            apart = part.paragraph is not None and part.paragraph != paragraph
            part.paragraph = paragraph
            yield from part.grown(_PARAGRAPH + text if apart else text)

    def _end_part(self, where: Where, final: AnswerPart | None) -> Iterator[Event]:
        """A part is over: what of it no event has told is told now."""
        part = self._parts.get(where)
        if part is not None and part.open:
            yield from part.rest(final)
            part.open = False
            yield PartEnded(part.at)

    def _done(self, index: int, item: Mapping[str, Any]) -> Iterator[Event]:
        if index in self._told:
            return
        yield from self._begin({})
        for where, part in _parts_of(index, item):
            yield from self._begin_part(where, part)
            yield from self._end_part(where, part)
        for where in [where for where in self._parts if where[0] == index]:
            yield from self._end_part(where, None)
        self._told.add(index)

    def _end(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """The last event: it has the whole response."""
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else ()):
            if isinstance(item, dict):
                yield from self._done(index, item)
        for where in list(self._parts):
            yield from self._end_part(where, None)
        reading = Reading()
        note_response(reading, response)
        if reading.usage is not None:
            yield Counted(reading.usage, reading.terms)
        self._over = True
        finish, native = _finish(response, [part.kind for part in self._parts.values()])
        yield Ended(finish, None, native)


class _Part:
    """A part of the answer, and how much of it has been told."""

    __slots__ = ("_citations", "_length", "_logprobs", "_signed", "at", "kind", "open", "paragraph")

    def __init__(self, at: int, part: AnswerPart) -> None:
        self.at = at
        self.kind = part
        """As it began."""
        self.open = True
        self.paragraph: tuple[Any, ...] | None = None
        """Of a thought: which of its texts came last."""
        self._length = len(_text_of(part))
        self._citations = len(part.citations) if isinstance(part, Text) else 0
        self._logprobs = len(part.logprobs) if isinstance(part, Text) else 0
        self._signed = isinstance(part, Thinking) and part.signature is not None

    def grown(self, text: str, citations: Iterable[Citation] = ()) -> Iterator[Event]:
        """More of its text."""
        if text:
            self._length += len(text)
            yield ArgumentsAdded(self.at, text) if isinstance(self.kind, ToolUse) else TextAdded(self.at, text)
        for citation in citations:
            self._citations += 1
            yield CitationAdded(self.at, citation)

    def likely(self, logprobs: tuple[Logprob, ...]) -> Iterator[Event]:
        """How likely its tokens were."""
        if logprobs:
            self._logprobs += len(logprobs)
            yield LogprobsAdded(self.at, logprobs)

    def rest(self, final: AnswerPart | None) -> Iterator[Event]:
        """What the whole part has beyond what was told."""
        if isinstance(final, RedactedThinking) and isinstance(self.kind, Thinking) and not self._signed:
            yield SignatureAdded(self.at, final.data, final.format)
        if type(final) is not type(self.kind) or final is None:
            return
        yield from self.grown(_text_of(final)[self._length :])
        if isinstance(final, Text):
            yield from self.grown("", final.citations[self._citations :])
            yield from self.likely(final.logprobs[self._logprobs :])
        if isinstance(final, Thinking) and final.signature and final.format and not self._signed:
            yield SignatureAdded(self.at, final.signature, final.format)


def _text_of(part: AnswerPart) -> str:
    match part:
        case ToolUse():
            return part.arguments
        case RedactedThinking():
            return ""
        case _:
            return part.text


def _items(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    output = values.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise ProviderInvalidResponse("The provider's answer is no response: it has no output.")
    return output


def _parts_of(index: int, item: Mapping[str, Any]) -> Iterator[tuple[Where, AnswerPart]]:
    """What an item says, and where; what other dialects have no part for is passed over."""
    kind = str(item.get("type"))
    if kind == "message":
        content = item.get("content")
        for at, each in enumerate(content if isinstance(content, list) else ()):
            part = _content(each) if isinstance(each, dict) else None
            if part is not None:
                yield (index, at), part
    elif kind == "reasoning":
        thought = _reasoning(item)
        if thought is not None:
            yield (index, 0), thought
    elif kind in _ARGUMENTS:
        yield (index, 0), _call(item, _ARGUMENTS[kind])


def _content(part: Mapping[str, Any]) -> AnswerPart | None:
    match part.get("type"):
        case "output_text":
            annotations = part.get("annotations")
            given = [each for each in annotations if isinstance(each, dict)] if isinstance(annotations, list) else []
            found = (read_citation(each) for each in given)
            citations = tuple(each for each in found if each is not None)
            text = string(part.get("text")) or ""
            return Text(text, citations=citations, logprobs=read_logprobs(part.get("logprobs")))
        case "refusal":
            return Refusal(string(part.get("refusal")) or "")
        case _:
            return None


def _reasoning(item: Mapping[str, Any]) -> AnswerPart | None:
    texts = []
    for name in ("summary", "content"):
        given = item.get(name)
        parts = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
        texts += [text for each in parts if (text := string(each.get("text")))]
    encrypted, id = string(item.get("encrypted_content")), string(item.get("id"))
    if texts:
        return Thinking(_PARAGRAPH.join(texts), encrypted or None, Format.OPENAI if encrypted else None, id)
    return RedactedThinking(encrypted, Format.OPENAI, id) if encrypted else None


def _call(item: Mapping[str, Any], arguments: str) -> ToolUse:
    id, name = string(item.get("call_id")), string(item.get("name"))
    if id is None or name is None:
        raise ProviderInvalidResponse("The provider's answer calls a tool without a name or an id.")
    return ToolUse(id, name, string(item.get(arguments)) or "")


def _finish(response: Mapping[str, Any], parts: Iterable[AnswerPart]) -> tuple[Finish, str | None]:
    """Why it is over, in our word and the provider's. That a tool is to be called Responses do not say."""
    status = string(response.get("status"))
    if status == "incomplete":
        reason = string(member(response, "incomplete_details").get("reason"))
        return INCOMPLETE.get(reason or "", Finish.OTHER), reason or status
    kinds = {type(part) for part in parts}
    finish = Finish.TOOL_USE if ToolUse in kinds else Finish.REFUSAL if Refusal in kinds else Finish.END
    return finish, status


def _where(values: Mapping[str, Any]) -> Where:
    return _index(values, "output_index"), _index(values, "content_index")


def _index(values: Mapping[str, Any], name: str) -> int:
    index = values.get(name)
    if not isinstance(index, int) or isinstance(index, bool):
        raise ProviderInvalidResponse("An event of the provider's stream does not say what it is of.")
    return index
