"""OpenAI's APIs as Azure has them: the same dialects at Azure's addresses."""

from __future__ import annotations

from ownkey.providers.azure.address import CHAT, RESPONSES
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.responses.api import ResponsesApi
from ownkey.providers.responses.passthrough import OpenAiResponses


def chat() -> ChatApi:
    """`crossing.ProviderApi` of chat completions."""
    return ChatApi(CHAT)


def responses() -> ResponsesApi:
    """`crossing.ProviderApi` of Responses."""
    return ResponsesApi(RESPONSES)


def passed_responses() -> OpenAiResponses:
    """`responses`, passed through."""
    return OpenAiResponses(RESPONSES)
