"""Anthropic's dialect: messages and what belongs to them.

=============== ===============================================================================
`messages`      messages, count_tokens to a provider that speaks them too: passed through
`foreign`       … without what a conversation has of other providers
`threads`       … nor of conversations that it holds
`apart`         what they may not ask by a credential that is not the account's own
`client`        messages as a client speaks them, to any provider
`requests_in`   … its request, `blocks_in` the content of it
`answers_out`   … its answer
`api`           messages as an API for any client
`requests_out`  … its request: `blocks_out` the content, `tools_out` tools and forms of output,
                `thinking_out` how much is thought
`answers_in`    … its answer
`claude`        what each generation of models takes
`caching`       a whole prompt cached by a mark on its last part
`betas`         beta features, and marks, that hosts of its models do not all know
`schemas`       the part of JSON Schema that they can be held to
`words`         reasons to stop, citations: both ways
=============== ===============================================================================

A cold start loads `messages`, `foreign` and `threads` alone.
"""

from ownkey.providers.anthropic.messages import (
    AnthropicCountTokens,
    AnthropicMessages,
    MessagesAddress,
    read_terms,
    read_usage,
)

__all__ = ["AnthropicCountTokens", "AnthropicMessages", "MessagesAddress", "read_terms", "read_usage"]
