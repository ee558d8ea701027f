"""Which translator serves a surface from a provider: its own dialect passed through, else a crossing.

A provider's *wire* is what is spoken to it: its family, or what its row's `protocols` say of the model. What is rare is
loaded when it is first used: a cold start pays for the two common dialects alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ownkey.catalog import Model, Provider, does
from ownkey.domain.errors import ProviderFailure
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers.anthropic import AnthropicCountTokens, AnthropicMessages
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.otherwise import Otherwise
from ownkey.providers.translator import Annotate, Call, Encoded, StreamDecoder, Translator, Whole

CONVERSATIONS = frozenset({Surface.CHAT, Surface.MESSAGES, Surface.RESPONSES})
"""The surfaces that stand for each other: a provider that serves one is reached by all."""

_RESPONSES_ALONE = "responses"
"""A model's mode: OpenAI serves it by that API and no other."""
_RESPONSES_WIRES: Mapping[str, str] = {Dialect.OPENAI: "openai_responses", Dialect.AZURE: "azure_responses"}
"""Where a provider has both APIs: the wire of the second one, by that of the first."""

_CLIENTS: Mapping[Surface, str] = {
    Surface.CHAT: "openai.client:ChatClient",
    Surface.MESSAGES: "anthropic.client:MessagesClient",
    Surface.RESPONSES: "responses.client:ResponsesClient",
}
"""Surface → its `crossing.ClientDialect`, as `module:name` below `ownkey.providers`."""
_APIS: Mapping[str, str] = {
    Dialect.ANTHROPIC: "anthropic.api:MessagesApi",
    Dialect.AZURE: "azure.apis:chat",
    Dialect.BEDROCK: "bedrock.api:ConverseApi",
    Dialect.COHERE: "cohere.api:CohereApi",
    Dialect.GEMINI: "gemini.api:GeminiApi",
    Dialect.OPENAI: "openai.api:ChatApi",
    "anthropic_azure": "azure.claude:messages",
    "anthropic_bedrock": "bedrock.crossed:BedrockMessagesApi",
    "anthropic_vertex": "vertex.anthropic:VertexMessagesApi",
    "azure_responses": "azure.apis:responses",
    "gemini_vertex": "vertex.google:VertexGemini",
    "mistral_vertex": "vertex.mistral:VertexMistralApi",
    "openai_responses": "responses.api:ResponsesApi",
    "openai_vertex": "vertex.openai:VertexChatApi",
}
"""Wire → its `crossing.ProviderApi`."""
_COUNTING_APIS: Mapping[str, str] = {
    Dialect.BEDROCK: "bedrock.api:ConverseCount",
    Dialect.GEMINI: "gemini.api:GeminiApi",
    Dialect.OPENAI: "responses.counting:InputTokensApi",
    "gemini_vertex": "vertex.google:VertexGemini",
}
"""Wire → its `crossing.CountingApi`; the client is `_CLIENTS[Surface.MESSAGES]`."""
_LATE: Mapping[tuple[Surface, str], str] = {
    (Surface.CHAT, "mistral_vertex"): "vertex.mistral:VertexMistral",
    (Surface.CHAT, "openai_vertex"): "vertex.openai:VertexChat",
    (Surface.CHAT, Dialect.AZURE): "azure.chat:AzureChat",
    (Surface.COUNT_TOKENS, "anthropic_azure"): "azure.claude:passed_count",
    (Surface.COUNT_TOKENS, "anthropic_bedrock"): "bedrock.invoke:BedrockCountTokens",
    (Surface.COUNT_TOKENS, "anthropic_vertex"): "vertex.anthropic:VertexCountTokens",
    (Surface.EMBEDDINGS, "gemini_vertex"): "embeddings.google:vertex",
    (Surface.EMBEDDINGS, Dialect.AZURE): "azure.media:embeddings",
    (Surface.EMBEDDINGS, Dialect.BEDROCK): "embeddings.bedrock:crossed",
    (Surface.EMBEDDINGS, Dialect.COHERE): "cohere.embed:crossed",
    (Surface.EMBEDDINGS, Dialect.GEMINI): "embeddings.google:studio",
    (Surface.EMBEDDINGS, Dialect.OPENAI): "media.embeddings:Embeddings",
    (Surface.IMAGES, Dialect.AZURE): "azure.media:images",
    (Surface.IMAGES, Dialect.OPENAI): "media.images:Images",
    (Surface.MESSAGES, "anthropic_azure"): "azure.claude:passed_messages",
    (Surface.MESSAGES, "anthropic_bedrock"): "bedrock.invoke:BedrockMessages",
    (Surface.MESSAGES, "anthropic_vertex"): "vertex.anthropic:VertexMessages",
    (Surface.MODERATIONS, Dialect.OPENAI): "media.moderations:Moderations",
    (Surface.RERANK, Dialect.COHERE): "media.rerank:Rerank",
    (Surface.RERANK, Dialect.OPENAI): "media.rerank:Rerank",
    (Surface.RESPONSES, Dialect.AZURE): "azure.apis:passed_responses",
    (Surface.RESPONSES, Dialect.OPENAI): "responses.passthrough:OpenAiResponses",
    (Surface.SPEECH, Dialect.AZURE): "azure.media:speech",
    (Surface.SPEECH, Dialect.OPENAI): "media.speech:Speech",
    (Surface.TRANSCRIPTIONS, Dialect.AZURE): "azure.media:transcriptions",
    (Surface.TRANSCRIPTIONS, Dialect.OPENAI): "media.transcriptions:Transcriptions",
    (Surface.TRANSLATIONS, Dialect.AZURE): "azure.media:translations",
    (Surface.TRANSLATIONS, Dialect.OPENAI): "media.transcriptions:Translations",
}
"""(surface, wire) → a whole `Translator` that is loaded when first used."""


class Late:
    """A `Translator` that is made when it is first asked for something."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: Translator | None = None

    @property
    def made(self) -> Translator:
        """The translator itself."""
        if self._made is None:
            self._made = self._make()
        assert self._made is not None
        return self._made

    def encode_request(self, call: Call) -> Encoded:
        """As `Translator` has it."""
        return self.made.encode_request(call)

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """As `Translator` has it."""
        return self.made.decode_whole(call, body, annotate)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """As `Translator` has it."""
        return self.made.decode_stream(call, annotate)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """As `Translator` has it."""
        return self.made.decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """As `Translator` has it."""
        return self.made.text_of_answer(answer)


def translator_for(surface: Surface, provider: Provider, model_id: str, model: Model | None) -> Translator | None:
    """What serves a surface from a provider's model; None where nothing does.

    A row's `surfaces` say what its translators serve; of the `CONVERSATIONS` any one stands for all. A model that the
    catalog knows is served at the endpoints that are for what it does.
    """
    if not does(model, surface):
        return None
    served = provider.surfaces
    wire = provider.wire_of(model_id)
    responses = _RESPONSES_WIRES.get(wire) if Surface.RESPONSES in served and provider.responses is None else None
    if surface in served and not (surface is Surface.CHAT and responses and _by_responses_alone(model)):
        partly = surface is Surface.RESPONSES and provider.responses is not None
        found = _same_dialect(surface, wire, partly)
        if found is not None:
            return found
    if surface in CONVERSATIONS and served & CONVERSATIONS:
        # Where a provider has both APIs, its thoughts are to be had, and given back, by Responses alone.
        prefers = responses is not None and (_by_responses_alone(model) or _reasons(model))
        by_responses = _crossing(surface, responses) if prefers and responses else None
        return by_responses or _crossing(surface, wire)
    if surface is Surface.COUNT_TOKENS and surface in served:
        return _counting(wire)
    return None


def translator_of(surface: Surface, wire: str) -> Translator | None:
    """The translator from a surface to a wire, whatever a provider's row says; None where nothing connects the two."""
    found = _same_dialect(surface, wire)
    if found is None and surface is Surface.COUNT_TOKENS:
        return _counting(wire)
    return found or (_crossing(surface, wire) if surface in CONVERSATIONS else None)


def wires() -> tuple[str, ...]:
    """Every wire that a conversation can be had by."""
    return tuple(_APIS)


_HOT: Mapping[tuple[Surface, str], Translator] = {
    (Surface.CHAT, Dialect.OPENAI): OpenAiChat(),
    (Surface.MESSAGES, Dialect.ANTHROPIC): AnthropicMessages(),
    (Surface.COUNT_TOKENS, Dialect.ANTHROPIC): AnthropicCountTokens(),
}

_DEPARTING = frozenset({
    (Surface.CHAT, str(Dialect.AZURE)),
    (Surface.CHAT, str(Dialect.OPENAI)),
    (Surface.MESSAGES, "anthropic_bedrock"),
})  # fmt: skip
"""Where providers' rows, or their hosts, have not all of their dialect."""


@cache
def _same_dialect(surface: Surface, wire: str, partly: bool = False) -> Translator | None:
    """What passes through; where not all may be had so (`partly`), what the row refuses crosses."""
    path = _LATE.get((surface, wire))
    found = _HOT.get((surface, wire)) or (Late(lambda: _loaded(path)) if path else None)
    departing = partly or (surface, wire) in _DEPARTING
    crossing = _crossing(surface, wire) if departing and found is not None else None
    return Otherwise(found, crossing) if found is not None and crossing is not None else found


@cache
def _crossing(surface: Surface, wire: str) -> Translator | None:
    client, api = _CLIENTS.get(surface), _APIS.get(wire)
    if client is None or api is None:
        return None

    def make() -> Translator:
        from ownkey.providers.crossing import Crossing

        return Crossing(_loaded(client), _loaded(api))

    return Late(make)


@cache
def _counting(wire: str) -> Translator | None:
    client, api = _CLIENTS.get(Surface.MESSAGES), _COUNTING_APIS.get(wire)
    if client is None or api is None:
        return None

    def make() -> Translator:
        from ownkey.providers.crossing import CountCrossing

        return CountCrossing(_loaded(client), _loaded(api))

    return Late(make)


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(f"ownkey.providers.{module}"), name)()


def _by_responses_alone(model: Model | None) -> bool:
    return model is not None and model.mode == _RESPONSES_ALONE


def _reasons(model: Model | None) -> bool:
    return model is not None and "reasoning" in model.capabilities
