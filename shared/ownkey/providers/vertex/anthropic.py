"""Anthropic's models at Vertex AI. Source: anthropic 2.11 `lib/vertex/_client.py` (`_prepare_options`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ownkey.providers.address import Address, Plain, passed_on
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.anthropic.betas import HEADER, unscoped
from ownkey.providers.anthropic.caching import marked_at_the_end
from ownkey.providers.anthropic.foreign import own
from ownkey.providers.anthropic.messages import check_apart
from ownkey.providers.anthropic.threads import refuse_thread
from ownkey.providers.crossing import Conversation
from ownkey.providers.document import REMOVED
from ownkey.providers.gemini.address import MethodAddress
from ownkey.providers.passthrough import GATEWAY_FIELDS
from ownkey.providers.translator import Call, Encoded
from ownkey.providers.vertex.betas import COUNTED_WITHOUT, betas_of
from ownkey.providers.vertex.failing import FailsAsGoogle

_MODELS = "publishers/anthropic/models"
_VERSION, _ONE_VERSION_SINCE = "vertex-2023-10-16", "2026-10-21"
"""Of the API: in the body, not in a header. From the second on it goes by the same name as at Anthropic (anthropic
2.11, `_constants.py`; before, its SDKs said the first)."""
_NOT_HERE = ("cache_control", "service_tier")
"""Members that only tune, and that are Anthropic's own API's: here marks on single parts are cached up to, and the tier
is the project's (langchain-google 1612; Google's page on Claude's prompt caching).
"""


class _Messages(MethodAddress):
    """The model in the path alone."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_MODELS, "rawPredict", "streamRawPredict")

    def headers(self, call: Call) -> dict[str, str]:
        """As `Address` has it."""
        return super().headers(call) | _beta_header(call, frozenset())

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `Address` has it."""
        return {**super().members(call), **_version(call)}


class _CountTokens(Plain):
    """The model in the body."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(f"/{_MODELS}/count-tokens:rawPredict")

    def headers(self, call: Call) -> dict[str, str]:
        """As `Address` has it."""
        return super().headers(call) | _beta_header(call, COUNTED_WITHOUT)

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `Address` has it."""
        return {**super().members(call), **_version(call)}


class VertexMessagesApi(FailsAsGoogle, MessagesApi):
    """`MessagesApi` there."""

    def __init__(self) -> None:
        super().__init__(_Messages())

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it, without what is Anthropic's own API's."""
        tier = conversation.service_tier
        dropped = () if tier in (None, "auto") else (conversation.names.get("service_tier", "service_tier"),)
        mark, turns = conversation.cache, conversation.turns
        turns = turns if mark is None else marked_at_the_end(turns, mark)
        sent = super().write_request(call, replace(conversation, service_tier=None, cache=None, turns=turns))
        return replace(sent, dropped=sent.dropped + dropped + betas_of(call.client_headers).dropped)


class VertexMessages(FailsAsGoogle, AnthropicMessages):
    """`messages`, passed through."""

    def __init__(self) -> None:
        super().__init__(_Messages())

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's, or Anthropic's own API's."""
        refuse_thread(call.body.values)
        return _passed(self._address, call, frozenset())


class VertexCountTokens(FailsAsGoogle, AnthropicCountTokens):
    """`count_tokens`, passed through."""

    def __init__(self) -> None:
        super().__init__(_CountTokens())

    def encode_request(self, call: Call) -> Encoded:
        """As `VertexMessages` has it."""
        return _passed(self._address, call, COUNTED_WITHOUT)


def _version(call: Call) -> Mapping[str, Any]:
    """The client's own, as it decides what the answer looks like."""
    wanted = call.client_headers.get("anthropic-version", "")
    return {"anthropic_version": wanted if wanted >= _ONE_VERSION_SINCE else _VERSION}


def _passed(address: Address, call: Call, without: frozenset[str]) -> Encoded:
    check_apart(call)
    stated = call.body.values
    changes: dict[str, Any] = {name: REMOVED for name in (*GATEWAY_FIELDS, *_NOT_HERE) if name in stated}
    dropped = tuple(name for name in _NOT_HERE if stated.get(name) not in (None, "auto"))
    mine = own(stated, call.model_id)
    shared = unscoped({**stated, **changes, **mine.changes})
    dropped += mine.dropped + shared.dropped
    changes |= mine.changes | shared.changes
    return passed_on(address, call, changes, dropped + betas_of(call.client_headers, without).dropped)


def _beta_header(call: Call, without: frozenset[str]) -> dict[str, str]:
    known = betas_of(call.client_headers, without).known
    return {HEADER: ",".join(known)} if known else {}
