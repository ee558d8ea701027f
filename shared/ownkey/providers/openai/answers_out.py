"""Answers as chat completions: whole, and in chunks.

Facts from openai-python 3.52: `types/chat/chat_completion.py`, `chat_completion_chunk.py`, `_streaming.py`;
`native_finish_reason`, `reasoning_details` as OpenRouter has them. Of citations those of the web are shown: a
completion has no place for others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from ownkey.domain.usage import Terms, Usage
from ownkey.providers.crossing.answer import (
    Answer,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Counted,
    Ended,
    Event,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    SignatureAdded,
    TextAdded,
)
from ownkey.providers.crossing.conversation import (
    Citation,
    Conversation,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)
from ownkey.providers.openai.finishes import write_finish
from ownkey.providers.openai.logprobs import write_logprob
from ownkey.providers.openai.thoughts import DETAILS, detail_of, on_call, text_detail
from ownkey.providers.openai.usage import write_usage
from ownkey.providers.translator import Annotate, Call

_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quoted = json.encoder.encode_basestring_ascii
_DONE = b"data: [DONE]\n\n"
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_NO_ARGUMENTS = "{}"
_LEGACY = "functions"


def write_answer(call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
    """A `chat.completion`."""
    completion: dict[str, Any] = {
        "id": answer.id or _made_id(call),
        "object": "chat.completion",
        "created": call.asked_at_s,
        "model": answer.model or call.model_id,
        "choices": [_choice(conversation, answer)],
    }
    completion |= _tier(answer.terms)
    if answer.usage is not None:
        completion["usage"] = {**write_usage(answer.usage), **annotate(answer.usage, answer.terms)}
    return _dumps(completion).encode()


def _made_id(call: Call) -> str:
    """For an answer whose API gives none: the same for the same call, another for any other."""
    return f"chatcmpl-{sha256(f'{call.asked_at_s} {call.model_id} '.encode() + call.body.raw).hexdigest()[:24]}"


def _choice(conversation: Conversation, answer: Answer) -> dict[str, Any]:
    texts = [part for part in answer.parts if isinstance(part, Text)]
    refusals = [part.text for part in answer.parts if isinstance(part, Refusal)]
    calls = [part for part in answer.parts if isinstance(part, ToolUse)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(part.text for part in texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    message |= _thinking(conversation, answer)
    annotations = _annotations(texts)
    if annotations:
        message["annotations"] = annotations
    finish = write_finish(answer.finish, refused=bool(refusals))
    if calls and is_legacy(conversation):
        message["function_call"] = _function(calls[0])
        finish = "function_call" if finish == "tool_calls" else finish
    elif calls:
        signed = {each.tool_use_id: each for each in answer.parts if isinstance(each, RedactedThinking)}
        message["tool_calls"] = [_tool_call(conversation, each) | on_call(signed.get(each.id)) for each in calls]
    logprobs = [write_logprob(each) for part in texts for each in part.logprobs]
    return {
        "index": 0,
        "message": message,
        "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        "finish_reason": finish,
        "native_finish_reason": answer.native_finish,
    }


def is_legacy(conversation: Conversation) -> bool:
    """Whether the request has `functions`, so that its answer has a `function_call`."""
    return conversation.names.get("tools") == _LEGACY


def _thinking(conversation: Conversation, answer: Answer) -> dict[str, Any]:
    thoughts = [part for part in answer.parts if isinstance(part, Thinking | RedactedThinking)]
    if _hides(conversation):
        thoughts = [each for each in thoughts if not (isinstance(each, Thinking) and each.text)]
    text = "".join(each.text for each in thoughts if isinstance(each, Thinking))
    details = [detail_of(each, index) for index, each in enumerate(thoughts)]
    return ({"reasoning_content": text} if text else {}) | ({DETAILS: details} if details else {})


def _hides(conversation: Conversation) -> bool:
    """The client wants no thoughts shown. Their signatures alone are none."""
    return conversation.reasoning is not None and conversation.reasoning.visible is False


def _annotations(texts: Iterable[Text]) -> list[dict[str, Any]]:
    annotations, before = [], 0
    for part in texts:
        cited = (_annotation(each, before, len(part.text)) for each in part.citations)
        annotations += [each for each in cited if each]
        before += len(part.text)
    return annotations


def _annotation(citation: Citation, before: int, length: int) -> dict[str, Any] | None:
    """A `url_citation`; None: it cites no page of the web.

    Args:
        before: Where its part of the text starts within the content; of `length` characters.
    """
    if citation.kind != "url" or not citation.url:
        return None
    start = citation.start if citation.start is not None else 0
    end = citation.end if citation.end is not None else length
    url = {
        "url": citation.url,
        "title": citation.title or "",
        "start_index": before + start,
        "end_index": before + end,
    }
    return {"type": "url_citation", "url_citation": url}


def _function(call: ToolUse) -> dict[str, str]:
    return {"name": call.name, "arguments": call.arguments or _NO_ARGUMENTS}


def _tool_call(conversation: Conversation, call: ToolUse) -> dict[str, Any]:
    if is_free_form(conversation, call.name):
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": free_text(call.arguments)}}
    return {"id": call.id, "type": "function", "function": _function(call)}


def is_free_form(conversation: Conversation, name: str) -> bool:
    """Whether the client's tool takes a text instead of arguments."""
    tool = conversation.tool(name)
    return tool is not None and tool.free_form


def free_text(arguments: str) -> str:
    """The text for a free-form tool: of an API that has none it stands in `FREE_FORM_SCHEMA`."""
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = values.get("input") if isinstance(values, dict) and len(values) == 1 else None
    return text if isinstance(text, str) else arguments


def _tier(terms: Terms) -> dict[str, str]:
    return {"service_tier": terms.service_tier} if terms.service_tier in _TIERS else {}


class ChunkWriter:
    """An `EventWriter`: `chat.completion.chunk`s. The role comes with the first delta."""

    def __init__(self, call: Call, conversation: Conversation, annotate: Annotate) -> None:
        self._call = call
        self._conversation = conversation
        self._annotate = annotate
        self._legacy = is_legacy(conversation)
        self._hides = _hides(conversation)
        self._after = b',"usage":null}\n\n' if conversation.include_usage else b"}\n\n"
        self._head = b""
        self._before_text = b""
        self._role_told = False
        self._counted: Counted | None = None
        self._texts: dict[int, _OpenText] = {}
        self._chars = 0
        self._thoughts: dict[int, _OpenThought] = {}
        self._calls: dict[int, _OpenCall] = {}
        self._signed: dict[str, RedactedThinking] = {}
        """Signatures of calls that are still to come, by their ids."""
        self._refusals: set[int] = set()

    def write(self, event: Event) -> bytes:
        """As `EventWriter` has it."""
        if type(event) is TextAdded:
            return self._text_added(event)
        match event:
            case Begun(id_, model):
                self._begin(id_, model)
                return b""
            case PartBegun(at, part):
                return self._part_begun(at, part)
            case ArgumentsAdded(at, text):
                return self._arguments_added(at, text)
            case SignatureAdded(at, signature, format):
                thought = self._thoughts[at]
                if self._hides and thought.told:
                    return b""
                return self._delta({DETAILS: [text_detail(thought.index, "", signature, format)]})
            case CitationAdded(at, citation):
                self._texts[at].citations.append(citation)
                return b""
            case LogprobsAdded(_, logprobs):
                return self._delta({}, logprobs={"content": [*map(write_logprob, logprobs)], "refusal": None})
            case PartEnded(at):
                return self._part_ended(at)
            case Counted():
                self._counted = event
                return b""
            case Ended():
                return self._ended(event)
        raise AssertionError(event)  # pragma: no cover: all events are above

    def _begin(self, id_: str | None, model: str | None) -> None:
        call = self._call
        head = {
            "id": id_ or _made_id(call),
            "object": "chat.completion.chunk",
            "created": call.asked_at_s,
            "model": model or call.model_id,
        }
        self._head = b"data: " + _dumps(head)[:-1].encode() + b',"choices":['
        self._before_text = self._head + b'{"index":0,"delta":{"content":'

    def _text_added(self, event: TextAdded) -> bytes:
        text = self._texts.get(event.at)
        if text is not None and self._role_told:
            text.length += len(event.text)
            quoted = _quoted(event.text).encode()
            return self._before_text + quoted + b'},"logprobs":null,"finish_reason":null}]' + self._after
        if text is not None:
            text.length += len(event.text)
            return self._delta({"content": event.text, "refusal": None})
        thought = self._thoughts.get(event.at)
        if thought is None:
            return self._delta({"refusal": event.text})
        thought.told = True
        if self._hides:
            return b""
        detail = text_detail(thought.index, event.text, None, thought.format, thought.id)
        thought.id = None
        return self._delta({"reasoning_content": event.text, DETAILS: [detail]})

    def _part_begun(self, at: int, part: Any) -> bytes:
        match part:
            case Text():
                self._texts[at] = _OpenText()
                written = self._text_added(TextAdded(at, part.text)) if part.text else b""
                self._texts[at].citations += part.citations
                return written + (self.write(LogprobsAdded(at, part.logprobs)) if part.logprobs else b"")
            case Refusal():
                self._refusals.add(at)
                return self._delta({"content": None, "refusal": part.text})
            case Thinking():
                self._thoughts[at] = _OpenThought(len(self._thoughts), part.format, part.id)
                written = self._text_added(TextAdded(at, part.text)) if part.text else b""
                if part.signature is None:
                    return written
                return written + self.write(SignatureAdded(at, part.signature, part.format or ""))
            case RedactedThinking():
                self._thoughts[at] = thought = _OpenThought(len(self._thoughts))
                if part.tool_use_id is not None:
                    self._signed[part.tool_use_id] = part
                return self._delta({DETAILS: [detail_of(part, thought.index)]})
            case ToolUse():
                return self._call_begun(at, part)
        raise AssertionError(part)  # pragma: no cover: all parts are above

    def _call_begun(self, at: int, part: ToolUse) -> bytes:
        free_form = is_free_form(self._conversation, part.name) and not self._legacy
        call = self._calls[at] = _OpenCall(len(self._calls), free_form)
        if self._legacy:
            if call.index:
                return b""
            opening: dict[str, Any] = {"function_call": {"name": part.name, "arguments": ""}}
        else:
            kind, member = ("custom", "input") if free_form else ("function", "arguments")
            item = {"index": call.index, "id": part.id, "type": kind, kind: {"name": part.name, member: ""}}
            opening = {"tool_calls": [item | on_call(self._signed.pop(part.id, None))]}
        first = {} if self._role_told else {"content": None}
        written = self._delta({**first, **opening})
        return written + (self._arguments_added(at, part.arguments) if part.arguments else b"")

    def _arguments_added(self, at: int, text: str) -> bytes:
        call = self._calls[at]
        call.told = True
        if call.free_form:
            call.held.append(text)
            return b""
        return self._arguments(call, text)

    def _arguments(self, call: _OpenCall, text: str) -> bytes:
        if self._legacy:
            return b"" if call.index else self._delta({"function_call": {"arguments": text}})
        kind, member = ("custom", "input") if call.free_form else ("function", "arguments")
        return self._delta({"tool_calls": [{"index": call.index, kind: {member: text}}]})

    def _part_ended(self, at: int) -> bytes:
        call = self._calls.get(at)
        if call is not None:
            if call.free_form:
                return self._arguments(call, free_text("".join(call.held)))
            # Clients parse what they are given: no arguments are an empty object, not an empty text.
            return b"" if call.told else self._arguments(call, _NO_ARGUMENTS)
        text = self._texts.get(at)
        if text is None:
            return b""
        cited = (_annotation(each, self._chars, text.length) for each in text.citations)
        annotations = [each for each in cited if each]
        self._chars += text.length
        return self._delta({"annotations": annotations}) if annotations else b""

    def _ended(self, event: Ended) -> bytes:
        finish = write_finish(event.finish, refused=bool(self._refusals))
        if self._legacy and finish == "tool_calls":
            finish = "function_call"
        last = self._delta({} if self._role_told else {"content": ""}, finish=finish, native=event.native)
        if self._conversation.include_usage and self._counted is not None:
            usage, terms = self._counted
            last += self._usage_chunk(usage, terms)
        return last + _DONE

    def _usage_chunk(self, usage: Usage, terms: Terms) -> bytes:
        told = _dumps({**write_usage(usage), **self._annotate(usage, terms)})
        tier = "".join(f',"service_tier":{_dumps(value)}' for value in _tier(terms).values())
        return self._head + b"]" + tier.encode() + b',"usage":' + told.encode() + b"}\n\n"

    def _delta(
        self,
        delta: Mapping[str, Any],
        *,
        logprobs: Mapping[str, Any] | None = None,
        finish: str | None = None,
        native: str | None = None,
    ) -> bytes:
        role: dict[str, Any] = {} if self._role_told else {"role": "assistant"}
        self._role_told = True
        choice: dict[str, Any] = {"index": 0, "delta": role | dict(delta), "logprobs": logprobs}
        choice["finish_reason"] = finish
        if finish is not None:
            choice["native_finish_reason"] = native
        return self._head + _dumps(choice).encode() + b"]" + self._after


class _OpenText:
    __slots__ = ("citations", "length")

    def __init__(self) -> None:
        self.length = 0
        self.citations: list[Citation] = []


class _OpenThought:
    __slots__ = ("format", "id", "index", "told")

    def __init__(self, index: int, format: str | None = None, id_: str | None = None) -> None:
        self.index = index
        self.format = format
        self.id = id_
        self.told = False


class _OpenCall:
    __slots__ = ("free_form", "held", "index", "told")

    def __init__(self, index: int, free_form: bool) -> None:
        self.index = index
        self.free_form = free_form
        self.told = False
        self.held: list[str] = []
