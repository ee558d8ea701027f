"""Chat completions read to the neutral form: in chunks, and whole, which is read as one large chunk.

Facts from openai-python 3.52, `types/chat/chat_completion_chunk.py`. Compatible providers depart from it, and are read
all the same:

- calls without index, without id, with id and name in every chunk, with all arguments at once or as an object, a new
  call under the old one's index;
- thoughts as `reasoning_content`, `reasoning`, `reasoning_details`, parts of the content, or between `<think>` tags;
- usage in the chunk, in the choice, in every chunk; no `[DONE]`; errors in a chunk;
- sources of the answer as a whole, as Perplexity has them: `search_results: [{url, title}]`, or `citations: [url]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from ownkey.catalog import Parameters, ReasoningField
from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.domain.usage import Usage
from ownkey.providers.counts import member, parsed, string
from ownkey.providers.crossing.answer import (
    Answer,
    ArgumentsAdded,
    Begun,
    CitationAdded,
    Counted,
    Ended,
    Event,
    Finish,
    LogprobsAdded,
    PartBegun,
    PartEnded,
    SignatureAdded,
    TextAdded,
    folded,
)
from ownkey.providers.crossing.conversation import (
    Citation,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)
from ownkey.providers.failures import failure_in_answer
from ownkey.providers.openai.calls import Fragment, OpenCall, OpenCalls, is_json
from ownkey.providers.openai.chat import note, usage_in
from ownkey.providers.openai.finishes import FAILED, read_finish
from ownkey.providers.openai.logprobs import read_logprobs
from ownkey.providers.openai.tags import ThinkTags
from ownkey.providers.openai.thoughts import DETAILS, ENCRYPTED, SUMMARY, thought_of
from ownkey.providers.sse import EventSplitter, data_of
from ownkey.providers.translator import Reading

_DONE = b"[DONE]"
_LEGACY = "function_call"


def read_answer(body: bytes, reader: ChatReader) -> Answer:
    """A whole completion, by a reader that has read nothing yet.

    Raises:
        ProviderFailure: it is none, or an error in spite of its status.
    """
    values = parsed(body, "The provider's answer")
    if not isinstance(values.get("choices"), list) and not values.get("error"):
        raise ProviderInvalidResponse("The provider's answer is no chat completion: it has no choices.")
    return folded([*reader.read(values), *reader.end()])


class ChatReader:
    """An `EventReader`. `read` and `end` are its share below the framing of the events."""

    def __init__(
        self, parameters: Parameters, names: Mapping[str, str] | None = None, as_text: str | None = None
    ) -> None:
        """
        Args:
            names: Tools' names as they were sent → as the client has them, where they are others.
            as_text: A tool whose arguments are the answer's text (`requests_out.AS_TEXT`).
        """
        self._splitter = EventSplitter()
        self._reading = Reading()
        self._usage_at = parameters.usage
        self._tags = ThinkTags() if parameters.reasoning is ReasoningField.THINK_TAGS else None
        self._names = names or {}
        self._as_text = as_text
        self._begun = False
        self._over = False
        self._told: Usage | None = None
        self._parts = 0
        self._text: int | None = None
        self._thought: _OpenThought | None = None
        self._refusal: int | None = None
        self._refused = False
        self._calls = OpenCalls()
        self._sources: Any = None
        self._native: str | None = None
        self._stop: str | None = None

    # ── Framing

    def feed(self, data: bytes) -> Iterator[Event]:
        """As `EventReader` has it."""
        events = self._splitter.feed(data)
        if events:
            yield from self._read_events(events)

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """As `EventReader` has it. Where `[DONE]` is missing a finish reason is as good."""
        if orderly and not self._over:
            rest = self._splitter.rest()
            if rest and _is_whole(rest):
                yield from self._read_events(rest)
        if orderly and not self._over and self._native is not None:
            yield from self.end()

    def _read_events(self, events: bytes) -> Iterator[Event]:
        for event in events.split(b"\n\n"):
            data = data_of(event)
            if data is None or self._over:
                continue
            if data.strip() == _DONE:
                yield from self.end()
                continue
            yield from self.read(parsed(data, "An event of the provider's stream"))

    # ── What an event says

    def read(self, values: Mapping[str, Any]) -> Iterator[Event]:
        """The events of one chunk, or of a whole completion.

        Raises:
            ProviderFailure: it is an error.
        """
        if values.get("error") or values.get("object") == "error":
            raise failure_in_answer(values)
        choices = values.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            choice = None
        if not self._begun:
            if choice is None and not values.get("id"):
                return  # Azure's first chunk is of the prompt's filters
            self._begun = True
            note(self._reading, values)
            yield Begun(self._reading.response_id or None, self._reading.model or None)
        self._sources = values.get("search_results") or values.get("citations") or self._sources
        if choice is not None and choice.get("index") in (0, None):
            yield from self._read_choice(choice)
        yield from self._count(values)

    def end(self) -> Iterator[Event]:
        """The provider has said all. Only once.

        Raises:
            ProviderInvalidResponse: it has said nothing.
        """
        self._over = True
        if not self._begun:
            raise ProviderInvalidResponse("The provider's stream ended before its answer began.")
        yield from self._flush_tags()
        yield from self._cite_sources()
        yield from self._end_texts()
        yield from self._end_thought()
        called = any(call.at is not None and not call.as_text for call in self._calls)
        for call in self._calls:
            yield from self._end_call(call)
        finish = read_finish(self._native, called=called, refused=self._refused)
        if self._stop is not None and finish is Finish.END:
            finish = Finish.STOP_SEQUENCE
        yield Ended(finish, self._stop if finish is Finish.STOP_SEQUENCE else None, self._native)

    def _read_choice(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        said = choice.get("delta")
        if not isinstance(said, dict):
            said = member(choice, "message")
        yield from self._read_words(said)
        # What belongs to a text comes before the calls, which end it.
        logprobs, annotations = choice.get("logprobs"), said.get("annotations")
        if isinstance(logprobs, dict):
            yield from self._read_logprobs(logprobs)
        if isinstance(annotations, list):
            yield from self._cite(annotations)
        yield from self._read_calls(said)
        native = choice.get("finish_reason")
        if isinstance(native, str) and native:
            if native in FAILED:
                raise failure_in_answer({"error": choice.get("error") or f"The provider broke off: {native}."})
            self._native = native
            self._stop = string(choice.get("stop_reason"))

    def _read_words(self, said: Mapping[str, Any]) -> Iterator[Event]:
        details = said.get(DETAILS)
        items = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
        thought = said.get("reasoning_content") or said.get("reasoning")
        # The details have the same words, but where all of them are encrypted.
        if isinstance(thought, str) and thought and all(each.get("type") == ENCRYPTED for each in items):
            yield from self._think(thought)
        for item in items:
            yield from self._read_detail(item)
        content = said.get("content")
        if content:
            yield from self._read_content(content)
        refusal = said.get("refusal")
        if isinstance(refusal, str) and refusal:
            yield from self._refuse(refusal)

    def _read_calls(self, said: Mapping[str, Any]) -> Iterator[Event]:
        calls = said.get("tool_calls")
        if isinstance(calls, list) and calls:
            numbered = not isinstance(calls[0], dict) or "index" in calls[0]
            for each in calls:
                if isinstance(each, dict):
                    yield from self._add_call(Fragment.of(each), alone=numbered or len(calls) == 1)
        legacy = said.get(_LEGACY)
        if isinstance(legacy, dict):
            yield from self._add_call(Fragment(None, None, legacy.get("name"), legacy.get("arguments")))

    # ── Text, refusals, thoughts

    def _read_content(self, content: Any) -> Iterator[Event]:
        if isinstance(content, str):
            if self._tags is None:
                yield from self._say(content)
                return
            for is_thought, text in self._tags.feed(content):
                yield from self._think(text) if is_thought else self._say(text)
            return
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            if said := string(part.get("text")):
                yield from self._say(said)
            thinking = part.get("thinking")
            for each in thinking if isinstance(thinking, list) else ():
                if isinstance(each, dict) and (thought := string(each.get("text"))):
                    yield from self._think(thought)

    def _say(self, text: str) -> Iterator[Event]:
        if self._text is None:
            yield from self._open_text()
        assert self._text is not None
        yield TextAdded(self._text, text)

    def _open_text(self) -> Iterator[Event]:
        yield from self._end_thought()
        self._text = self._next()
        yield PartBegun(self._text, Text())

    def _refuse(self, text: str) -> Iterator[Event]:
        if self._refusal is None:
            yield from self._end_thought()
            self._refused = True
            self._refusal = self._next()
            yield PartBegun(self._refusal, Refusal())
        yield TextAdded(self._refusal, text)

    def _think(self, text: str) -> Iterator[Event]:
        if self._thought is None:
            yield from self._open_thought(None, Thinking())
        assert self._thought is not None
        yield TextAdded(self._thought.at, text)

    def _open_thought(self, index: Any, thinking: Thinking) -> Iterator[Event]:
        yield from self._end_thought()
        yield from self._end_texts()
        self._thought = _OpenThought(self._next(), index)
        yield PartBegun(self._thought.at, thinking)

    def _read_detail(self, item: Mapping[str, Any]) -> Iterator[Event]:
        thought = thought_of(item)
        if thought is None:
            return
        if isinstance(thought, RedactedThinking):
            yield from self._end_thought()
            yield from self._end_texts()
            at = self._next()
            yield PartBegun(at, thought)
            yield PartEnded(at)
            return
        index = item.get("index")
        if item.get("type") == SUMMARY and index is None:
            index = SUMMARY
        if self._thought is None or self._thought.index != index:
            yield from self._open_thought(index, Thinking(format=thought.format, id=thought.id))
        assert self._thought is not None
        if thought.text:
            yield TextAdded(self._thought.at, thought.text)
        if thought.signature:
            yield SignatureAdded(self._thought.at, thought.signature, thought.format or "")

    def _flush_tags(self) -> Iterator[Event]:
        for is_thought, text in self._tags.rest() if self._tags else ():
            yield from self._think(text) if is_thought else self._say(text)

    def _end_texts(self) -> Iterator[Event]:
        if self._text is not None:
            yield PartEnded(self._text)
            self._text = None
        if self._refusal is not None:
            yield PartEnded(self._refusal)
            self._refusal = None

    def _end_thought(self) -> Iterator[Event]:
        if self._thought is not None:
            yield PartEnded(self._thought.at)
            self._thought = None

    # ── Calls of tools

    def _add_call(self, fragment: Fragment, *, alone: bool = True) -> Iterator[Event]:
        """A call, or more of one."""
        call, text = self._calls.taking(fragment, alone=alone), fragment.arguments
        call.arguments += text
        if call.at is None:
            if call.name:
                yield from self._open_call(call)
        elif text:
            yield TextAdded(call.at, text) if call.as_text else ArgumentsAdded(call.at, text)

    def _open_call(self, call: OpenCall) -> Iterator[Event]:
        yield from self._flush_tags()
        yield from self._end_thought()
        yield from self._end_texts()
        call.as_text = call.name == self._as_text
        if call.as_text:
            yield from self._open_text()
            call.at = self._text
            assert call.at is not None
            self._text = None
            if call.arguments:
                yield TextAdded(call.at, call.arguments)
            return
        for before in self._calls:
            if before is not call and before.complete:
                yield from self._end_call(before)
        call.at = self._next()
        yield PartBegun(call.at, ToolUse(call.id or self._made_id(call.at), self._names.get(call.name, call.name)))
        if call.arguments:
            yield ArgumentsAdded(call.at, call.arguments)

    def _end_call(self, call: OpenCall) -> Iterator[Event]:
        if call.at is not None and not call.ended:
            call.ended = True
            yield PartEnded(call.at)

    def _made_id(self, at: int) -> str:
        """For a call without one: the same whenever the same answer is read."""
        return f"call_{sha256(f'{self._reading.response_id} {at}'.encode(errors='surrogatepass')).hexdigest()[:24]}"

    # ── What comes with the text, and at the end

    def _read_logprobs(self, logprobs: Mapping[str, Any]) -> Iterator[Event]:
        found = read_logprobs(logprobs)
        if found and self._text is not None:
            yield LogprobsAdded(self._text, found)

    def _cite(self, annotations: Iterable[Any]) -> Iterator[Event]:
        for each in annotations:
            cited = member(each, "url_citation") if isinstance(each, dict) else {}
            url = string(cited.get("url"))
            if url is None:
                continue
            self._reading.searched = True
            start, end = _offset(cited.get("start_index")), _offset(cited.get("end_index"))
            if self._text is not None:
                yield CitationAdded(self._text, Citation("url", url, string(cited.get("title")), start=start, end=end))

    def _cite_sources(self) -> Iterator[Event]:
        """The sources that no annotation has told already, for the text as a whole."""
        if self._text is None or self._reading.searched or not isinstance(self._sources, list):
            return
        for each in self._sources:
            values = each if isinstance(each, dict) else {"url": each}
            if url := string(values.get("url")):
                yield CitationAdded(self._text, Citation("url", url, string(values.get("title"))))

    def _count(self, values: Mapping[str, Any]) -> Iterator[Event]:
        usage = values.get("usage") or usage_in(values, self._usage_at)
        if not isinstance(usage, dict):
            return
        note(self._reading, {"usage": usage, "service_tier": values.get("service_tier")})
        if self._reading.usage is not None and self._reading.usage != self._told:
            self._told = self._reading.usage
            yield Counted(self._told, self._reading.terms)

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1


class _OpenThought:
    __slots__ = ("at", "index")

    def __init__(self, at: int, index: Any) -> None:
        self.at = at
        self.index = index


def _is_whole(rest: bytes) -> bool:
    """Whether what an unfinished event has is all of its data."""
    data = data_of(rest.removesuffix(b"\n\n"))
    return data is not None and (data.strip() == _DONE or is_json(data.decode("utf-8", "replace")))


def _offset(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
