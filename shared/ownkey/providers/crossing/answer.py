"""A provider's answer without its dialect, whole or event by event; `folded` makes a whole one of the events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from ownkey.domain.usage import STANDARD_TERMS, Terms, Usage
from ownkey.providers.crossing.conversation import (
    Citation,
    Logprob,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)

AnswerPart = Text | Thinking | RedactedThinking | ToolUse | Refusal


class Finish(StrEnum):
    """Why an answer is over."""

    END = "end"
    """The model had said all."""
    LENGTH = "length"
    """The limit on output."""
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    REFUSAL = "refusal"
    """The model would not."""
    CONTENT_FILTER = "content_filter"
    """The provider would not let it."""
    CONTEXT_WINDOW = "context_window"
    """The model's window was full."""
    PAUSE = "pause"
    """A turn of tools at the provider is to be gone on with."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    parts: tuple[AnswerPart, ...]
    """In the model's order. Neighbouring texts are one part each, as the provider has them."""
    finish: Finish
    id: str | None = None
    model: str | None = None
    stop_sequence: str | None = None
    native_finish: str | None = None
    """The provider's own word."""
    usage: Usage | None = None
    """None: the provider has not told."""
    terms: Terms = STANDARD_TERMS


# Events are tuples: they are made for each chunk of a stream, and cost less than frozen dataclasses.


class Begun(NamedTuple):
    """The first event."""

    id: str | None
    model: str | None


class PartBegun(NamedTuple):
    """A part, as far as it is known: a tool's id and name, redacted thinking as a whole."""

    at: int
    """The part's place, from 0, without gaps. Parts may overlap: a reader cannot always tell that one is over."""
    part: AnswerPart


class TextAdded(NamedTuple):
    """To a `Text`, `Thinking` or `Refusal`."""

    at: int
    text: str


class ArgumentsAdded(NamedTuple):
    """To a `ToolUse`: a further piece of its JSON text."""

    at: int
    text: str


class SignatureAdded(NamedTuple):
    """To a `Thinking`: a further piece of its signature, and whose it is."""

    at: int
    signature: str
    format: str


class CitationAdded(NamedTuple):
    """To a `Text`."""

    at: int
    citation: Citation


class LogprobsAdded(NamedTuple):
    """To a `Text`."""

    at: int
    logprobs: tuple[Logprob, ...]


class PartEnded(NamedTuple):
    """Nothing more comes to the part. Each part that began ends before `Ended`."""

    at: int


class Counted(NamedTuple):
    """What has been used by now, all in all: the later one counts."""

    usage: Usage
    terms: Terms


class Ended(NamedTuple):
    """The last event: a reader holds it back while anything can still follow."""

    finish: Finish
    stop_sequence: str | None
    native: str | None


Event = (
    Begun
    | PartBegun
    | TextAdded
    | ArgumentsAdded
    | SignatureAdded
    | CitationAdded
    | LogprobsAdded
    | PartEnded
    | Counted
    | Ended
)


def folded(events: Iterable[Event]) -> Answer:
    """The whole answer that a complete stream of events makes.

    Raises:
        ValueError: the events are no complete answer.
    """
    answer: Answer | None = None
    head, counted = Begun(None, None), Counted(Usage(), STANDARD_TERMS)
    told = False
    parts: dict[int, AnswerPart] = {}
    for event in events:
        match event:
            case Begun():
                head = event
            case PartBegun(at, part):
                parts[at] = part
            case Counted():
                counted, told = event, True
            case Ended(finish, stop_sequence, native):
                usage = counted.usage if told else None
                ordered = tuple(parts[at] for at in sorted(parts))
                answer = Answer(ordered, finish, head.id, head.model, stop_sequence, native, usage, counted.terms)
            case PartEnded():
                continue
            case _:
                parts[event.at] = _grown(parts[event.at], event)
    if answer is None:
        raise ValueError("the events have no end")
    return answer


def _grown(part: AnswerPart, event: Event) -> AnswerPart:
    match part, event:
        case (Text() | Thinking() | Refusal(), TextAdded(_, text)):
            return replace(part, text=part.text + text)
        case (ToolUse(), ArgumentsAdded(_, text)):
            return replace(part, arguments=part.arguments + text)
        case (Thinking(), SignatureAdded(_, signature, form)):
            return replace(part, signature=(part.signature or "") + signature, format=form)
        case (Text(), CitationAdded(_, citation)):
            return replace(part, citations=(*part.citations, citation))
        case (Text(), LogprobsAdded(_, logprobs)):
            return replace(part, logprobs=part.logprobs + logprobs)
    raise ValueError(f"{type(event).__name__} does not belong to {type(part).__name__}")


def text_of(answer: Answer) -> str:
    """All text that its tokens were spent on, for an estimate."""
    said = (part.arguments if isinstance(part, ToolUse) else getattr(part, "text", "") for part in answer.parts)
    return "".join(said)
