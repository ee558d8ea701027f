"""Converse: one API for all makers' models, whole and streamed; and its count of tokens."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.providers.address import addressed
from ownkey.providers.bedrock import answers, requests
from ownkey.providers.bedrock.address import BedrockAddress, CountAddress
from ownkey.providers.bedrock.events import ConverseReader
from ownkey.providers.bedrock.failures import decode_failure
from ownkey.providers.bedrock.families import family_of
from ownkey.providers.crossing import Answer, Conversation, Drops, EventReader
from ownkey.providers.crossing.stops import CutReader, cut_at
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.translator import Call, Encoded

_CONVERSE = BedrockAddress("converse", "converse-stream")
_COUNT = CountAddress()


class ConverseApi:
    """A `ProviderApi`: `/model/{id}/converse` and `/model/{id}/converse-stream`."""

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        body = requests.write(call, conversation, drops)
        return addressed(_CONVERSE, call, body, drops.dropped)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """As `ProviderApi` has it."""
        return cut_at(answers.read(call, body), call.kept.get(requests.CUT_AT, ()))

    def reader(self, call: Call) -> EventReader:
        """As `ProviderApi` has it."""
        stops, reader = call.kept.get(requests.CUT_AT, ()), ConverseReader(call)
        return CutReader(reader, stops) if stops else reader

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `ProviderApi` has it."""
        return decode_failure(status, headers, body)


class ConverseCount:
    """A `CountingApi`: `/model/{id}/count-tokens`."""

    def write_count(self, call: Call, conversation: Conversation) -> Encoded:
        """As `CountingApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        prompt = requests.write_prompt(call, conversation, family_of(call.model_id), drops)
        return addressed(_COUNT, call, {"input": {"converse": prompt}}, drops.dropped)

    def read_count(self, body: bytes) -> int:
        """As `CountingApi` has it."""
        return read_count(body)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `CountingApi` has it."""
        return decode_failure(status, headers, body)


def read_count(body: bytes) -> int:
    """`{"inputTokens": …}`.

    Raises:
        ProviderFailure: the answer has no count.
    """
    tokens = parsed_answer(body).values.get("inputTokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise ProviderInvalidResponse("The provider's answer is no count of tokens.")
    return tokens
