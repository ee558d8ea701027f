"""`GeminiApi`: a conversation by `generateContent` and `streamGenerateContent`, and its tokens by `countTokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import InvalidParameter, ProviderFailure, ProviderInvalidResponse
from ownkey.providers.address import Address, addressed
from ownkey.providers.counts import parsed
from ownkey.providers.crossing import Answer, Conversation, Drops, folded
from ownkey.providers.gemini import failures
from ownkey.providers.gemini.address import MethodAddress, model_name
from ownkey.providers.gemini.contents import contents_of, text_parts
from ownkey.providers.gemini.names import NAMES, names_of
from ownkey.providers.gemini.reader import GeminiReader
from ownkey.providers.gemini.thinking import of_third_generation
from ownkey.providers.gemini.wishes import generation_config, service_tier, tool_config, tools_of, without_what_it_lacks
from ownkey.providers.translator import Call, Encoded

GENERATE = ("generateContent", "streamGenerateContent?alt=sse")
COUNT = "countTokens"
_TIER = "service_tier"


class GeminiApi:
    """A `ProviderApi` and a `CountingApi`."""

    def __init__(
        self,
        address: Address | None = None,
        counting: Address | None = None,
        *,
        nests: bool = True,
        names_calls: bool = True,
        has_tiers: bool = True,
    ) -> None:
        """
        Args:
            address: None: AI Studio's. So is `counting`.
            nests: Whether a count's request stands in `generateContentRequest`, as AI Studio wants what is more than
                contents; Vertex AI takes the members themselves.
            names_calls: Whether calls and their results have ids; Vertex AI refuses them as unknown.
            has_tiers: Whether a request asks for a tier of service; at Vertex AI a header does, at some locations.
        """
        self._address = address or MethodAddress("models", *GENERATE)
        self._counting = counting or MethodAddress("models", COUNT)
        self._nests = nests
        self._names_calls = names_calls
        self._has_tiers = has_tiers

    def write_request(self, call: Call, conversation: Conversation) -> Encoded:
        """As `ProviderApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        return addressed(self._address, call, self._members(call, conversation, drops), drops.dropped)

    def read_answer(self, call: Call, body: bytes) -> Answer:
        """As `ProviderApi` has it."""
        reader = self.reader(call)
        events = list(reader.read(parsed(body, "The provider's answer")))
        if not reader.answered:
            raise ProviderInvalidResponse("The provider's answer has no candidate.")
        return folded([*events, *reader.end()])

    def reader(self, call: Call) -> GeminiReader:
        """As `ProviderApi` has it."""
        return GeminiReader(
            call.kept.get(NAMES, {}),
            searches_by_query=of_third_generation(call.model_id),
            asked_tier=call.kept.get(_TIER),
        )

    def write_count(self, call: Call, conversation: Conversation) -> Encoded:
        """As `CountingApi` has it."""
        drops = Drops(conversation.names, call.provider.display_name)
        members = self._members(call, conversation, drops)
        for name in ("toolConfig", "serviceTier"):
            members.pop(name, None)
        if self._nests:
            members.pop("generationConfig", None)
            members = {"generateContentRequest": {"model": f"models/{model_name(call)}", **members}}
        return addressed(self._counting, call, members, drops.dropped)

    def read_count(self, body: bytes) -> int:
        """As `CountingApi` has it."""
        values = parsed(body, "The provider's answer")
        tokens = values.get("totalTokens")
        if values.get("error"):
            raise failures.failure_in_answer(values)
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise ProviderInvalidResponse("The provider's answer is no count of tokens.")
        return tokens

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `ProviderApi` has it."""
        return failures.decode_failure(status, headers, body)

    def _members(self, call: Call, conversation: Conversation, drops: Drops) -> dict[str, Any]:
        unsupported = call.provider.parameters_of(call.model_id).unsupported
        call.kept[NAMES] = names_of(conversation.tools)
        conversation = without_what_it_lacks(conversation, unsupported, drops)
        contents = contents_of(conversation, call.model_id, drops, with_ids=self._names_calls)
        system = text_parts(conversation.system, drops)
        if not (contents or system):
            raise InvalidParameter("Nothing is said: every message is empty.", param="messages")
        members: dict[str, Any] = {"contents": contents or [{"role": "user", "parts": system}]}
        if contents and system:
            members["systemInstruction"] = {"parts": system}
        optional = {
            "tools": tools_of(conversation, drops),
            "toolConfig": tool_config(conversation, drops),
            "generationConfig": generation_config(conversation, call.model_id, call.model, drops),
            "serviceTier": service_tier(conversation, call.model, drops, had=self._has_tiers),
        }
        call.kept[_TIER] = optional["serviceTier"]
        return members | {name: value for name, value in optional.items() if value}
