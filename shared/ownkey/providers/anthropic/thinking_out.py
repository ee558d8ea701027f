"""How much Claude is to think: `thinking` and `output_config.effort`, in the words that the model's generation has."""

from __future__ import annotations

from typing import Any

from ownkey.providers.anthropic.claude import Abilities
from ownkey.providers.crossing import (
    Conversation,
    Drops,
    Format,
    Reasoning,
    RedactedThinking,
    Role,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from ownkey.providers.crossing.effort import MIN_BUDGET_TOKENS, budget_of, effort_of


class Thought:
    """What a request says of thinking."""

    __slots__ = ("effort", "thinking")

    def __init__(self, thinking: dict[str, Any] | None = None, effort: str | None = None) -> None:
        self.thinking = thinking
        """The member `thinking`."""
        self.effort = effort
        """`output_config.effort`."""

    @property
    def thinks(self) -> bool:
        """It was asked to."""
        return self.thinking is not None and self.thinking["type"] in ("enabled", "adaptive")


def thought_for(
    conversation: Conversation, abilities: Abilities, max_tokens: int, forced: bool, drops: Drops
) -> Thought:
    """What to say of thinking. A forced tool goes before it: the API has but one of the two.

    Args:
        max_tokens: The request's, which thoughts are a part of.
        forced: A tool must be called.
    """
    reasoning = conversation.reasoning
    if forced:
        if reasoning is not None and not reasoning.off:
            drops.drop("reasoning")
        return _off(abilities)
    if reasoning is None:
        return Thought()
    if reasoning.off:
        if abilities.thinks_unasked and abilities.off is None:
            drops.drop("reasoning")
            return Thought(effort=abilities.efforts[0] if abilities.efforts else None)
        return _off(abilities)
    if abilities.adaptive and not (abilities.budgets and reasoning.budget_tokens is not None):
        effort = effort_of(reasoning, max_tokens, abilities.efforts)
        return Thought({"type": "adaptive", **_display(reasoning)}, effort)
    if abilities.budgets and not _has_begun(conversation.turns) and not _thoughtless_tools(conversation.turns):
        budget = min(budget_of(reasoning, max_tokens), max_tokens - 1)
        if budget >= MIN_BUDGET_TOKENS:
            return Thought({"type": "enabled", "budget_tokens": budget, **_display(reasoning)})
    drops.drop("reasoning")
    return Thought()


def _off(abilities: Abilities) -> Thought:
    return Thought({"type": abilities.off} if abilities.thinks_unasked and abilities.off else None)


def _display(reasoning: Reasoning) -> dict[str, str]:
    visible = reasoning.visible if reasoning.visible is not None or reasoning.summary is None else True
    return {} if visible is None else {"display": "summarized" if visible else "omitted"}


def _has_begun(turns: tuple[Turn, ...]) -> bool:
    """Whether the answer is to go on from words of the client's: no thoughts can come before them any more."""
    return bool(turns) and turns[-1].role is Role.ASSISTANT


def _thoughtless_tools(turns: tuple[Turn, ...]) -> bool:
    """Whether results go back for calls that came without signed thoughts: with a budget, the API demands these."""
    results = False
    for turn in reversed(turns):
        if turn.role is Role.ASSISTANT:
            signed = (each for each in turn.parts if _is_ours(each))
            called = any(isinstance(each, ToolUse) for each in turn.parts)
            return results and called and next(signed, None) is None
        results = results or any(isinstance(each, ToolResult) for each in turn.parts)
    return False


def _is_ours(part: object) -> bool:
    if isinstance(part, Thinking):
        return part.format == Format.ANTHROPIC and bool(part.signature)
    return isinstance(part, RedactedThinking) and part.format == Format.ANTHROPIC
