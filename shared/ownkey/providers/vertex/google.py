"""Google's own models at Vertex AI. Source: google-genai 3.4 `models.py`."""

from __future__ import annotations

from ownkey.providers.gemini.address import MethodAddress
from ownkey.providers.gemini.api import COUNT, GENERATE, GeminiApi

_MODELS = "publishers/google/models"


class VertexGemini(GeminiApi):
    """`GeminiApi` there."""

    def __init__(self) -> None:
        super().__init__(MethodAddress(_MODELS, *GENERATE), MethodAddress(_MODELS, COUNT), nests=False)
