"""Ids of an answer's calls, each once in a conversation.

There are providers that begin anew with `call_0` in every answer. Clients of other dialects know a call by its id
alone: they take the second one's result for the first one's, and Anthropic answers a conversation that has both with a
400.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from ownkey.providers.crossing.answer import Answer, AnswerPart
from ownkey.providers.crossing.conversation import Conversation, RedactedThinking, ToolUse


class CallIds:
    """Gives the calls of one answer ids that no call before them has: mostly their own."""

    __slots__ = ("_conversation", "_signed", "_taken")

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._taken: set[str] | None = None
        self._signed: dict[str, str] = {}
        """Calls that are to come, by the signatures that came before them: the provider's id → the one given."""

    def of(self, part: AnswerPart) -> AnswerPart:
        """The part, in the answer's order; itself where it is no call, or its id is its own."""
        match part:
            case ToolUse(id):
                given = self._signed.pop(id) if id in self._signed else self._given(id)
                return part if given == id else replace(part, id=given)
            case RedactedThinking(tool_use_id=id) if id is not None:
                given = self._signed[id] = self._given(id)
                return part if given == id else replace(part, tool_use_id=given)
        return part

    def _given(self, id: str) -> str:
        if self._taken is None:
            parts = (part for turn in self._conversation.turns for part in turn.parts)
            self._taken = {part.id for part in parts if isinstance(part, ToolUse)}
        given, calls = id, len(self._taken)
        while given in self._taken:
            given = f"call_{sha256(f'{calls} {given}'.encode(errors='surrogatepass')).hexdigest()[:24]}"
        self._taken.add(given)
        return given


def with_own_ids(answer: Answer, conversation: Conversation) -> Answer:
    """A whole answer whose calls have ids of their own."""
    ids = CallIds(conversation)
    return replace(answer, parts=tuple(map(ids.of, answer.parts)))
