"""OpenAI's Responses as an API that any client's conversation can be had by."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.address import Address, addressed
from ownkey.providers.crossing import Answer, Conversation, Drops, EventReader
from ownkey.providers.crossing.stops import CutReader, cut_at
from ownkey.providers.failures import decode_failure
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.responses.answers_in import ResponseReader, read_response
from ownkey.providers.responses.passthrough import ADDRESS
from ownkey.providers.responses.requests_out import write_request
from ownkey.providers.translator import Call, Encoded

_STOPS = "responses.stops"
"""In `Call.kept`: where the answer is to stop."""


class ResponsesApi:
    """A `ProviderApi`: Responses, wherever they are served."""

    def __init__(self, address: Address | None = None) -> None:
        self._address = address or ADDRESS

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """A request that has all of the conversation, sent to the address."""
        drops = Drops(conversation.names, call.provider.display_name)
        call.kept[_STOPS] = conversation.stop
        members = write_request(conversation, call.model_id, call.model, drops)
        return addressed(self._address, call, members, drops.dropped)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """A `response`."""
        return cut_at(read_response(parsed_answer(body).values), call.kept.get(_STOPS, ()))

    def reader(self, call: Call) -> EventReader:
        """Named events. The API has no stop sequences: they are found in what comes."""
        stops = call.kept.get(_STOPS, ())
        return CutReader(ResponseReader(), stops) if stops else ResponseReader()

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """An `error` object."""
        return decode_failure(status, headers, body)
