"""Where Bedrock's runtime is: the model in the path, one path for whole answers and one for streams.

`call.base_url` is the runtime's host in the credential's region: what its secret was sealed for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ownkey.catalog import Auth
from ownkey.domain.errors import InvalidParameter
from ownkey.providers.bedrock.betas import betas_of
from ownkey.providers.document import REMOVED
from ownkey.providers.passthrough import request_headers
from ownkey.providers.translator import Call

ANTHROPIC_VERSION = "bedrock-2023-05-31"

_MODEL = re.compile(r"[A-Za-z0-9._:/-]{1,2048}")
"""botocore's patterns of `modelId` admit nothing else: ids, inference profiles, ARNs."""
_OF_A_PROFILE = re.compile(
    r"^(?:arn:aws[a-z-]*:bedrock:[^/]*:inference-profile/)?(?:us-gov|[a-z]{2,6})\.(?=[a-z0-9]+\.)"
)
_NONE: Mapping[str, Any] = {}


class BedrockAddress:
    """An `Address`: `/model/{id}/` and the operation."""

    __slots__ = ("_streamed", "_whole")

    def __init__(self, whole: str, streamed: str | None = None) -> None:
        """
        Args:
            whole: The operation's last segment.
            streamed: That of its twin whose answer comes as a stream; None: it has none.
        """
        self._whole = whole
        self._streamed = streamed or whole

    def url(self, call: Call) -> str:
        """As botocore writes it: the id is one segment, its `:` and `/` escaped.

        Raises:
            InvalidParameter: the model's id is none.
        """
        model_id = self.model_of(call)
        if not _MODEL.fullmatch(model_id) or {"", ".", ".."} & set(model_id.split("/")):
            raise InvalidParameter(f"No model of {call.provider.display_name} has such a name.", param="model")
        return f"{call.base_url}/model/{quote(model_id, safe='')}/{self._streamed if call.streamed else self._whole}"

    def model_of(self, call: Call) -> str:
        """What is asked."""
        return call.model_id

    def headers(self, call: Call) -> dict[str, str]:
        """The row's and the credential's; nothing of the client's."""
        return request_headers(call, frozenset()) | {"accept": "application/json"}

    def members(self, call: Call) -> Mapping[str, Any]:
        """None: model and stream are told by the URL."""
        return _NONE

    def auth(self, call: Call) -> Auth:
        """As the row has it: an API key is a bearer token."""
        return call.provider.auth


class InvokeAddress(BedrockAddress):
    """An `Address` for Anthropic's dialect: the version and the beta features stand in the body."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("invoke", "invoke-with-response-stream")

    def members(self, call: Call) -> Mapping[str, Any]:
        """As `lib/bedrock/_client.py` of Anthropic's SDK writes them."""
        betas = betas_of(call).known
        return {
            "model": REMOVED,
            "stream": REMOVED,
            "anthropic_version": ANTHROPIC_VERSION,
            "anthropic_beta": list(betas) if betas else REMOVED,
        }


class CountAddress(BedrockAddress):
    """An `Address` for CountTokens, which knows models alone: an inference profile's id, or its ARN, is refused there
    (pydantic-ai 3367), so the model within it is asked. An application's profile does not tell its model.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("count-tokens")

    def model_of(self, call: Call) -> str:
        """The model's own id."""
        return _OF_A_PROFILE.sub("", call.model_id)
