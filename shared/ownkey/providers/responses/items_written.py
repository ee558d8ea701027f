"""The items of a response as they are written: opened, filled, closed, with the events that say so.

openai-python 3.52: `types/responses/response_output_item.py`, `response_stream_event.py`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from ownkey.providers.crossing import (
    AnswerPart,
    ArgumentsAdded,
    Citation,
    CitationAdded,
    Conversation,
    Event,
    Format,
    Logprob,
    LogprobsAdded,
    RedactedThinking,
    Refusal,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
)
from ownkey.providers.crossing.signatures import wrapped
from ownkey.providers.responses.passthrough import MADE
from ownkey.providers.responses.toolbook import ToolBook
from ownkey.providers.responses.words import write_citation, write_logprobs

Json = dict[str, Any]
_OWN = "rs_"
"""What the ids of OpenAI's own reasoning begin with: its items keep theirs."""
Told = Iterator[tuple[str, Json]]
"""Events: their type, their members but for their number."""


class Open(ABC):
    """An item that is being written."""

    __slots__ = ("_place", "item")

    def __init__(self, place: int, item: Json) -> None:
        """
        Args:
            place: In the output, from 0.
        """
        self._place = place
        self.item = item
        """As it is by now."""

    @abstractmethod
    def begin(self, part: AnswerPart) -> Told:
        """The part as it begins."""

    @abstractmethod
    def add(self, event: Event) -> Told:
        """More of it."""

    @abstractmethod
    def close(self, status: str = "completed") -> Told:
        """The part is over.

        Args:
            status: Of a call: `incomplete` where the answer was cut within it.
        """

    def _added(self) -> tuple[str, Json]:
        return "response.output_item.added", {"output_index": self._place, "item": dict(self.item)}

    def _done(self) -> tuple[str, Json]:
        return "response.output_item.done", {"output_index": self._place, "item": self.item}

    def _at(self, **members: Any) -> Json:
        return {"item_id": self.item["id"], "output_index": self._place, **members}


class Message(Open):
    """A message of texts and refusals: each is one part of its content."""

    __slots__ = ("_citations", "_index", "_logprobs", "_refuses", "_text")

    def __init__(self, place: int, id: str) -> None:
        super().__init__(
            place, {"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        )
        self._index = -1
        self._text: list[str] = []
        self._refuses = False
        self._citations: list[Citation] = []
        self._logprobs: list[Logprob] = []

    @staticmethod
    def takes(part: AnswerPart) -> bool:
        """Whether it is one of a message's."""
        return isinstance(part, Text | Refusal)

    def begin(self, part: AnswerPart) -> Told:
        """A further part."""
        if self._index < 0:
            yield self._added()
        self._index += 1
        self._text, self._refuses = [], isinstance(part, Refusal)
        self._citations = list(part.citations) if isinstance(part, Text) else []
        self._logprobs = []
        yield "response.content_part.added", self._within(part=self._whole([]))
        if isinstance(part, Text | Refusal):
            yield from self._grown(part.text)
        if isinstance(part, Text):
            yield from self._likely(part.logprobs)

    def add(self, event: Event) -> Told:
        """More text, a citation, how likely its tokens were."""
        match event:
            case TextAdded(_, text):
                yield from self._grown(text)
            case CitationAdded(_, citation):
                self._citations.append(citation)
            case LogprobsAdded(_, logprobs):
                yield from self._likely(logprobs)
            case _:
                return

    def close(self, status: str = "completed") -> Told:
        """Its whole text; where that is from can only be said now."""
        text = "".join(self._text)
        annotations = [write_citation(citation, text) for citation in self._citations]
        whole = self._whole(annotations)
        for at, annotation in enumerate(annotations):
            yield "response.output_text.annotation.added", self._within(annotation_index=at, annotation=annotation)
        if self._refuses:
            yield "response.refusal.done", self._within(refusal=text)
        else:
            yield "response.output_text.done", self._within(text=text, logprobs=whole["logprobs"])
        yield "response.content_part.done", self._within(part=whole)
        self.item["content"].append(whole)

    def over(self, status: str) -> Told:
        """No further part comes."""
        self.item["status"] = status
        yield self._done()

    def _grown(self, text: str) -> Told:
        if not text:
            return
        self._text.append(text)
        if self._refuses:
            yield "response.refusal.delta", self._within(delta=text)
        else:
            yield "response.output_text.delta", self._within(delta=text, logprobs=[])

    def _likely(self, logprobs: tuple[Logprob, ...]) -> Told:
        if logprobs:
            self._logprobs += logprobs
            yield "response.output_text.delta", self._within(delta="", logprobs=write_logprobs(logprobs))

    def _whole(self, annotations: list[Json]) -> Json:
        text = "".join(self._text)
        if self._refuses:
            return {"type": "refusal", "refusal": text}
        logprobs = write_logprobs(tuple(self._logprobs))
        return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}

    def _within(self, **members: Any) -> Json:
        return self._at(content_index=self._index, **members)


class Reasoning(Open):
    """A thought: its words as a summary, its proof encrypted. One whose words nobody may read has no summary."""

    __slots__ = ("_format", "_id", "_signature", "_text", "_worded")

    def __init__(self, place: int, id: str, part: Thinking | RedactedThinking) -> None:
        super().__init__(place, {"id": id, "type": "reasoning", "summary": []})
        self._worded = isinstance(part, Thinking)
        self._text: list[str] = []
        self._signature = part.data if isinstance(part, RedactedThinking) else part.signature or ""
        self._format = part.format or ""
        self._id = part.id

    def begin(self, part: AnswerPart) -> Told:
        """Opened; its words go on as they come."""
        yield self._added()
        if isinstance(part, Thinking):
            empty = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", self._at(summary_index=0, part=empty)
            yield from self._grown(part.text)

    def add(self, event: Event) -> Told:
        """More words, or a piece of the proof."""
        match event:
            case TextAdded(_, text):
                yield from self._grown(text)
            case SignatureAdded(_, signature, form):
                self._signature += signature
                self._format = form
            case _:
                return

    def close(self, status: str = "completed") -> Told:
        """Whole."""
        if self._worded:
            text = "".join(self._text)
            part = {"type": "summary_text", "text": text}
            yield "response.reasoning_summary_text.done", self._at(summary_index=0, text=text)
            yield "response.reasoning_summary_part.done", self._at(summary_index=0, part=part)
            self.item["summary"] = [part]
        if self._signature:
            self.item["encrypted_content"] = wrapped(self._signature, self._format, Format.OPENAI, self._id)
        yield self._done()

    def _grown(self, text: str) -> Told:
        if text:
            self._text.append(text)
            yield "response.reasoning_summary_text.delta", self._at(summary_index=0, delta=text)


class FunctionCall(Open):
    """A call of a function."""

    __slots__ = ("_arguments",)

    def __init__(self, place: int, id: str, use: ToolUse, book: ToolBook) -> None:
        space, name = book.spaced.get(use.name, (None, use.name))
        item = {"id": id, "type": "function_call", "status": "in_progress", "call_id": use.id, "name": name}
        super().__init__(place, item | ({"namespace": space} if space else {}) | {"arguments": ""})
        self._arguments: list[str] = []

    def begin(self, part: AnswerPart) -> Told:
        """Opened, with the arguments that are there."""
        yield self._added()
        if isinstance(part, ToolUse):
            yield from self._grown(part.arguments)

    def add(self, event: Event) -> Told:
        """More arguments."""
        if isinstance(event, ArgumentsAdded):
            yield from self._grown(event.text)

    def close(self, status: str = "completed") -> Told:
        """All arguments; none at all are an empty object."""
        if not self._arguments:
            yield from self._grown("{}")
        arguments = "".join(self._arguments)
        yield "response.function_call_arguments.done", self._at(arguments=arguments)
        self.item |= {"arguments": arguments, "status": status}
        yield self._done()

    def _grown(self, text: str) -> Told:
        if text:
            self._arguments.append(text)
            yield "response.function_call_arguments.delta", self._at(delta=text)


class CustomCall(Open):
    """A call of a free-form tool. Where its text comes within JSON it is taken out, once that is whole."""

    __slots__ = ("_begun", "_given", "_plain")

    def __init__(self, place: int, id: str, use: ToolUse, book: ToolBook) -> None:
        space, name = book.spaced.get(use.name, (None, use.name))
        item = {"id": id, "type": "custom_tool_call", "status": "in_progress", "call_id": use.id, "name": name}
        super().__init__(place, item | ({"namespace": space} if space else {}) | {"input": ""})
        self._given: list[str] = []
        self._begun = False
        """More than space has come."""
        self._plain = False
        """It is no JSON: it goes on as it comes."""

    def begin(self, part: AnswerPart) -> Told:
        """Opened."""
        yield self._added()
        if isinstance(part, ToolUse):
            yield from self._grown(part.arguments)

    def add(self, event: Event) -> Told:
        """More of its text."""
        if isinstance(event, ArgumentsAdded):
            yield from self._grown(event.text)

    def close(self, status: str = "completed") -> Told:
        """All of its text."""
        given = "".join(self._given)
        if not self._plain:
            given = free_form(given)
            if given:
                yield "response.custom_tool_call_input.delta", self._at(delta=given)
        yield "response.custom_tool_call_input.done", self._at(input=given)
        self.item |= {"input": given, "status": status}
        yield self._done()

    def _grown(self, text: str) -> Told:
        if not text:
            return
        self._given.append(text)
        if self._plain:
            yield "response.custom_tool_call_input.delta", self._at(delta=text)
            return
        if not self._begun and not text.isspace():
            self._begun = True
            self._plain = not text.lstrip().startswith("{")
            if self._plain:
                yield "response.custom_tool_call_input.delta", self._at(delta="".join(self._given))


class LocalCall(Open):
    """A call of a tool that the client runs: its item is known once its arguments are. Of others it is a function's."""

    __slots__ = ("_arguments", "_book", "_use")

    def __init__(self, place: int, id: str, use: ToolUse, book: ToolBook) -> None:
        super().__init__(place, {"id": id})
        self._use = use
        self._book = book
        self._arguments: list[str] = []

    def begin(self, part: AnswerPart) -> Told:
        """Held back."""
        if isinstance(part, ToolUse):
            self._arguments.append(part.arguments)
        yield from ()

    def add(self, event: Event) -> Told:
        """Held back."""
        if isinstance(event, ArgumentsAdded):
            self._arguments.append(event.text)
        yield from ()

    def close(self, status: str = "completed") -> Told:
        """The whole item at once."""
        arguments = "".join(self._arguments)
        members = self._book.local[self._use.name].item(arguments)
        if members is None:
            call = FunctionCall(self._place, self.item["id"], self._use, self._book)
            yield from call.begin(ToolUse(self._use.id, self._use.name, arguments))
            yield from call.close(status)
            self.item = call.item
            return
        self.item |= {"call_id": self._use.id, **members, "status": "in_progress"}
        yield self._added()
        self.item["status"] = status
        yield self._done()


CALLS = (FunctionCall, CustomCall, LocalCall)


def opened(part: AnswerPart, place: int, seed: str, conversation: Conversation, book: ToolBook) -> Open:
    """The item that a part begins.

    Args:
        place: In the output, from 0.
        seed: Of its id.
    """
    made = f"{seed}{place:02x}"
    match part:
        case Thinking() | RedactedThinking():
            own = part.id if part.id and part.id.startswith(_OWN) else f"{MADE}{made}"
            return Reasoning(place, own, part)
        case ToolUse(_, name):
            tool = conversation.tool(name)
            if name in book.local:
                return LocalCall(place, f"{book.local[name].id_prefix}{made}", part, book)
            if tool is not None and tool.free_form:
                return CustomCall(place, f"ctc_{made}", part, book)
            return FunctionCall(place, f"fc_{made}", part, book)
        case _:
            return Message(place, f"msg_{made}")


def free_form(given: str) -> str:
    """A free-form tool's text, out of `FREE_FORM_SCHEMA`'s JSON where it stands in that."""
    try:
        values = json.loads(given)
    except (ValueError, RecursionError):
        return given
    inner = values.get("input") if isinstance(values, dict) and values.keys() == {"input"} else None
    return inner if isinstance(inner, str) else given
