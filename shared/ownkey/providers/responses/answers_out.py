"""Answers of no dialect as Responses: the events that build one, and the whole one that they build.

openai-python 3.52: `types/responses/response_stream_event.py`, `lib/streaming/responses/_responses.py`: each event has
its number, each item its id and place; an item is opened, filled, closed. Items come strictly one after the other: the
first part that is open is written as it comes, and what comes of the others meanwhile is held back until it ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.usage import STANDARD_TERMS, Usage
from ownkey.providers.crossing import (
    Answer,
    AnswerPart,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Conversation,
    Counted,
    Ended,
    Event,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    SignatureAdded,
    TextAdded,
)
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.responses.items_written import CALLS, Message, Open, Told, opened
from ownkey.providers.responses.toolbook import ToolBook
from ownkey.providers.responses.words import REASONS
from ownkey.providers.translator import Annotate, Call

Json = dict[str, Any]

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Members of the request that a response repeats, and what stands for those that were not given."""
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def write_response(call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
    """A whole `response`: that which its events would build."""
    writer = ResponseWriter(call, conversation, annotate)
    for event in _events(answer):
        writer.write(event)
    return _dumps(writer.response).encode("utf-8", "replace")


def _events(answer: Answer) -> Iterator[Event]:
    yield Begun(answer.id, answer.model)
    for at, part in enumerate(answer.parts):
        yield PartBegun(at, part)
        yield PartEnded(at)
    if answer.usage is not None:
        yield Counted(answer.usage, answer.terms)
    yield Ended(answer.finish, answer.stop_sequence, answer.native_finish)


class ResponseWriter:
    """The `EventWriter` of a streamed response."""

    __slots__ = (
        "_annotate",
        "_book",
        "_call",
        "_called",
        "_conversation",
        "_counted",
        "_held",
        "_message",
        "_now",
        "_number",
        "_open",
        "_seed",
        "response",
    )

    def __init__(self, call: Call, conversation: Conversation, annotate: Annotate) -> None:
        self.response: Json = {}
        """As it is by now."""
        self._call = call
        self._conversation = conversation
        self._annotate = annotate
        self._book = ToolBook.of(Fields(call.body.values))
        self._seed = _seed(call)
        self._number = 0
        self._now = 0
        """The part that is written as it comes."""
        self._held: dict[int, list[Event]] = {}
        self._called: Open | None = None
        """The call that is over: whether it is whole, what comes next says."""
        self._open: Open | None = None
        """The part that is being written."""
        self._message: Message | None = None
        """The message that neighbouring texts are parts of: it stays open for the next."""
        self._counted = Counted(Usage(), STANDARD_TERMS)

    def write(self, event: Event) -> bytes:
        """The events that it is in this dialect."""
        match event:
            case Begun():
                events = self._begin(event)
            case Counted():
                self._counted = event
                return b""
            case Ended():
                events = self._end(event)
            case _:
                events = self._in_turn(event)
        return b"".join(events)

    def _begin(self, begun: Begun) -> Iterator[bytes]:
        self.response = _head(self._call, begun, self._seed)
        yield self._sse("response.created", {"response": self.response})
        yield self._sse("response.in_progress", {"response": self.response})

    def _in_turn(
        self,
        event: PartBegun | TextAdded | ArgumentsAdded | SignatureAdded | CitationAdded | LogprobsAdded | PartEnded,
    ) -> Iterator[bytes]:
        if event.at != self._now:
            self._held.setdefault(event.at, []).append(event)
            return
        yield from self._part(event)
        while isinstance(event, PartEnded) and event.at == self._now:
            self._now += 1
            held = self._held.pop(self._now, [])
            for each in held:
                yield from self._part(each)
            if held and isinstance(held[-1], PartEnded):
                event = held[-1]

    def _part(self, event: Event) -> Iterator[bytes]:
        for kind, members in self._told(event):
            yield self._sse(kind, members)

    def _told(self, event: Event) -> Told:
        writing = self._open
        if isinstance(event, PartBegun):
            yield from self._opened(event.part)
        elif writing is None:
            return
        elif not isinstance(event, PartEnded):
            yield from writing.add(event)
        else:
            self._open = None
            if isinstance(writing, CALLS):
                self._called = writing
                return
            yield from writing.close()
            if writing is not self._message:
                self.response["output"].append(writing.item)

    def _opened(self, part: AnswerPart) -> Told:
        yield from self._call_closed("completed")
        if self._message is not None and Message.takes(part):
            self._open = self._message
            yield from self._message.begin(part)
            return
        yield from self._message_closed("completed")
        place = len(self.response["output"])
        self._open = opened(part, place, self._seed, self._conversation, self._book)
        if isinstance(self._open, Message):
            self._message = self._open
        yield from self._open.begin(part)

    def _call_closed(self, status: str) -> Told:
        called, self._called = self._called, None
        if called is not None:
            yield from called.close(status)
            self.response["output"].append(called.item)

    def _message_closed(self, status: str) -> Told:
        message, self._message = self._message, None
        if message is not None:
            yield from message.over(status)
            self.response["output"].append(message.item)

    def _end(self, ended: Ended) -> Iterator[bytes]:
        if not self.response:
            yield from self._begin(Begun(None, None))
        refused = any("refusal" in str(part.get("type")) for item in self._messages() for part in item["content"])
        reason = REASONS.get(ended.finish)
        if refused and reason == "content_filter":
            reason = None  # the refusal itself says so
        status = "completed" if reason is None else "incomplete"
        for kind, members in (*self._call_closed(status), *self._message_closed(status)):
            yield self._sse(kind, members)
        self.response |= {
            "status": status,
            "incomplete_details": None if reason is None else {"reason": reason},
            **self._used(),
        }
        if reason is None:
            self.response["completed_at"] = self._call.asked_at_s
        yield self._sse(f"response.{status}", {"response": self.response})

    def _messages(self) -> list[Json]:
        found = [item for item in self.response["output"] if item["type"] == "message"]
        return [*found, *([self._message.item] if self._message is not None else [])]

    def _used(self) -> Json:
        usage, terms = self._counted
        if usage == Usage():
            return {"usage": None}
        told = {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {
                "cached_tokens": usage.cache_read,
                "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
            },
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.total_tokens,
            **self._annotate(usage, terms),
        }
        tier = terms.service_tier if terms.service_tier in _TIERS else "default"
        return {"usage": told, "service_tier": tier}

    def _sse(self, kind: str, members: Json) -> bytes:
        number, self._number = self._number, self._number + 1
        event = _dumps({"type": kind, "sequence_number": number, **members})
        return f"event: {kind}\ndata: {event}\n\n".encode("utf-8", "replace")


def _head(call: Call, begun: Begun, seed: str) -> Json:
    values = call.body.values
    given = {name: values[name] if values.get(name) is not None else unsaid for name, unsaid in _ECHOED.items()}
    return {
        "id": begun.id or f"resp_{seed}",
        "object": "response",
        "created_at": call.asked_at_s,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": begun.model or call.model_id,
        **given,
        "store": False,
        "output": [],
        "usage": None,
    }


def _seed(call: Call) -> str:
    """Of ids: the same for the same request at the same time."""
    told = f"{call.provider.id}\n{call.model_id}\n{call.asked_at_s}\n".encode() + call.body.raw
    return hashlib.sha256(told).hexdigest()[:32]
