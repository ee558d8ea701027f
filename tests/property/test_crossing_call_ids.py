"""Ids of an answer's calls are its provider's wherever they can be, and never those of other calls."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.providers.crossing import (
    Answer,
    Conversation,
    Finish,
    Format,
    RedactedThinking,
    Role,
    Text,
    ToolUse,
    Turn,
)
from ownkey.providers.crossing.call_ids import with_own_ids

IDS = st.lists(st.sampled_from(["call_0", "call_1", "a:3", "", "\ud800"]), max_size=6)


@settings(max_examples=100)
@given(before=IDS, now=IDS)
def test_each_is_one_calls(before: list[str], now: list[str]) -> None:
    turns = tuple(Turn(Role.ASSISTANT, (Text("a"), ToolUse(id_, "f"))) for id_ in before)
    parts = tuple(
        part for id_ in now for part in (RedactedThinking("s", Format.GEMINI, tool_use_id=id_), ToolUse(id_, "f"))
    )
    told = with_own_ids(Answer((Text("b"), *parts), Finish.TOOL_USE), Conversation(turns=turns))
    uses = [part.id for part in told.parts if isinstance(part, ToolUse)]
    assert [part.tool_use_id for part in told.parts if isinstance(part, RedactedThinking)] == uses
    assert len(set(uses)) == len(now)
    assert not set(uses) & set(before)
    first = [id_ not in before and id_ not in now[:at] for at, id_ in enumerate(now)]
    assert all(given_ == id_ for given_, id_, alone in zip(uses, now, first, strict=True) if alone)
    assert told == with_own_ids(Answer((Text("b"), *parts), Finish.TOOL_USE), Conversation(turns=turns))
