"""Clients that speak chat completions: their half of a crossing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.crossing.answer import Answer
from ownkey.providers.crossing.conversation import Conversation
from ownkey.providers.crossing.sides import EventWriter
from ownkey.providers.openai import answers_out, requests_in
from ownkey.providers.translator import Annotate, Call


class ChatClient:
    """`ClientDialect` of the surface `chat`."""

    def read_request(self, values: Mapping[str, Any]) -> Conversation:
        """As `ClientDialect` has it."""
        return requests_in.read_request(values)

    def write_answer(self, call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
        """A `chat.completion`."""
        return answers_out.write_answer(call, conversation, answer, annotate)

    def writer(self, call: Call, conversation: Conversation, annotate: Annotate) -> EventWriter:
        """`chat.completion.chunk`s, then `[DONE]`."""
        return answers_out.ChunkWriter(call, conversation, annotate)
