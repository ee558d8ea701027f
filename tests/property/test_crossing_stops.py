"""Stop sequences for an API that has none: wherever the text is cut into pieces, it ends at the same place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.usage import STANDARD_TERMS, Usage
from ownkey.providers.crossing import (
    Answer,
    ArgumentsAdded,
    Begun,
    Counted,
    Ended,
    Event,
    Finish,
    PartBegun,
    PartEnded,
    Text,
    TextAdded,
    Thinking,
    ToolUse,
    folded,
)
from ownkey.providers.crossing.stops import CutReader, cut_at

letters = st.text("abc", max_size=12)
stops = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3)


@dataclass
class Told:
    """An `EventReader` of events that are known."""

    events: list[Event]

    def feed(self, data: bytes) -> Iterable[Event]:
        return self.events

    def close(self, *, orderly: bool) -> Iterable[Event]:
        return ()


def cut(events: list[Event], sequences: list[str]) -> list[Event]:
    return list(CutReader(Told(events), sequences).feed(b""))


def told(first: list[str], second: list[str]) -> list[Event]:
    """Thought, a text, a call, another text; each text in pieces."""
    return [
        Begun("x", "m"),
        PartBegun(0, Thinking("abc")),
        PartEnded(0),
        PartBegun(1, Text()),
        *(TextAdded(1, piece) for piece in first if piece),
        PartEnded(1),
        PartBegun(2, ToolUse("c", "f")),
        ArgumentsAdded(2, "abc"),
        PartEnded(2),
        PartBegun(3, Text("".join(second))),
        PartEnded(3),
        Counted(Usage(output=5), STANDARD_TERMS),
        Ended(Finish.TOOL_USE, None, "native"),
    ]


@given(st.lists(letters, max_size=6), st.lists(letters, max_size=3), stops)
@settings(max_examples=100, deadline=None)
def test_pieces_and_the_whole_end_alike(first: list[str], second: list[str], sequences: list[str]) -> None:
    events = told(first, second)
    whole = cut_at(folded(events), sequences)
    assert folded(cut(events, sequences)) == whole
    texts = [part.text for part in whole.parts if isinstance(part, Text)]
    assert not any(stop in text for text in texts for stop in sequences)
    assert whole.usage == Usage(output=5)
    if whole.finish is Finish.STOP_SEQUENCE:
        assert whole.stop_sequence in sequences


@given(st.lists(letters, max_size=6), stops)
@settings(max_examples=50, deadline=None)
def test_every_part_that_began_ends_once(first: list[str], sequences: list[str]) -> None:
    events = cut(told(first, ["a"]), sequences)
    begun = [event.at for event in events if isinstance(event, PartBegun)]
    assert [event.at for event in events if isinstance(event, PartEnded)] == begun
    assert isinstance(events[-1], Ended)


def test_a_text_goes_on_as_it_comes_but_for_what_may_begin_a_sequence() -> None:
    pieces = [event.text for event in cut(told(["aab", "x", "STO", "Q", "ST", "OP", "z"], []), ["STOP"])
              if isinstance(event, TextAdded)]  # fmt: skip
    assert pieces == ["aab", "x", "STOQ"]


def test_without_one_in_it_an_answer_stays_as_it_is() -> None:
    answer = Answer((Text("abc"),), Finish.END)
    assert cut_at(answer, ["x"]) is answer
    assert cut_at(answer, [""]) is answer
