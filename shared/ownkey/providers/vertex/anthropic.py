"""Anthropic's models at Vertex AI. Source: anthropic 2.11 `lib/vertex/_client.py` (`_prepare_options`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.address import Plain
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.gemini.address import MethodAddress
from ownkey.providers.gemini.failures import decode_failure
from ownkey.providers.translator import Call

_MODELS = "publishers/anthropic/models"
_VERSION, _ONE_VERSION_SINCE = "vertex-2023-10-16", "2026-10-21"
"""Of the API: in the body, not in a header. From the second on it goes by the same name as at Anthropic (anthropic
2.11, `_constants.py`; before, its SDKs said the first)."""
_BETAS = frozenset({"anthropic-beta"})


class _Messages(MethodAddress):
    """The model in the path alone."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_MODELS, "rawPredict", "streamRawPredict", _BETAS)

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `Address` has it."""
        return {**super().members(call), **_version(call)}


class _CountTokens(Plain):
    """The model in the body."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(f"/{_MODELS}/count-tokens:rawPredict", _BETAS)

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `Address` has it."""
        return {**super().members(call), **_version(call)}


class _FailsAsGoogle:
    """Errors are Google's, or Anthropic's own."""

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """What an error answer means."""
        return decode_failure(status, headers, body)


class VertexMessagesApi(_FailsAsGoogle, MessagesApi):
    """`MessagesApi` there."""

    def __init__(self) -> None:
        super().__init__(_Messages())


class VertexMessages(_FailsAsGoogle, AnthropicMessages):
    """`messages`, passed through."""

    def __init__(self) -> None:
        super().__init__(_Messages())


class VertexCountTokens(_FailsAsGoogle, AnthropicCountTokens):
    """`count_tokens`, passed through."""

    def __init__(self) -> None:
        super().__init__(_CountTokens())


def _version(call: Call) -> Mapping[str, Any]:
    """The client's own, as it decides what the answer looks like."""
    wanted = call.client_headers.get("anthropic-version", "")
    return {"anthropic_version": wanted if wanted >= _ONE_VERSION_SINCE else _VERSION}
