"""Anthropic's dialect: messages and what belongs to them.

========== ===========================================================================
`messages` messages, count_tokens to a provider that speaks them too: passed through
========== ===========================================================================
"""

from ownkey.providers.anthropic.messages import AnthropicCountTokens, AnthropicMessages, MessagesAddress, read_usage

__all__ = ["AnthropicCountTokens", "AnthropicMessages", "MessagesAddress", "read_usage"]
