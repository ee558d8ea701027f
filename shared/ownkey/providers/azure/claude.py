"""Anthropic's models at Azure: Anthropic's own API, below the resource's `/anthropic/v1`.

Facts from anthropic 2.11, `lib/foundry.py`: `https://{resource}.services.ai.azure.com/anthropic/`, the key in
`x-api-key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import Auth
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages, MessagesAddress
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.azure.address import deployment_of
from ownkey.providers.translator import Call

_KEY = Auth("x-api-key", "{key}")
_VERSION = {"anthropic-version": "2023-06-01"}


class ClaudeAddress(MessagesAddress):
    """An `Address` of one of Anthropic's operations."""

    __slots__ = ()

    def __init__(self, path: str) -> None:
        super().__init__(f"/anthropic/v1{path}")

    def headers(self, call: Call) -> dict[str, str]:
        """As to Anthropic: with a version, the client's own where it has one."""
        return _VERSION | super().headers(call)

    def members(self, call: Call) -> Mapping[str, Any]:
        """The deployment, which is what Azure means by a model."""
        return {"model": deployment_of(call)}

    def auth(self, call: Call) -> Auth:
        """As the vendor's SDK does."""
        return _KEY


MESSAGES = ClaudeAddress("/messages")


def messages() -> MessagesApi:
    """`crossing.ProviderApi` of messages."""
    return MessagesApi(MESSAGES)


def passed_messages() -> AnthropicMessages:
    """`messages`, passed through."""
    return AnthropicMessages(MESSAGES, holds=False)


def passed_count() -> AnthropicCountTokens:
    """`count_tokens`, passed through."""
    return AnthropicCountTokens(ClaudeAddress("/messages/count_tokens"))
