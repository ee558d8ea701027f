"""Mistral's models at Vertex AI: its own chat completions, at the address of a model.

Sources: mistralai 3.7 (`gcp/client`: the hooks for the address, `ChatCompletionRequest` for the row's parameters);
Google's page on Mistral's models, where the body's model is without the version that the path has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ownkey.providers.document import REMOVED
from ownkey.providers.gemini.address import MethodAddress, model_name
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.openai.api import ChatApi
from ownkey.providers.translator import Call
from ownkey.providers.vertex.failing import FailsAsGoogle

_MAKER = "mistralai"


class _Chat(MethodAddress):
    """The model in the path and in the body. A stream tells its usage without being asked."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(f"publishers/{_MAKER}/models", "rawPredict", "streamRawPredict")

    def url(self, call: Call) -> str:
        """As `Address` has it."""
        return super().url(_bare(call))

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `Address` has it."""
        return {"model": model_name(_bare(call)).partition("@")[0], "stream_options": REMOVED}


class VertexMistralApi(FailsAsGoogle, ChatApi):
    """`ChatApi` there."""

    def __init__(self) -> None:
        super().__init__(_Chat())


class VertexMistral(FailsAsGoogle, OpenAiChat):
    """`chat`, passed through."""

    def __init__(self) -> None:
        super().__init__(_Chat())


def _bare(call: Call) -> Call:
    """Its models go by their names, and by `mistralai/` before them."""
    return replace(call, model_id=call.model_id.removeprefix(f"{_MAKER}/"))
