"""Answers of no dialect as Anthropic's messages, whole and as events.

anthropic-sdk-python 2.11: `types/message.py`, `types/raw_message_stream_event.py`, `lib/streaming/_messages.py`: blocks
one after the other, a signature in one piece, the usage's counts cumulative.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.providers.anthropic.words import STOP_REASONS, write_citation
from ownkey.providers.crossing import (
    Answer,
    AnswerPart,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Counted,
    Ended,
    Event,
    Finish,
    Format,
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
from ownkey.providers.crossing.arguments import object_of
from ownkey.providers.crossing.signatures import wrapped
from ownkey.providers.translator import Annotate, Call

_TIERS = frozenset({"standard", "priority", "batch"})
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
_SAID, _THOUGHT = b',"delta":{"type":"text_delta","text":', b',"delta":{"type":"thinking_delta","thinking":'
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def write_message(call: Call, answer: Answer, annotate: Annotate) -> bytes:
    """A whole `message`."""
    usage, terms = answer.usage or Usage(), answer.terms
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    called = any(isinstance(part, ToolUse) for part in answer.parts)
    message = _message(call, answer.id, answer.model) | {
        "content": [_block(part) for part in answer.parts if not _of_words(part)],
        **_stop(answer.finish, answer.stop_sequence, called, refused),
        "usage": {**_usage(usage, terms), **(annotate(usage, terms) if answer.usage is not None else {})},
    }
    return _dumps(message).encode("utf-8", "replace")


class MessageWriter:
    """The `EventWriter` of a streamed message.

    Blocks come strictly one after the other: the first part that is open is written as it comes, and what comes of the
    others meanwhile is held back until it ends.
    """

    __slots__ = (
        "_annotate",
        "_call",
        "_called",
        "_counted",
        "_gap",
        "_gaps",
        "_head",
        "_held",
        "_now",
        "_refused",
        "_signature",
        "_told",
    )

    def __init__(self, call: Call, annotate: Annotate) -> None:
        self._call = call
        self._annotate = annotate
        self._head: Begun | None = None
        self._told = False
        """The head has been written: with the first part, so that it has the counts that come before."""
        self._counted: Counted | None = None
        self._now = -1
        """The part that is written as it comes; those below it are over."""
        self._held: dict[int, list[Event]] = {}
        self._signature: tuple[str, str, str | None] | None = None
        self._called = False
        self._refused = False
        self._gaps = 0
        """Parts up to the one that is written of which no block was made."""
        self._gap = -1
        """The last of them."""

    def write(self, event: Event) -> bytes:
        """The events of the wire that it makes: none, one or some."""
        if type(event) is TextAdded and event.at == self._now:  # nearly all of them
            kind = _THOUGHT if self._signature is not None else _SAID
            return b"%b%d%b%b}}\n\n" % (
                _DELTA,
                event.at - self._gaps,
                kind,
                _dumps(event.text).encode("utf-8", "replace"),
            )
        return b"".join(self._event(event))

    def _event(self, event: Event) -> Iterator[bytes]:
        match event:
            case Begun():
                self._head = event
            case Counted():
                self._counted = event
            case Ended():
                yield from self._tell_head()
                yield from self._end(event)
            case LogprobsAdded():
                return
            case _:
                yield from self._tell_head()
                yield from self._of_part(event)

    def _of_part(
        self, event: PartBegun | TextAdded | ArgumentsAdded | SignatureAdded | CitationAdded | LogprobsAdded | PartEnded
    ) -> Iterator[bytes]:
        if self._now < 0:
            self._now = event.at
        if event.at != self._now:
            self._held.setdefault(event.at, []).append(event)
            return
        yield from self._written(event)
        while isinstance(event, PartEnded) and event.at == self._now:
            self._now += 1
            held = self._held.pop(self._now, [])
            for each in held:
                yield from self._written(each)
            if held and isinstance(held[-1], PartEnded):
                event = held[-1]

    def _written(self, event: Event) -> Iterator[bytes]:
        match event:
            case PartBegun(at, part) if _of_words(part):
                self._gaps, self._gap = self._gaps + 1, at
            case PartEnded(at) if at == self._gap:
                return
            case PartBegun(at, part):
                yield from self._begin(at - self._gaps, part)
            case TextAdded():
                yield self.write(event)
            case ArgumentsAdded(at, text):
                yield _delta(at - self._gaps, {"type": "input_json_delta", "partial_json": text})
            case CitationAdded(at, citation):
                yield _delta(at - self._gaps, {"type": "citations_delta", "citation": write_citation(citation)})
            case SignatureAdded(_, signature, form):
                before, _, id = self._signature or ("", "", None)
                self._signature = (before + signature, form, id)
            case PartEnded(at):
                yield from self._sign(at - self._gaps)
                yield _sse("content_block_stop", {"index": at - self._gaps})
            case _:
                return

    def _begin(self, at: int, part: AnswerPart) -> Iterator[bytes]:
        yield _sse("content_block_start", {"index": at, "content_block": _opened(part)})
        self._signature = None
        match part:
            case ToolUse(_, _, arguments):
                self._called = True
                yield _delta(at, {"type": "input_json_delta", "partial_json": arguments})
            case Thinking(text, signature, form, id):
                self._signature = (signature or "", form or "", id)
                if text:
                    yield _delta(at, {"type": "thinking_delta", "thinking": text})
            case Text(text, _, citations):
                if text:
                    yield _delta(at, {"type": "text_delta", "text": text})
                for citation in citations:
                    yield _delta(at, {"type": "citations_delta", "citation": write_citation(citation)})
            case Refusal(text):
                self._refused = True
                if text:
                    yield _delta(at, {"type": "text_delta", "text": text})
            case RedactedThinking():
                return

    def _sign(self, at: int) -> Iterator[bytes]:
        """Signatures come in one piece: the SDK takes the last one for the whole."""
        signed, self._signature = self._signature, None
        if signed is not None and signed[0]:
            signature = wrapped(signed[0], signed[1], Format.ANTHROPIC, signed[2])
            yield _delta(at, {"type": "signature_delta", "signature": signature})

    def _tell_head(self) -> Iterator[bytes]:
        if self._told:
            return
        self._told = True
        head, counted = self._head or Begun(None, None), self._counted
        usage, terms = (counted.usage, counted.terms) if counted else (Usage(), STANDARD_TERMS)
        message = _message(self._call, head.id, head.model) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": _usage(usage, terms),
        }
        yield _sse("message_start", {"message": message})

    def _end(self, ended: Ended) -> Iterator[bytes]:
        counted = self._counted
        usage, terms = (counted.usage, counted.terms) if counted else (Usage(), STANDARD_TERMS)
        annotated = self._annotate(usage, terms) if counted else {}
        told = _final_usage(usage)
        yield _sse(
            "message_delta",
            {
                "delta": _stop(ended.finish, ended.stop_sequence, self._called, self._refused),
                "usage": {**told, **annotated},
            },
        )
        yield _sse("message_stop", {})


def _message(call: Call, id: str | None, model: str | None) -> dict[str, Any]:
    return {
        "id": id or _made_id(call),
        "type": "message",
        "role": "assistant",
        "model": model or call.model_id,
    }


def _made_id(call: Call) -> str:
    """For an answer without one: the same for the same request at the same time."""
    told = f"{call.provider.id}\n{call.model_id}\n{call.asked_at_s}\n".encode() + call.body.raw
    return f"msg_{hashlib.sha256(told).hexdigest()[:24]}"


def _opened(part: AnswerPart) -> dict[str, Any]:
    """A block as it begins, without what its deltas bring."""
    match part:
        case Thinking():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUse(id, name):
            return {"type": "tool_use", "id": id, "name": name, "input": {}}
        case RedactedThinking(data, form, id):
            return {"type": "redacted_thinking", "data": wrapped(data, form, Format.ANTHROPIC, id)}
        case _:
            return {"type": "text", "text": ""}


def _of_words(part: AnswerPart) -> bool:
    """Whether it is the signature of plain words: Google does not want it back, and as a block behind the words it
    would be the last one, which agents take for the answer.
    """
    return isinstance(part, RedactedThinking) and part.format == Format.GEMINI and part.tool_use_id is None


def _block(part: AnswerPart) -> dict[str, Any]:
    """A whole block."""
    match part:
        case Thinking(text, signature, form, id):
            signed = wrapped(signature, form or "", Format.ANTHROPIC, id) if signature else ""
            return {"type": "thinking", "thinking": text, "signature": signed}
        case ToolUse(_, _, arguments):
            return _opened(part) | {"input": object_of(arguments)}
        case Text(text, _, citations):
            cited = {"citations": [write_citation(each) for each in citations]} if citations else {}
            return {"type": "text", "text": text, **cited}
        case Refusal(text):
            return {"type": "text", "text": text}
        case RedactedThinking():
            return _opened(part)


def _stop(finish: Finish, stop_sequence: str | None, called: bool, refused: bool) -> dict[str, Any]:
    """Why it ended. Providers are known to say no more than that it did, when tools are to be called."""
    if called and finish in (Finish.END, Finish.OTHER):
        finish = Finish.TOOL_USE
    elif refused and finish is Finish.END:
        finish = Finish.REFUSAL
    reason = STOP_REASONS[finish]
    details = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": reason,
        "stop_sequence": stop_sequence,
        "stop_details": details if reason == "refusal" else None,
    }


def _input_counts(usage: Usage) -> dict[str, int]:
    """What was read from and written to a cache comes on top of `input_tokens`."""
    return {
        "input_tokens": usage.input + usage.audio_input + usage.image_input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
    }


def _usage(usage: Usage, terms: Terms) -> dict[str, Any]:
    return {
        **_final_usage(usage),
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "service_tier": terms.service_tier if terms.service_tier in _TIERS else "standard",
    }


def _final_usage(usage: Usage) -> dict[str, Any]:
    """The usage of `message_delta`: cumulative, and without the breakdown by lifetime."""
    told: dict[str, Any] = {**_input_counts(usage), "output_tokens": usage.output_tokens}
    if usage.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        told["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    return told


def _delta(at: int, delta: Mapping[str, Any]) -> bytes:
    return _sse("content_block_delta", {"index": at, "delta": delta})


def _sse(kind: str, values: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {_dumps({'type': kind, **values})}\n\n".encode("utf-8", "replace")
