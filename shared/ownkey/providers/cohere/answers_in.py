"""Cohere's answers to a chat, whole and streamed, as a conversation's answers.

Thoughts and plans of calls carry no signature. A citation is of a content block, by its place; each of its sources is
one `Citation`. Tokens are the billed ones: those of the vendor's own template around the prompt are nobody's to pay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ownkey.domain.errors import ProviderError, ProviderFailure, ProviderInvalidResponse, ProviderTimeout
from ownkey.domain.usage import STANDARD_TERMS, Usage
from ownkey.providers.counts import count, member, string, tells
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
    Logprob,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
)
from ownkey.providers.document import Document, InvalidDocument
from ownkey.providers.failures import failure_in_answer
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.sse import EventSplitter, data_of

FINISHES: Mapping[str, Finish] = {
    "COMPLETE": Finish.END,
    "MAX_TOKENS": Finish.LENGTH,
    "STOP_SEQUENCE": Finish.STOP_SEQUENCE,
    "TOOL_CALL": Finish.TOOL_USE,
    "ERROR_TOXIC": Finish.CONTENT_FILTER,
    "ERROR_LIMIT": Finish.CONTEXT_WINDOW,
}
"""Cohere's word → ours. `ERROR` and `TIMEOUT` are failures; any other is `OTHER`."""
_DONE = b"[DONE]"
_CITED = "TEXT_CONTENT"
_Key = tuple[str, int]


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """Cohere's arithmetic: what it bills, of which the cached tokens are a part; None: it tells nothing."""
    billed = member(usage, "billed_units")
    told = billed if tells(billed, "input_tokens", "output_tokens") else member(usage, "tokens")
    if not tells(told, "input_tokens", "output_tokens"):
        return None
    into = count(told, "input_tokens")
    cached = min(count(usage, "cached_tokens"), into)
    return Usage(input=into - cached, cache_read=cached, output=count(told, "output_tokens"))


def read_answer(body: bytes) -> Answer:
    """A whole answer.

    Raises:
        ProviderFailure: it is none, or an error in spite of its status.
    """
    values = parsed_answer(body).values
    message = values.get("message")
    if not isinstance(message, dict):
        if isinstance(message, str):
            raise failure_in_answer(values)
        raise ProviderInvalidResponse("The provider's answer is no chat response: it has no message.")
    native = string(values.get("finish_reason"))
    _check_finish(native, None)
    return Answer(
        parts=tuple(_parts(message, values.get("logprobs"))),
        finish=FINISHES.get(native or "", Finish.OTHER),
        id=string(values.get("id")),
        native_finish=native,
        usage=read_usage(member(values, "usage")),
    )


def _parts(message: Mapping[str, Any], logprobs: Any) -> Iterator[AnswerPart]:
    if plan := string(message.get("tool_plan")):
        yield Thinking(plan)
    blocks = [_block(each) for each in _objects(message.get("content"))]
    texts = [at for at, block in enumerate(blocks) if isinstance(block, Text)]
    for each in _objects(message.get("citations")):
        at, citations = _citations(each)
        at = at if at in texts else texts[-1] if at is None and texts else None
        block = blocks[at] if at is not None else None
        if at is not None and isinstance(block, Text):
            blocks[at] = replace(block, citations=block.citations + citations)
    if texts and isinstance(first := blocks[texts[0]], Text):
        blocks[texts[0]] = replace(first, logprobs=tuple(_logprobs(_objects(logprobs))))
    yield from blocks
    for at, each in enumerate(_objects(message.get("tool_calls"))):
        yield _tool_use(each, at, arguments=True)


def _block(values: Mapping[str, Any]) -> Text | Thinking:
    if values.get("type") == "thinking":
        return Thinking(string(values.get("thinking")) or "")
    return Text(string(values.get("text")) or "")


def _tool_use(values: Mapping[str, Any], at: int, *, arguments: bool) -> ToolUse:
    function = member(values, "function")
    return ToolUse(
        id=string(values.get("id")) or f"call_{at}",
        name=string(function.get("name")) or "",
        arguments=(string(function.get("arguments")) or "") if arguments else "",
    )


def _logprobs(chunks: Iterable[Mapping[str, Any]]) -> Iterator[Logprob]:
    """Of a chunk of several tokens, that of them all together."""
    for each in chunks:
        values = each.get("logprobs")
        numbers = [v for v in values if type(v) in (int, float)] if isinstance(values, list) else []
        if (text := string(each.get("text"))) is not None and numbers and math.isfinite(total := math.fsum(numbers)):
            yield Logprob(text, total)


def _citations(values: Mapping[str, Any]) -> tuple[int | None, tuple[Citation, ...]]:
    """The content block it is of (None: not said), and one for each of its sources; of a plan or a thought none."""
    if values.get("type", _CITED) not in (_CITED, None):
        return None, ()
    start, end, block = (_index(values.get(name)) for name in ("start", "end", "content_index"))
    sources = _objects(values.get("sources")) or [{}]
    return block, tuple(_citation(source, start, end) for source in sources)


def _citation(source: Mapping[str, Any], start: int | None, end: int | None) -> Citation:
    facts = member(source, "document") or member(source, "tool_output")
    named, url = string(source.get("id")), string(facts.get("url"))
    ours = source.get("type") == "document" and named is not None and named.isdecimal() and len(named) < 5
    return Citation(
        kind="url" if url else "document",
        url=url,
        title=string(facts.get("title")),
        start=start,
        end=end,
        document_index=int(named) if ours and named else None,
        place={} if named is None else {"source": named},
    )


def _index(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _check_finish(native: str | None, said: str | None) -> None:
    if native == "TIMEOUT":
        raise ProviderTimeout(said or "The provider ran out of time while it generated the answer.")
    if native == "ERROR" or said:
        raise ProviderError(said or "The provider failed while it generated the answer.")


class Reader:
    """A `crossing.EventReader`."""

    __slots__ = ("_at", "_begun", "_count", "_held", "_kinds", "_over", "_splitter", "_text")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._begun = False
        self._over = False
        self._count = 0
        self._at: dict[_Key, int] = {}
        """The parts that are open."""
        self._kinds: dict[_Key, type] = {}
        self._text: _Key | None = None
        """The last text."""
        self._held: _Key | None = None
        """A text whose end is held back: citations of it may follow."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """As `crossing.EventReader` has it."""
        for event in self._splitter.feed(data).split(b"\n\n"):
            values = _values(event)
            if values is not None and not self._over:
                yield from self.read(values)

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """Should only the last event's blank line be missing, it counts."""
        rest = self._splitter.rest() if orderly and not self._over else b""
        try:
            values = _values(rest.removesuffix(b"\n\n"))
        except ProviderFailure:
            return
        if values is not None:
            yield from self.read(values)

    def read(self, values: Mapping[str, Any]) -> Iterator[Event]:
        """What one event says.

        Raises:
            ProviderFailure: an error, or a piece of what has not begun.
        """
        kind = values.get("type")
        if not isinstance(kind, str) or kind == "error":
            raise failure_in_answer(values)
        if not self._begun:
            self._begun = True
            yield Begun(string(values.get("id")) if kind == "message-start" else None, None)
        delta = member(values, "delta")
        message = member(delta, "message")
        at = _index(values.get("index")) or 0
        match kind:
            case "content-start" | "content-delta":
                yield from self._content(("content", at), member(message, "content"), values)
            case "content-end":
                yield from self._content_over(("content", at))
            case "tool-plan-delta":
                yield from self._added(("plan", 0), Thinking(), string(message.get("tool_plan")))
            case "tool-call-start":
                yield from self._call(("tool", at), member(message, "tool_calls"))
            case "tool-call-delta":
                yield from self._arguments(("tool", at), member(member(message, "tool_calls"), "function"))
            case "tool-call-end":
                yield from self._end(("tool", at))
            case "citation-start":
                yield from self._cited(message.get("citations"))
            case "message-end":
                yield from self._message_over(delta)

    def _content(self, key: _Key, content: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Event]:
        thinks = content.get("type") == "thinking" or ("thinking" in content and "text" not in content)
        empty: Text | Thinking = Thinking() if thinks else Text()
        yield from self._added(key, empty, string(content.get("thinking" if thinks else "text")))
        if self._kinds.get(key) is Text and (found := tuple(_logprobs([member(values, "logprobs")]))):
            yield LogprobsAdded(self._at[key], found)

    def _added(self, key: _Key, empty: Text | Thinking, text: str | None) -> Iterator[Event]:
        yield from self._begin(key, empty)
        if text:
            yield TextAdded(self._at[key], text)

    def _begin(self, key: _Key, part: AnswerPart) -> Iterator[Event]:
        if key in self._at:
            return
        if self._held is not None:
            yield from self._end(self._held)
        yield from self._end(("plan", 0))  # nothing says that it is over
        self._at[key], self._kinds[key] = self._count, type(part)
        self._count += 1
        if isinstance(part, Text):
            self._text = key
        yield PartBegun(self._at[key], part)

    def _end(self, key: _Key) -> Iterator[Event]:
        at = self._at.pop(key, None)
        self._held = None if self._held == key else self._held
        if at is not None:
            yield PartEnded(at)

    def _content_over(self, key: _Key) -> Iterator[Event]:
        if self._kinds.get(key) is Text and key in self._at:
            self._held = key
        else:
            yield from self._end(key)

    def _call(self, key: _Key, call: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._begin(key, _tool_use(call, key[1], arguments=False))
        yield from self._arguments(key, member(call, "function"))

    def _arguments(self, key: _Key, function: Mapping[str, Any]) -> Iterator[Event]:
        if key not in self._at:
            raise ProviderInvalidResponse("The provider's stream has arguments of a call that it never began.")
        if piece := string(function.get("arguments")):
            yield ArgumentsAdded(self._at[key], piece)

    def _cited(self, values: Any) -> Iterator[Event]:
        for each in _objects(values if isinstance(values, list) else [values]):
            block, citations = _citations(each)
            key = self._text if block is None else ("content", block)
            if key in self._at and self._kinds[key] is Text:
                yield from (CitationAdded(self._at[key], citation) for citation in citations)

    def _message_over(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        usage = read_usage(member(delta, "usage"))
        if usage is not None:
            yield Counted(usage, STANDARD_TERMS)
        native = string(delta.get("finish_reason"))
        _check_finish(native, string(delta.get("error")))
        for key in list(self._at):
            yield from self._end(key)
        self._over = True
        yield Ended(FINISHES.get(native or "", Finish.OTHER), None, native)


def _values(event: bytes) -> dict[str, Any] | None:
    data = data_of(event)
    if not data or data.strip() in (b"", _DONE):
        return None
    try:
        return Document.parse(data).values
    except InvalidDocument as e:
        raise ProviderInvalidResponse(f"An event of the provider's stream cannot be read: {e.reason}.") from e
