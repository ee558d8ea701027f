"""Azure OpenAI's inference, the resource's host in the path, in both styles.

`/azure/v1/<host>/openai/v1/chat/completions` with the deployment in the body, and
`/azure/v1/<host>/openai/deployments/<deployment>/chat/completions?api-version=…`; `responses` stand beside the
deployments. A deployment that is named after one of OpenAI's models (`gpt-5-4`) has that model, one named `missing-…`
does not exist, any other has `gpt-4o`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.simulator.azure_dialect import AZURE, credential
from local.simulator.models import vendor_models

if TYPE_CHECKING:
    from local.simulator.app import Call

ANY_MODEL = "gpt-4o"
_HOST = r"{host:[a-z0-9-]+\.(?:openai|cognitiveservices|services\.ai)\.azure\.com}"
_VERSION = re.compile(r"20\d\d-\d\d-\d\d(-preview)?")
_PUNCTUATION = re.compile(r"[-._]")


def azure_routes(serve: Callable[[web.Request, Call], Awaitable[web.StreamResponse]]) -> list[web.RouteDef]:
    """All but the list of models, which is a probe's."""

    async def served(request: web.Request) -> web.StreamResponse:
        return await serve(request, await _call_of(request))

    base = f"/azure/v1/{_HOST}/openai"
    return [
        web.route("*", f"{base}/v1/{{tail:(?!models).+}}", served),
        web.route("*", f"{base}/deployments/{{deployment:[^/]+}}/{{tail:.+}}", served),
        web.route("*", f"{base}/{{tail:responses}}", served),
    ]


async def _call_of(request: web.Request) -> Call:
    from local.simulator.app import Call

    raw = await request.read()
    tail = request.match_info["tail"]
    if "/openai/v1/" not in request.path and not _VERSION.fullmatch(request.query.get("api-version", "")):
        tail = "without-a-version"
    scheme, key = credential(request.headers)
    return Call(
        provider="azure",
        profile=AZURE.at(tail),
        method=request.method,
        path=request.path,
        tail=tail,
        query=dict(request.query),
        headers=request.headers,
        scheme=scheme,
        key=key,
        raw=raw,
        body=_body(raw, request.match_info.get("deployment")),
        request_id=secrets.token_hex(16),
    )


def _body(raw: bytes, deployment: str | None) -> Any:
    """The request with the model that is deployed in the deployment's place."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    named = deployment or (body.get("model") if isinstance(body, dict) else None)
    return body | {"model": deployed(named)} if isinstance(named, str) and named else body


def deployed(deployment: str) -> str:
    """OpenAI's model that a deployment has."""
    if deployment.startswith("missing-"):
        return deployment
    wanted = _PUNCTUATION.sub("", deployment).lower()
    alike = (row["id"] for row in vendor_models("openai") if _PUNCTUATION.sub("", row["id"]) == wanted)
    return next(alike, ANY_MODEL)
