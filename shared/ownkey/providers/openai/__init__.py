"""OpenAI's dialects: chat completions and what belongs to them.

======= ======================================================================
`chat`  chat completions to a provider that speaks them too: passed through
======= ======================================================================
"""

from ownkey.providers.openai.chat import OpenAiChat, read_usage

__all__ = ["OpenAiChat", "read_usage"]
