"""Google's answers as events. A chunk of a stream and a whole answer are one type, `GenerateContentResponse`.

A stream ends where its body does: chunks may follow the one that has the reason to finish. Without that reason it was
cut. Pictures and sound that a model makes have no place in a conversation's answer, and are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.providers.counts import member, parsed, string
from ownkey.providers.crossing import (
    ArgumentsAdded,
    Begun,
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
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
)
from ownkey.providers.failures import came_to_nothing
from ownkey.providers.gemini.citations import citations_in, objects, searches_in
from ownkey.providers.gemini.failures import failure_in_answer
from ownkey.providers.gemini.usage import read_terms, read_usage
from ownkey.providers.sse import EventSplitter, data_of

_FILTERED = (
    *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR", "ESCALATION"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)
FINISHES: Mapping[str, Finish] = {
    "STOP": Finish.END,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.LENGTH,
    **dict.fromkeys(_FILTERED, Finish.CONTENT_FILTER),
}
"""`FinishReason`s; the others are `Finish.OTHER`. A stop sequence cannot be told from the end: both are STOP."""
_FAILED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE")

_EVENT = "An event of the provider's stream"


class GeminiReader:
    """An `EventReader`. Below the splitting into events, `read` takes one chunk, parsed."""

    __slots__ = (
        "_asked_tier",
        "_at",
        "_begun",
        "_blocked",
        "_calls",
        "_cited",
        "_finish",
        "_id",
        "_names",
        "_open",
        "_searches",
        "_searches_by_query",
        "_signature",
        "_splitter",
        "_text",
        "_usage",
    )

    def __init__(self, names: Mapping[str, str], *, searches_by_query: bool, asked_tier: str | None) -> None:
        """
        Args:
            names: A tool's name as it was sent → the client's, where they differ.
            searches_by_query: Each query of an answer's search is billed; else all of them as one.
            asked_tier: Which tier is billed where the answer does not say.
        """
        self._asked_tier = asked_tier
        self._names = names
        self._searches_by_query = searches_by_query
        self._splitter = EventSplitter()
        self._begun = False
        self._id: str | None = None
        self._at = -1
        self._open: type[Text] | type[Thinking] | None = None
        self._signature: str | None = None
        self._text: list[str] = []
        self._cited: set[tuple[str | None, int | None, int | None]] = set()
        self._calls = 0
        self._searches = 0
        self._usage: dict[str, Any] = {}
        self._finish: str | None = None
        self._blocked = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """As `EventReader` has it."""
        yield from self._read_all(self._splitter.feed(data))

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """As `EventReader` has it."""
        if not orderly:
            return
        rest = data_of(self._splitter.rest())
        if rest and _is_object(rest):  # else it is half an event
            yield from self.read(parsed(rest, _EVENT))
        if self._finish is not None:
            yield from self.end()

    def _read_all(self, events: bytes) -> Iterator[Event]:
        for data in filter(None, map(data_of, events.split(b"\n\n"))):
            yield from self.read(parsed(data, _EVENT))

    def read(self, values: Mapping[str, Any]) -> Iterator[Event]:
        """What one chunk says, or a whole answer: all but the end.

        Raises:
            ProviderFailure: it is an error, a call in it cannot be read, or the model went wrong.
        """
        if values.get("error"):
            raise failure_in_answer(values)
        if not self._begun:
            self._begun = True
            self._id = string(values.get("responseId"))
            yield Begun(self._id, string(values.get("modelVersion")))
        candidate = next(iter(objects(values, "candidates")), {})
        for part in objects(member(candidate, "content"), "parts"):
            yield from self._part(part)
        if self._open is Text:
            yield from self._of_text(candidate)
        yield from self._counted(candidate, member(values, "usageMetadata"))
        blocked = string(member(values, "promptFeedback").get("blockReason"))
        self._blocked = self._blocked or blocked is not None
        self._finish = string(candidate.get("finishReason")) or blocked or self._finish
        if self._finish in _FAILED:
            raise came_to_nothing(self._finish)

    @property
    def answered(self) -> bool:
        """Whether there is an answer at all: something was said, or it was said why nothing was."""
        return self._at >= 0 or self._finish is not None

    def end(self) -> Iterator[Event]:
        """The part still open ends, and so does the answer."""
        yield from self._close_part()
        finish = FINISHES.get(self._finish or "STOP", Finish.OTHER)
        if self._blocked:
            finish = Finish.CONTENT_FILTER
        elif finish is Finish.END and self._calls:
            finish = Finish.TOOL_USE
        yield Ended(finish, None, self._finish)

    def _part(self, part: Mapping[str, Any]) -> Iterator[Event]:
        signature = string(part.get("thoughtSignature")) or None
        call, text = part.get("functionCall"), string(part.get("text"))
        if isinstance(call, dict):
            yield from self._call(call, signature)
        elif text or (signature and (text is not None or len(part) == 1)):
            yield from self._words(Thinking if part.get("thought") is True else Text, text or "", signature)

    def _words(self, kind: type[Text] | type[Thinking], text: str, signature: str | None) -> Iterator[Event]:
        """Words go on where they left off. A signature may come with none: it is of the text that went before."""
        if kind is not self._open:
            yield from self._close_part()
            if text or kind is Thinking:
                self._at, self._open = self._at + 1, kind
                yield PartBegun(self._at, kind())
        if text:
            yield TextAdded(self._at, text)
            self._text.append(text)
        self._signature = signature or self._signature

    def _call(self, call: Mapping[str, Any], signature: str | None) -> Iterator[Event]:
        yield from self._close_part()
        name, arguments = string(call.get("name")), _arguments(call.get("args"))
        if not name or arguments is None:
            raise ProviderInvalidResponse("The provider's answer calls a tool in a way that cannot be read.")
        made = sha256(f"{self._id} {self._calls} {name} {arguments}".encode("utf-8", "surrogatepass")).hexdigest()
        use_id = string(call.get("id")) or f"call_{made[:24]}"
        self._calls += 1
        if signature:
            yield from self._redacted(RedactedThinking(signature, Format.GEMINI, tool_use_id=use_id))
        self._at += 1
        yield PartBegun(self._at, ToolUse(use_id, self._names.get(name, name)))
        yield ArgumentsAdded(self._at, arguments)
        yield PartEnded(self._at)

    def _close_part(self) -> Iterator[Event]:
        signature, kind = self._signature, self._open
        if kind is Thinking and signature:
            yield SignatureAdded(self._at, signature, Format.GEMINI)
        if kind is not None:
            yield PartEnded(self._at)
        if kind is not Thinking and signature:
            yield from self._redacted(RedactedThinking(signature, Format.GEMINI))
        self._signature, self._open = None, None
        self._text.clear()

    def _redacted(self, part: RedactedThinking) -> Iterator[Event]:
        self._at += 1
        yield PartBegun(self._at, part)
        yield PartEnded(self._at)

    def _of_text(self, candidate: Mapping[str, Any]) -> Iterator[Event]:
        """Citations and log probabilities of the text that is open."""
        if "groundingMetadata" in candidate or "citationMetadata" in candidate:
            for citation in citations_in(candidate, "".join(self._text)):
                key = (citation.url, citation.start, citation.end)
                if key not in self._cited:
                    self._cited.add(key)
                    yield CitationAdded(self._at, citation)
        if logprobs := tuple(_logprobs(member(candidate, "logprobsResult"))):
            yield LogprobsAdded(self._at, logprobs)

    def _counted(self, candidate: Mapping[str, Any], usage: Mapping[str, Any]) -> Iterator[Event]:
        """Counts are of the whole answer so far."""
        found = searches_in(candidate)
        searches = max(self._searches, found if self._searches_by_query else min(found, 1))
        if not usage and searches == self._searches:
            return
        self._searches = searches
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        if (read := read_usage(self._usage, searches)) is not None:
            yield Counted(read, read_terms(self._usage, self._asked_tier))


def _is_object(data: bytes) -> bool:
    """Whether it is a whole JSON object."""
    try:
        parsed(data, "")
    except ProviderInvalidResponse:
        return False
    return True


def _arguments(args: Any) -> str | None:
    """JSON text of a call's arguments; None where they are none."""
    try:
        return json.dumps({} if args is None else args, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None


def _logprobs(result: Mapping[str, Any]) -> Iterator[Logprob]:
    tops = objects(result, "topCandidates")
    for at, chosen in enumerate(objects(result, "chosenCandidates")):
        if (found := _logprob(chosen)) is not None:
            others = objects(tops[at], "candidates") if at < len(tops) else []
            yield replace(found, top=tuple(filter(None, map(_logprob, others))))


def _logprob(candidate: Mapping[str, Any]) -> Logprob | None:
    token, logprob = string(candidate.get("token")), candidate.get("logProbability")
    if token is None or isinstance(logprob, bool) or not isinstance(logprob, int | float) or not math.isfinite(logprob):
        return None
    return Logprob(token, logprob)
