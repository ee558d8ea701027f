"""Google's own models at Vertex AI. Source: google-genai 3.4 `models.py`."""

from __future__ import annotations

from ownkey.providers.gemini.api import COUNT, GENERATE, GeminiApi
from ownkey.providers.vertex.address import PublishedAddress


class VertexGemini(GeminiApi):
    """`GeminiApi` there."""

    def __init__(self) -> None:
        super().__init__(
            PublishedAddress(*GENERATE), PublishedAddress(COUNT), nests=False, names_calls=False, has_tiers=False
        )
