"""Stop sequences for an API that has none: its answer is cut where the one begins that is complete first.

What the model says beyond is read for its usage, and goes nowhere: it was generated, and is paid for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from ownkey.providers.crossing.answer import (
    Answer,
    AnswerPart,
    Begun,
    Counted,
    Ended,
    Event,
    Finish,
    PartBegun,
    PartEnded,
    TextAdded,
)
from ownkey.providers.crossing.conversation import Text
from ownkey.providers.crossing.sides import EventReader


def cut_at(answer: Answer, stops: Sequence[str]) -> Answer:
    """The answer up to the first of the sequences in one of its texts."""
    parts: list[AnswerPart] = []
    for part in answer.parts:
        found = _first(part.text, stops) if isinstance(part, Text) else None
        if found is None or not isinstance(part, Text):
            parts.append(part)
            continue
        at, stop = found
        parts.append(_shortened(part, at))
        return replace(answer, parts=tuple(parts), finish=Finish.STOP_SEQUENCE, stop_sequence=stop)
    return answer


class CutReader:
    """An `EventReader` whose events end where a stop sequence begins. The end of a text that may begin one waits."""

    __slots__ = ("_open", "_reader", "_stop", "_stops", "_waiting")

    def __init__(self, reader: EventReader, stops: Sequence[str]) -> None:
        self._reader = reader
        self._stops = stops
        self._stop: str | None = None
        self._open: dict[int, None] = {}
        self._waiting: dict[int, str] = {}
        """A text's part → what may be the beginning of a sequence."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the bytes say."""
        return self._cut(self._reader.feed(data))

    def close(self, *, orderly: bool) -> Iterator[Event]:
        """The end of the input."""
        return self._cut(self._reader.close(orderly=orderly))

    def _cut(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case Begun() | Counted():
                    yield event
                case Ended(_, _, native):
                    yield event if self._stop is None else Ended(Finish.STOP_SEQUENCE, self._stop, native)
                case _ if self._stop is not None:
                    continue
                case PartBegun(at, Text() as part):
                    self._open[at] = None
                    self._waiting[at] = ""
                    yield PartBegun(at, replace(part, text=""))
                    yield from self._said(at, part.text)
                case TextAdded(at, text) if at in self._waiting:
                    yield from self._said(at, text)
                case PartEnded(at):
                    rest = self._waiting.pop(at, "")
                    if rest:
                        yield TextAdded(at, rest)
                    self._open.pop(at, None)
                    yield event
                case PartBegun(at, _):
                    self._open[at] = None
                    yield event
                case _:
                    yield event

    def _said(self, at: int, text: str) -> Iterator[Event]:
        text = self._waiting[at] + text
        found = _first(text, self._stops)
        if found is not None:
            end, self._stop = found
            if text[:end]:
                yield TextAdded(at, text[:end])
            for each in self._open:
                yield PartEnded(each)
            return
        kept = _beginning(text, self._stops)
        self._waiting[at] = text[len(text) - kept :]
        if len(text) > kept:
            yield TextAdded(at, text[: len(text) - kept])


def _shortened(part: Text, end: int) -> Text:
    """A text's beginning, with what is said of that."""
    citations = tuple(each for each in part.citations if each.end is not None and each.end <= end)
    told = accumulate(len(each.token) for each in part.logprobs)
    logprobs = tuple(each for each, length in zip(part.logprobs, told, strict=True) if length <= end)
    return replace(part, text=part.text[:end], citations=citations, logprobs=logprobs)


def _first(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where the sequence begins that is complete first, and which it is: a model would stop right then."""
    found = [(text.index(stop) + len(stop), text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return None
    _, at, stop = min(found)
    return at, stop


def _beginning(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of a text may be the beginning of a sequence."""
    longest = max((len(stop) for stop in stops), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
