"""The dialects that Vertex AI speaks, at its addresses.

```
{base_url}/publishers/google/models/{model}:generateContent             Google's models
{base_url}/publishers/anthropic/models/{model}:rawPredict               Anthropic's: `messages` without the model
{base_url}/publishers/anthropic/models/count-tokens:rawPredict          … with it
{base_url}/endpoints/openapi/chat/completions                           `publisher/model`: OpenAI's chat completions
```

Sources: google-genai 3.4 `models.py`; anthropic 2.11 `lib/vertex/_client.py` (`_prepare_options`); for the others
Google's page on calling open models by OpenAI's API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.address import Plain
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.gemini.address import MethodAddress
from ownkey.providers.gemini.api import COUNT, GENERATE, GeminiApi
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.translator import Call

_GOOGLE = "publishers/google/models"
_ANTHROPIC = "publishers/anthropic/models"
_VERSION, _ONE_VERSION_SINCE = "vertex-2023-10-16", "2026-10-21"
"""Of Anthropic's API: in the body, not in a header. From the second on it goes by the same name as at Anthropic
(anthropic 2.11, `_constants.py`; before, its SDKs said the first)."""
_BETAS = frozenset({"anthropic-beta"})


class _Messages(MethodAddress):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_ANTHROPIC, "rawPredict", "streamRawPredict", _BETAS)

    def members(self, call: Call) -> Mapping[str, Any]:
        return {**super().members(call), **_version(call)}


class _Chat(Plain):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("/endpoints/openapi/chat/completions")

    def url(self, call: Call) -> str:
        """As `Address` has it; models of Mistral and AI21 go by bare names, and have other addresses and bodies."""
        if "/" not in call.model_id:
            raise UnsupportedParameter(
                f"{call.provider.display_name} is asked for models of `publisher/model` by OpenAI's API alone.",
                param="model",
            )
        return super().url(call)


class _CountTokens(Plain):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(f"/{_ANTHROPIC}/count-tokens:rawPredict", _BETAS)

    def members(self, call: Call) -> Mapping[str, Any]:
        return {**super().members(call), **_version(call)}


def _version(call: Call) -> Mapping[str, Any]:
    """The client's own, as it decides what the answer looks like."""
    wanted = call.client_headers.get("anthropic-version", "")
    return {"anthropic_version": wanted if wanted >= _ONE_VERSION_SINCE else _VERSION}


def gemini() -> GeminiApi:
    """Google's own models."""
    return GeminiApi(MethodAddress(_GOOGLE, *GENERATE), MethodAddress(_GOOGLE, COUNT), nests=False)


def messages() -> MessagesApi:
    """Anthropic's models, for any client."""
    return MessagesApi(_Messages())


def passed_messages() -> AnthropicMessages:
    """`messages` to Anthropic's models, passed through."""
    return AnthropicMessages(_Messages())


def passed_count() -> AnthropicCountTokens:
    """`count_tokens` for Anthropic's models, passed through."""
    return AnthropicCountTokens(_CountTokens())


def passed_chat() -> OpenAiChat:
    """`chat` to the other models, passed through."""
    return OpenAiChat(_Chat())


def chat() -> ChatApi:
    """The other models, for any client."""
    return ChatApi(_Chat())
