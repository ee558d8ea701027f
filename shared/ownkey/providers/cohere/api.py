"""Cohere's chat (`POST /v2/chat`), whole and streamed, as a side of a crossing."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.address import Address, Plain, addressed
from ownkey.providers.cohere.answers_in import Reader, read_answer
from ownkey.providers.cohere.requests_out import members_of
from ownkey.providers.crossing import Answer, Conversation, Drops
from ownkey.providers.failures import decode_failure
from ownkey.providers.translator import Call, Encoded

_CHAT = Plain("/chat")


class CohereApi:
    """A `crossing.ProviderApi`."""

    def __init__(self, address: Address = _CHAT) -> None:
        self._address = address

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `crossing.ProviderApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        members = members_of(conversation, call, drops)
        return addressed(self._address, call, members, drops.dropped)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """As `crossing.ProviderApi` has it."""
        return read_answer(body)

    def reader(self, call: Call) -> Reader:
        """As `crossing.ProviderApi` has it."""
        return Reader()

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """`{"message": …, "id": …}`. 498 is a prompt or an answer that was blocked."""
        return decode_failure(status, headers, body)
