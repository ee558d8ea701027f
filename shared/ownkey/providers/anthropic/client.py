"""Anthropic's messages as a client speaks them, to whatever provider serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ownkey.providers.anthropic.answers_out import MessageWriter, write_message
from ownkey.providers.anthropic.requests_in import read_request
from ownkey.providers.crossing import Answer, Conversation
from ownkey.providers.translator import Annotate, Call


class MessagesClient:
    """A `ClientDialect` and `CountingClient`: `messages`, `messages/count_tokens`."""

    def read_request(self, values: Mapping[str, Any]) -> Conversation:
        """A messages request; of a count, what it has of one."""
        return read_request(values)

    def write_answer(self, call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
        """A `message`."""
        return write_message(call, answer, annotate)

    def writer(self, call: Call, conversation: Conversation, annotate: Annotate) -> MessageWriter:
        """Named events."""
        return MessageWriter(call, annotate)

    def write_count(self, tokens: int) -> bytes:
        """`{"input_tokens": …}`."""
        return json.dumps({"input_tokens": tokens}).encode()
