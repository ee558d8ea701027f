"""The endpoints clients call, and the dialects providers speak."""

from __future__ import annotations

from enum import StrEnum


class Dialect(StrEnum):
    """A wire format: of a surface (what the client speaks) and of a provider's family (what it understands)."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    AZURE = "azure"
    """OpenAI's, at Azure's addresses. This and what follows: of providers alone."""
    BEDROCK = "bedrock"
    VERTEX = "vertex"
    GEMINI = "gemini"
    COHERE = "cohere"


class Surface(StrEnum):
    """An inference endpoint."""

    CHAT = "chat"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    IMAGES = "images"
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    TRANSLATIONS = "translations"
    """Of a recording, into English text."""
    MODERATIONS = "moderations"
    MODELS = "models"

    @property
    def dialect(self) -> Dialect:
        """The dialect of its requests, responses and errors."""
        return Dialect.ANTHROPIC if self in (Surface.MESSAGES, Surface.COUNT_TOKENS) else Dialect.OPENAI
