"""Where a deployment is found. The credential's fields decide: `deployment`, and `api_version` where it has one.

============== ===================================================================================
`api_version`  address
============== ===================================================================================
none           `{endpoint}/openai/v1/chat/completions`, the deployment in the body: the v1 API
`2024-10-21`   `{endpoint}/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21`
============== ===================================================================================

Responses stand beside the deployments, `{endpoint}/openai/responses?api-version=…`, and only since a version of their
own: with an older one, the v1 API is asked. Versions before `2024-09-01-preview` know neither `stream_options` nor
`max_completion_tokens` (learn.microsoft.com, api-version-deprecation; openai-python 1469): usage is then estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ownkey.catalog import Auth
from ownkey.providers.document import REMOVED
from ownkey.providers.passthrough import request_headers
from ownkey.providers.translator import Call

_AS_OPENAI_SINCE = "2024-09-01-preview"
_FORWARDED_HEADERS = frozenset({"openai-beta"})


class AzureAddress:
    """An `Address` of one of OpenAI's operations."""

    __slots__ = ("_below_deployment", "_path", "_since")

    def __init__(self, path: str, *, below_deployment: bool = True, since: str = "") -> None:
        """
        Args:
            path: The operation's, `/chat/completions`.
            below_deployment: Whether a dated version has it below the deployment's name.
            since: The first dated version that has it.
        """
        self._path = path
        self._below_deployment = below_deployment
        self._since = since

    def url(self, call: Call) -> str:
        """See the module."""
        version = call.fields.get("api_version", "")
        if not version or version < self._since:
            return f"{call.base_url}/openai/v1{self._path}"
        below = f"/deployments/{quote(deployment_of(call), safe='')}" if self._below_deployment else ""
        return f"{call.base_url}/openai{below}{self._path}?api-version={quote(version, safe='')}"

    def headers(self, call: Call) -> dict[str, str]:
        """As to OpenAI itself."""
        return request_headers(call, _FORWARDED_HEADERS)

    def members(self, call: Call) -> Mapping[str, Any]:
        """The deployment, which is what Azure means by a model."""
        older = {"stream_options": REMOVED} if is_older(call) else {}
        return {"model": deployment_of(call), **older}

    def auth(self, call: Call) -> Auth:
        """As the row has it."""
        return call.provider.auth


CHAT = AzureAddress("/chat/completions")
RESPONSES = AzureAddress("/responses", below_deployment=False, since="2025-03-01-preview")


def is_older(call: Call) -> bool:
    """Whether the credential's version is one of those that lack what all clients send by now."""
    return "" < call.fields.get("api_version", "") < _AS_OPENAI_SINCE


def deployment_of(call: Call) -> str:
    """What the model is called at the credential's resource."""
    return call.fields.get("deployment", call.model_id)
