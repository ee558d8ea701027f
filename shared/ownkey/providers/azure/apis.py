"""OpenAI's APIs as Azure has them: the same dialects at Azure's addresses."""

from __future__ import annotations

from ownkey.providers.azure.address import CHAT
from ownkey.providers.openai.api import ChatApi


def chat() -> ChatApi:
    """`crossing.ProviderApi` of chat completions."""
    return ChatApi(CHAT)
