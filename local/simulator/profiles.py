"""Which provider speaks which dialect, and what its keys look like."""

from __future__ import annotations

import re
from dataclasses import replace

from local.simulator.dialects import (
    AnthropicDialect,
    CohereDialect,
    CompatibleDialect,
    OpenAIDialect,
    PartOfResponsesDialect,
    Profile,
    ResponsesDialect,
)
from local.simulator.google_dialects import GeminiDialect, gemini_path, vertex_path
from ownkey.catalog import Catalog

_ANYTHING = re.compile(r"[\w.-]*sim-[\w-]+")
_NOTHING = re.compile(r"(?!)")
"""No token is good for its looks."""
PROFILES: dict[str, Profile] = {
    "openai": Profile(
        OpenAIDialect(),
        re.compile(r"sk-(proj-|svcacct-)?sim-[\w-]+"),
        "openai",
        "openai",
        others=dict.fromkeys(ResponsesDialect.paths, ResponsesDialect()),
    ),
    "anthropic": Profile(AnthropicDialect(), re.compile(r"sk-ant-(api03-)?sim-[\w-]+"), "anthropic", "anthropic"),
    "cohere": Profile(CohereDialect(), re.compile(r"[\w-]*sim-[\w-]+"), version="v2"),
    "gemini": Profile(GeminiDialect(), _ANYTHING, version="v1beta", reads_path=gemini_path),
    "vertex": Profile(GeminiDialect(tokens=True), _NOTHING, reads_path=vertex_path),
}
COMPATIBLE = Profile(CompatibleDialect(), re.compile(r"[\w-]*sim-[\w-]+"))


_PARTS: dict[str, Profile] = {
    each.id: replace(COMPATIBLE, others={"responses": PartOfResponsesDialect(each.responses)})
    for each in Catalog.load().providers
    if each.responses is not None
}
"""Compatible providers that have a part of Responses."""


def profile_of(provider: str) -> Profile:
    """The profile of a provider: any id without one is a compatible provider of OpenAI's family."""
    return PROFILES.get(provider) or _PARTS.get(provider, COMPATIBLE)
