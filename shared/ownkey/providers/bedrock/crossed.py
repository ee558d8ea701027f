"""Anthropic's dialect at Bedrock for clients that speak another: Anthropic's own API at another place, in frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.anthropic.caching import marked_at_the_end
from ownkey.providers.anthropic.claude import Abilities, abilities_of
from ownkey.providers.bedrock.address import InvokeAddress
from ownkey.providers.bedrock.betas import betas_of
from ownkey.providers.bedrock.eventstream import FrameSplitter
from ownkey.providers.bedrock.failures import decode_failure
from ownkey.providers.bedrock.invoke import unframed
from ownkey.providers.crossing import (
    Conversation,
    Document,
    Drops,
    Event,
    EventReader,
    HostedTool,
    Image,
    Inline,
    ToolResult,
)
from ownkey.providers.translator import Call, Encoded

_RUN_BY_ANTHROPIC = frozenset({"code_execution", "web_fetch", "web_search"})
"""Tools of its own API alone; those that the client runs (`bash`, `computer`, …) are here too."""


class BedrockMessagesApi(MessagesApi):
    """A `ProviderApi`: InvokeModel of Anthropic's models."""

    def __init__(self) -> None:
        super().__init__(InvokeAddress())

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it, without what Bedrock refuses: its tiers are other ones, and it takes marks of a
        cache on single parts alone.

        Raises:
            UnsupportedParameter: also for what Anthropic itself would fetch, keep or run.
        """
        _refuse_what_is_not_here(conversation, Drops(conversation.names, call.provider.display_name))
        tier = conversation.service_tier
        dropped = () if tier in (None, "auto") else (conversation.names.get("service_tier", "service_tier"),)
        turns = (
            conversation.turns
            if conversation.cache is None
            else marked_at_the_end(conversation.turns, conversation.cache)
        )
        sent = super().write_request(call, replace(conversation, service_tier=None, turns=turns, cache=None))
        return replace(sent, dropped=sent.dropped + dropped + betas_of(call).dropped)

    def abilities(self, model_id: str) -> Abilities:
        """As Bedrock has the model."""
        there = abilities_of(model_id)
        return replace(there, schemas=there.schemas_at_bedrock)

    def reader(self, call: Call) -> EventReader:  # type: ignore[override]
        """The events in their frames."""
        return UnframedReader(super().reader(call))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As Bedrock tells it."""
        return decode_failure(status, headers, body)


class UnframedReader:
    """An `EventReader` over one of server-sent events: takes them out of their frames."""

    def __init__(self, events: EventReader) -> None:
        self._events = events
        self._frames = FrameSplitter()

    def feed(self, data: bytes) -> Iterable[Event]:
        """As `EventReader` has it."""
        for event in unframed(self._frames, data):
            yield from self._events.feed(event)

    def close(self, *, orderly: bool) -> Iterable[Event]:
        """As `EventReader` has it; within a frame nothing ends orderly."""
        return self._events.close(orderly=orderly and self._frames.whole)


def _refuse_what_is_not_here(conversation: Conversation, drops: Drops) -> None:
    for tool in conversation.tools:
        if isinstance(tool, HostedTool) and tool.kind in _RUN_BY_ANTHROPIC:
            raise drops.refusal("tools", f"it does not run {tool.kind}")
    for turn in conversation.turns:
        for part in turn.parts:
            for each in part.content if isinstance(part, ToolResult) else (part,):
                if isinstance(each, Image | Document) and not isinstance(each.source, Inline):
                    raise drops.refusal(
                        "messages", "it takes images and documents as data alone, not by URL or file id"
                    )
