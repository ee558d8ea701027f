"""Providers that speak chat completions: their half of a crossing."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.address import Address, addressed
from ownkey.providers.crossing.answer import Answer
from ownkey.providers.crossing.conversation import Conversation
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.crossing.sides import EventReader
from ownkey.providers.crossing.stops import CutReader, cut_at
from ownkey.providers.failures import decode_failure
from ownkey.providers.openai import answers_in, requests_out
from ownkey.providers.openai.chat import CHAT
from ownkey.providers.translator import Call, Encoded


class ChatApi:
    """`ProviderApi` of chat completions, wherever they are served."""

    def __init__(self, address: Address = CHAT) -> None:
        self._address = address

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        members = requests_out.members_of(call, conversation, drops)
        return addressed(self._address, call, members, drops.dropped)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """A `chat.completion`."""
        return cut_at(answers_in.read_answer(body, self._reader(call)), call.kept.get(requests_out.LATER_STOPS, ()))

    def reader(self, call: Call) -> EventReader:
        """Of `chat.completion.chunk`s."""
        stops, reader = call.kept.get(requests_out.LATER_STOPS, ()), self._reader(call)
        return CutReader(reader, stops) if stops else reader

    def _reader(self, call: Call) -> answers_in.ChatReader:
        parameters = call.provider.parameters_of(call.model_id)
        names = call.kept.get(requests_out.NAMES, {})
        return answers_in.ChatReader(parameters, names, call.kept.get(requests_out.AS_TEXT))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """An `error` object, or whatever a compatible provider sends."""
        return decode_failure(status, headers, body)
