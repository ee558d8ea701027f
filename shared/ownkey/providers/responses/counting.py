"""How many tokens a conversation has, by OpenAI's own count: free, and of Responses' requests.

openai-python 3.52: `resources/responses/input_tokens.py`, `types/responses/input_token_count_params.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.providers.address import Address, Plain, addressed
from ownkey.providers.crossing import Conversation, Drops
from ownkey.providers.failures import decode_failure
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.responses.requests_out import write_request
from ownkey.providers.translator import Call, Encoded

ADDRESS: Address = Plain("/responses/input_tokens", frozenset({"openai-beta"}))

_COUNTED = frozenset(
    {"input", "instructions", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools"},
)
"""The members of a request that have tokens; the API refuses all others."""


class InputTokensApi:
    """A `CountingApi`."""

    def __init__(self, address: Address | None = None) -> None:
        self._address = address or ADDRESS

    def write_count(self, call: Call, conversation: Conversation) -> Encoded:
        """The request as it would be asked, less what is no part of the prompt."""
        drops = Drops(conversation.names, call.provider.display_name)
        members = write_request(replace(conversation, stop=()), call.model_id, call.model, drops)
        counted = {name: value for name, value in members.items() if name in _COUNTED}
        return addressed(self._address, call, counted, drops.dropped)

    def read_count(self, body: bytes) -> int:
        """`{"object": "response.input_tokens", "input_tokens": …}`."""
        tokens = parsed_answer(body).values.get("input_tokens")
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise ProviderInvalidResponse("The provider's answer is no count of tokens.")
        return tokens

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """An `error` object."""
        return decode_failure(status, headers, body)
