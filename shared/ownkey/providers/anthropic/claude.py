"""What each generation of Claude takes, by the version in its id: what one takes, another answers with a 400.

From platform.claude.com (2026-11): the pages on thinking, effort, structured outputs and mid-conversation system
messages, the migration guides of Opus 4.7, Fable 5, Opus 5, Opus 5.5, Sonnet 5.5 and Haiku 5.5, and "Prefill not
supported"; anthropic-sdk-python 2.11: `types/thinking_types.py`, `types/effort_capability.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

_WITHOUT_MAX = ("low", "medium", "high")
_WITHOUT_XHIGH = (*_WITHOUT_MAX, "max")
_ALL = (*_WITHOUT_MAX, "xhigh", "max")

_ID = re.compile(
    r"claude-(?:(?P<old>\d(?:[-.]\d(?!\d))?)-[a-z]"
    r"|(?P<line>[a-z]+)-(?P<new>\d(?:[-.]\d{1,2}(?!\d))?)(?!\d)"
    r"|(?P<preview>mythos-preview))"
)
"""`claude-3-7-sonnet-20250219`, `claude-opus-4-5@20251101`, `us.anthropic.claude-haiku-5-5-v1:0`, …"""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model takes. The defaults are those of a model that is no Claude, behind an API that speaks like one."""

    budgets: bool = True
    """`thinking.type: enabled`, with a budget."""
    adaptive: bool = False
    """`thinking.type: adaptive`, with `output_config.effort`."""
    efforts: tuple[str, ...] = ()
    """Of `crossing.EFFORTS`."""
    thinks_unasked: bool = False
    off: Literal["disabled", "between_tools"] | None = "disabled"
    """The `thinking.type` that keeps it from thinking unasked; None: nothing does."""
    sampling: bool = True
    """Temperature, top_p, top_k."""
    temperature_and_top_p: bool = True
    """Both in one request."""
    forced_tools: bool = True
    """`tool_choice` of the types `any` and `tool`."""
    prefill: bool = True
    """Goes on from an assistant's turn that is the last."""
    system_turns: bool = False
    """Turns of the role `system` between the others."""
    schemas: bool = False
    """`output_config.format`, and tools that are `strict`."""
    schemas_at_bedrock: bool = False
    """The same there: from Opus 4.7 on it refuses them, but for Mythos (vercel/ai 14773, anthropic-sdk-python 1759,
    truefoundry/models 1314; litellm 1.109, `supports_native_structured_output`)."""


@cache
def abilities_of(model_id: str) -> Abilities:
    """Of a model by any provider's id of it. A Claude newer than all that are known is taken for the newest one."""
    found = _ID.search(model_id.lower())
    if found is None:
        return Abilities()
    if found["preview"]:
        return _of("mythos", (5, 0))
    major, _, minor = (found["old"] or found["new"]).replace(".", "-").partition("-")
    return _of(found["line"] or "", (int(major), int(minor or 0)))


def _of(line: str, version: tuple[int, int]) -> Abilities:
    adaptive_alone = version >= (4, 7)
    since_5 = version >= (5, 0)
    since_5_1 = version >= (5, 1)
    never_off = (since_5 and line in ("fable", "mythos")) or (since_5_1 and line == "opus")
    schemas = version >= (4, 5) or (line == "opus" and version == (4, 1))
    return Abilities(
        budgets=(3, 7) <= version < (4, 7),
        adaptive=version >= (4, 6),
        efforts=_efforts(line, version),
        thinks_unasked=since_5,
        off=None if never_off else "between_tools" if since_5_1 and line == "sonnet" else "disabled",
        sampling=not adaptive_alone,
        temperature_and_top_p=version < (4, 1),
        forced_tools=not since_5_1 or line == "haiku",
        prefill=version < (4, 6),
        system_turns=version >= (4, 8) and not (line == "sonnet" and not since_5_1),
        schemas=schemas,
        schemas_at_bedrock=schemas and (version < (4, 7) or line == "mythos"),
    )


def _efforts(line: str, version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return _ALL
    if version == (4, 6):
        return _WITHOUT_XHIGH
    return _WITHOUT_MAX if line == "opus" and version == (4, 5) else ()
