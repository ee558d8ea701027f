"""Anthropic's messages as an API that any client's conversation can be had by."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure
from ownkey.providers.address import Address, addressed
from ownkey.providers.anthropic.answers_in import MessageReader, read_message
from ownkey.providers.anthropic.apart import refuse_tools
from ownkey.providers.anthropic.blocks_out import tool_name
from ownkey.providers.anthropic.claude import Abilities, abilities_of
from ownkey.providers.anthropic.messages import MessagesAddress
from ownkey.providers.anthropic.requests_out import write_request
from ownkey.providers.crossing import Answer, Conversation, Drops, HostedTool, Tool
from ownkey.providers.failures import decode_failure
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.translator import Call, Encoded

_EMULATED = "emulated_tool"
_NAMES = "tool_names"
"""Names of tools as they were sent → as the client has them."""


class MessagesApi:
    """A `ProviderApi`: the Anthropic family, wherever it is served."""

    def __init__(self, address: Address | None = None) -> None:
        self._address = address or MessagesAddress()

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """A messages request, sent to the address."""
        if not call.own:
            refuse_tools([each.values for each in conversation.tools if isinstance(each, HostedTool)])
        drops = Drops(conversation.names, call.provider.display_name)
        written = write_request(conversation, self.abilities(call.model_id), call.model, drops)
        call.kept[_EMULATED] = written.emulated
        call.kept[_NAMES] = {tool_name(each.name): each.name for each in conversation.tools if isinstance(each, Tool)}
        return addressed(self._address, call, written.members, drops.dropped)

    def abilities(self, model_id: str) -> Abilities:
        """What the model takes where it is served."""
        return abilities_of(model_id)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """A `message`."""
        return read_message(parsed_answer(body).values, call.kept.get(_EMULATED), call.kept.get(_NAMES))

    def reader(self, call: Call) -> MessageReader:
        """Named events. What frames them otherwise gives each event's JSON to `MessageReader.read`."""
        return MessageReader(call.kept.get(_EMULATED), call.kept.get(_NAMES))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """`{"type": "error", "error": {…}}`."""
        return decode_failure(status, headers, body)
