"""OpenAI's APIs as Azure has them: the same dialects at Azure's addresses."""

from __future__ import annotations

import json
from dataclasses import replace

from ownkey.providers.azure.address import CHAT, RESPONSES, is_older
from ownkey.providers.crossing import Conversation
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.responses.api import ResponsesApi
from ownkey.providers.responses.passthrough import OpenAiResponses
from ownkey.providers.translator import Call, Encoded

_NEWER_LIMIT = "max_completion_tokens"


class AzureChatApi(ChatApi):
    """A `ProviderApi`: chat completions."""

    def __init__(self) -> None:
        super().__init__(CHAT)

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it, by the names that the credential's version has."""
        sent = super().write_request(call, conversation)
        if not is_older(call):
            return sent
        members = json.loads(sent.body)
        renamed = {"max_tokens" if name == _NEWER_LIMIT else name: value for name, value in members.items()}
        return replace(sent, body=json.dumps(renamed, separators=(",", ":")).encode())


def chat() -> ChatApi:
    """`crossing.ProviderApi` of chat completions."""
    return AzureChatApi()


def responses() -> ResponsesApi:
    """`crossing.ProviderApi` of Responses."""
    return ResponsesApi(RESPONSES)


def passed_responses() -> OpenAiResponses:
    """`responses`, passed through."""
    return OpenAiResponses(RESPONSES)
