"""OpenAI's Responses as a client speaks them, to whatever provider serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.crossing import Answer, Conversation
from ownkey.providers.responses.answers_out import ResponseWriter, write_response
from ownkey.providers.responses.requests_in import read_request
from ownkey.providers.translator import Annotate, Call


class ResponsesClient:
    """A `ClientDialect`: `responses`."""

    def read_request(self, values: Mapping[str, Any]) -> Conversation:
        """A request that has all of the conversation in it."""
        return read_request(values)

    def write_answer(self, call: Call, conversation: Conversation, answer: Answer, annotate: Annotate) -> bytes:
        """A `response`."""
        return write_response(call, conversation, answer, annotate)

    def writer(self, call: Call, conversation: Conversation, annotate: Annotate) -> ResponseWriter:
        """Named events."""
        return ResponseWriter(call, conversation, annotate)
