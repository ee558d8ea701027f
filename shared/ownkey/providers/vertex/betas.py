"""Which of Anthropic's beta features Vertex AI knows: one that it does not is a 400, and clients send all they know.

Claude Code's have broken at every release (anthropics/claude-code 12429, 21625, 34802; vercel/ai 10981). The names are
those that litellm 1.109 found to be taken (`anthropic_beta_headers_config.json`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.providers.anthropic.betas import Betas, asked_for, sorted_out

COUNTED_WITHOUT = frozenset({"web-search-2025-03-05"})
"""Known, but not where tokens are counted."""
_KNOWN: Mapping[str, str] = {
    **{
        each: each
        for each in (
            *("compact-2026-01-12", "compact-2026-09-04", "computer-use-2025-01-24", "computer-use-2025-11-24"),
            *("context-1m-2025-08-07", "context-management-2025-06-27", "dangerous-tool-use-2026-09-03"),
            *("interleaved-thinking-2025-05-14", "per-turn-control-2026-07-01", "thinking-binding-controls-2026-08-01"),
            *("thinking-display-updates-2026-08-18", "tool-search-tool-2025-10-19", "web-search-2025-03-05"),
        )
    },
    "advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19",
}
"""Anthropic's name → Vertex AI's."""


def betas_of(headers: Mapping[str, str], without: frozenset[str] = frozenset()) -> Betas:
    """The client's beta features.

    Args:
        headers: The client's; names in lower case.
        without: Those that are not to be had, though they are known.
    """
    return sorted_out(asked_for(headers), {name: here for name, here in _KNOWN.items() if name not in without})
