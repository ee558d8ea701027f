"""Open models at Vertex AI, by OpenAI's chat completions. Source: Google's page on calling them by OpenAI's API."""

from __future__ import annotations

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.address import Plain
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.translator import Call
from ownkey.providers.vertex.failing import FailsAsGoogle


class _Chat(Plain):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("/endpoints/openapi/chat/completions")

    def url(self, call: Call) -> str:
        """As `Address` has it; models of AI21 go by bare names, and have other addresses and bodies."""
        if "/" not in call.model_id:
            raise UnsupportedParameter(
                f"{call.provider.display_name} is asked for models of `publisher/model` by OpenAI's API alone.",
                param="model",
            )
        return super().url(call)


class VertexChatApi(FailsAsGoogle, ChatApi):
    """`ChatApi` there."""

    def __init__(self) -> None:
        super().__init__(_Chat())


class VertexChat(FailsAsGoogle, OpenAiChat):
    """`chat`, passed through."""

    def __init__(self) -> None:
        super().__init__(_Chat())
