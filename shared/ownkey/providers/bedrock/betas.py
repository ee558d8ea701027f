"""Which of Anthropic's beta features Bedrock knows: one that it does not is a 400, "invalid beta flag".

Claude Code has met it at every release, and at every gateway that forwards its header (anthropics/claude-code 49370,
56595, 82549; router-for-me/CLIProxyAPI 4750). The names are those that litellm 1.109 found to be taken
(`anthropic_beta_headers_config.json`), and interleaved thinking, which people saw taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.providers.anthropic.betas import Betas, asked_for, sorted_out
from ownkey.providers.translator import Call

_KNOWN: Mapping[str, str] = {
    **{
        each: each
        for each in (
            *("compact-2026-01-12", "computer-use-2025-01-24", "computer-use-2025-11-24", "context-1m-2025-08-07"),
            *("context-management-2025-06-27", "dangerous-tool-use-2026-09-03", "effort-2025-11-24"),
            *("fine-grained-tool-streaming-2025-05-14", "interleaved-thinking-2025-05-14"),
            *("mid-conversation-output-config-2026-07-01", "mid-conversation-tool-changes-2026-07-01"),
            *("thinking-binding-controls-2026-08-01", "thinking-display-updates-2026-08-18"),
            "tool-search-tool-2025-10-19",
        )
    },
    "advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19",
}
"""Anthropic's name → Bedrock's."""


def betas_of(call: Call) -> Betas:
    """The features that the client asks for, in the body or by header."""
    stated = call.body.values.get("anthropic_beta")
    named = [each for each in stated if isinstance(each, str)] if isinstance(stated, list) else []
    return sorted_out((*named, *asked_for(call.client_headers)), _KNOWN)
