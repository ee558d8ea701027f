"""Which efforts OpenAI's models know: of those before some generation, fewer than the API has words for.

openai-python 3.52, `types/shared/reasoning.py`: not every model takes every one. OpenAI's page of each says which:
`none` in place of `minimal` from gpt-5.1 on, `xhigh` from gpt-5.1-codex-max and gpt-5.2 on; pro models always think.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ownkey.providers.crossing import EFFORTS, Reasoning
from ownkey.providers.crossing.effort import effort_of

_KNOWN: tuple[tuple[re.Pattern[str], Sequence[str]], ...] = tuple(
    (re.compile(pattern), efforts.split())
    for pattern, efforts in (
        (r"o\d.*", "low medium high"),
        (r"gpt-5-pro.*", "high"),
        (r"gpt-5-codex.*|gpt-5\.1-codex(-mini)?", "low medium high"),
        (r"gpt-5\.1-codex-max", "low medium high xhigh"),
        (r"gpt-5(-mini|-nano)?(-\d{4}-.*)?", "minimal low medium high"),
        (r"gpt-5\.1(-\d{4}-.*)?", "none low medium high"),
        (r"gpt-5\.\d+-pro.*", "medium high xhigh"),
        (r"gpt-5\.\d+-codex.*", "low medium high xhigh"),
        (r"gpt-5\.[2-5].*", "none low medium high xhigh"),
    )
)
"""Pattern of a whole id → the efforts, rising. The first that matches decides; other models know all of them."""


def effort_for(reasoning: Reasoning, model_id: str, room: int) -> str | None:
    """The effort to ask for; None: the model's own.

    Args:
        room: How many tokens may come out, for a wish in tokens.
    """
    name = model_id.rpartition("/")[2]
    known = next((efforts for pattern, efforts in _KNOWN if pattern.fullmatch(name)), EFFORTS)
    return effort_of(reasoning, room, known)
