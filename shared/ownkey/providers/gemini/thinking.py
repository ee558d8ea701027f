"""What each line of Google's models takes of a wish for reasoning: a level, a budget of tokens, or nothing.

Levels and budgets: ai.google.dev/gemini-api/docs/thinking; firebase.google.com/docs/ai-logic/thinking (which model has
which level); for Gemma 4 livekit/agents 7095. A model is sent one of the two, never both: that is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ownkey.catalog import Model
from ownkey.providers.crossing import Conversation, Drops, Reasoning
from ownkey.providers.crossing.effort import DEFAULT_EFFORT, RATIOS, effort_of, room_of

_DYNAMIC = -1
"""A budget: the model decides."""
_FIRST_OF_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Thinks:
    """How a line of models thinks. No levels and no budget: it does not."""

    levels: tuple[str, ...] = ()
    """Of `EFFORTS`, rising."""
    least: int = 0
    """Tokens, where it is to think at all."""
    most: int = 0
    optional: bool = False
    """Whether a budget of 0 is taken."""


_LINES: tuple[tuple[re.Pattern[str], Thinks], ...] = tuple(
    (re.compile(pattern), thinks)
    for pattern, thinks in (
        (r"gemini-2\.5-.*(?:image|tts|live|audio).*", Thinks()),
        (r"gemini-2\.5-pro.*", Thinks(least=128, most=32_768)),
        (r"gemini-2\.5-flash-lite.*", Thinks(least=512, most=24_576, optional=True)),
        (r"gemini-2\.5-.*", Thinks(least=1, most=24_576, optional=True)),
        (r"gemini-3-pro.*", Thinks(("low", "high"))),
        (r"gemini-3(?:\.\d+)?-pro.*|gemini-3\.7-flash.*", Thinks(("low", "medium", "high"))),
        (r"gemini-3(?:\.\d+)?-.*", Thinks(("minimal", "low", "medium", "high"))),
        (r"gemini-(?:\d+(?:\.\d+)?-.*|.*-latest)", Thinks(("low", "medium", "high"))),
        (r"gemma-4-.*", Thinks(("minimal", "high"))),
    )
)
"""By the whole id of a model; the first decides. Others, and Gemini before 2.5, do not think."""
_BEFORE_THOUGHT = re.compile(r"gemini-(?:1(?:\.\d+)?|2(?:\.0)?)-.*")
_GENERATION = re.compile(r"gemini-(\d+)")


def thinks(model_id: str) -> Thinks:
    """How the model thinks."""
    if _BEFORE_THOUGHT.fullmatch(model_id):
        return Thinks()
    return next((each for models, each in _LINES if models.fullmatch(model_id)), Thinks())


def of_third_generation(model_id: str) -> bool:
    """Whether the model is Gemini 3 or later: it signs its calls, and takes media in the results of tools, and a
    schema of the answer beside tools.
    """
    generation = _GENERATION.match(model_id)
    if generation is None:
        return model_id.startswith("gemini-") and model_id.endswith("-latest")
    return int(generation[1]) >= _FIRST_OF_LEVELS


def thinking_config(
    conversation: Conversation, model_id: str, model: Model | None, drops: Drops
) -> Mapping[str, Any] | None:
    """`thinkingConfig`; None: as the model does by itself."""
    reasoning = conversation.reasoning
    if reasoning is None:
        return None
    line = thinks(model_id)
    if not line.levels and not line.most:
        if not reasoning.off:
            drops.drop("reasoning")
        return None
    room = room_of(conversation, model)
    config: dict[str, Any] = {}
    if line.levels:
        effort = effort_of(reasoning, room, line.levels)
        if effort is not None:
            config["thinkingLevel"] = effort.upper()
    else:
        budget = _budget(reasoning, room, line)
        if budget is not None:
            config["thinkingBudget"] = budget
    # By itself it thinks unseen; who asks for thought on a surface that shows it expects to see it.
    visible = reasoning.visible if reasoning.off or reasoning.visible is not None else True
    if visible is False or (visible and config.get("thinkingBudget") != 0):  # thoughts of none are an error to show
        config["includeThoughts"] = visible
    return config or None


def _budget(reasoning: Reasoning, room: int, line: Thinks) -> int | None:
    """Thoughts come out of the limit on output: of a small one a share is thought, not more than there is."""
    if reasoning.off:
        return 0 if line.optional else line.least
    if reasoning.effort is None and reasoning.budget_tokens is None:
        return _DYNAMIC if reasoning.adaptive else None
    wanted = reasoning.budget_tokens
    if wanted is None:
        wanted = int(room * RATIOS[reasoning.effort or DEFAULT_EFFORT])
    return min(max(wanted, line.least), line.most)
