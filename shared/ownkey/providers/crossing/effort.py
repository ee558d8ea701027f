"""How much is to be thought: an effort where the API knows words, a budget where it counts tokens.

Ratios are OpenRouter's, as its guide on reasoning tokens documents them: an effort is a share of all tokens that may
come out, within 1,024 and 128,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ownkey.catalog import Model
from ownkey.providers.crossing.conversation import EFFORTS, Conversation, Reasoning

RATIOS: Mapping[str, float] = {
    "none": 0.0,
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.95,
    "max": 0.95,
}
"""Effort → the share of the room that may be thought away."""
MIN_BUDGET_TOKENS = 1_024
MAX_BUDGET_TOKENS = 128_000
DEFAULT_ROOM_TOKENS = 32_000
"""Where neither the client nor the catalog says how much may come out."""
DEFAULT_EFFORT = "medium"
"""Of a client that wants thought and does not say how much."""


def room_of(conversation: Conversation, model: Model | None) -> int:
    """How many tokens may come out, thoughts among them: what the client says, else what the model can."""
    return conversation.max_output_tokens or (model and model.max_output) or DEFAULT_ROOM_TOKENS


def budget_of(reasoning: Reasoning, room: int) -> int:
    """Tokens to think with: the budget said, else the effort's share of the room; 0: nothing is to be thought.

    A caller whose API wants the budget below its limit on output still has to see to that.
    """
    if reasoning.budget_tokens is not None:
        return reasoning.budget_tokens
    ratio = RATIOS[reasoning.effort or DEFAULT_EFFORT]
    return max(MIN_BUDGET_TOKENS, min(MAX_BUDGET_TOKENS, int(room * ratio))) if ratio else 0


def effort_of(reasoning: Reasoning, room: int, known: Sequence[str] = EFFORTS) -> str | None:
    """The effort said, else the one whose share of the room is nearest to the budget said; None: neither is said.

    Args:
        known: The efforts that the API has, of `EFFORTS`, rising.
    """
    if reasoning.effort is not None:
        return nearest(reasoning.effort, known)
    if reasoning.budget_tokens is None:
        return None
    if reasoning.budget_tokens == 0:
        return nearest("none", known)
    share = reasoning.budget_tokens / room
    # `none` is no share but a word of its own, and `max` has the share of `xhigh`: neither is meant by a number.
    between = [effort for effort in EFFORTS if effort not in ("none", "max")]
    return nearest(min(between, key=lambda effort: abs(RATIOS[effort] - share)), known)


def nearest(effort: str, known: Sequence[str]) -> str:
    """The effort itself where it is known, else its nearest; the lower one where two are as near."""
    if effort in known:
        return effort
    at = EFFORTS.index(effort)
    return min(known, key=lambda each: (abs(EFFORTS.index(each) - at), EFFORTS.index(each)))
