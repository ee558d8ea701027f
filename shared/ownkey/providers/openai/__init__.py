"""OpenAI's dialects: chat completions and what belongs to them.

======= ======================================================================
`chat`  chat completions to a provider that speaks them too: passed through
======= ======================================================================
"""

from ownkey.providers.openai.chat import CHAT, OpenAiChat, read_usage

__all__ = ["CHAT", "OpenAiChat", "read_usage"]
