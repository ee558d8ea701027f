"""Where Google's own models are at Vertex AI: in the API's beta, as google-genai 3.4 asks them (`_api_client.py`).

Its v1 has no `VALIDATED`, which strict tools need (python-aiplatform, `FunctionCallingConfig` of `aiplatform_v1`). A
credential's base URL says v1, by which the other makers' models are asked.
"""

from __future__ import annotations

from ownkey.providers.gemini.address import MethodAddress
from ownkey.providers.translator import Call

_STATED, _BETA = "/v1/projects/", "/v1beta1/projects/"


class PublishedAddress(MethodAddress):
    """`{base_url}/publishers/google/models/{model}:{method}`."""

    __slots__ = ()

    def __init__(self, whole: str, streamed: str | None = None) -> None:
        """As `MethodAddress` has it."""
        super().__init__("publishers/google/models", whole, streamed)

    def url(self, call: Call) -> str:
        """As `Address` has it."""
        return super().url(call).replace(_STATED, _BETA, 1)
