"""Azure OpenAI's inference, the resource's host in the path, in both styles.

`/azure/v1/<host>/openai/v1/chat/completions` with the deployment in the body, and
`/azure/v1/<host>/openai/deployments/<deployment>/chat/completions?api-version=…`; `responses` stand beside the
deployments. Anthropic's models are at `/azure/v1/<host>/anthropic/v1/messages`. A deployment that is named after one of
the maker's models (`gpt-5-4`) has that model, one named `missing-…` does not exist, any other has `gpt-4o`, or
`claude-haiku-4-5`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.simulator.azure_dialect import AZURE, CLAUDE
from local.simulator.models import vendor_models

if TYPE_CHECKING:
    from local.simulator.app import Call

ANY_MODEL = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5"}
_HOST = r"{host:[a-z0-9-]+\.(?:openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn)}"
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
        web.route("*", f"/azure/v1/{_HOST}/anthropic/v1/{{tail:.+}}", served),
    ]


async def _call_of(request: web.Request) -> Call:
    from local.simulator.app import Call

    raw = await request.read()
    tail = request.match_info["tail"]
    profile = CLAUDE if "/anthropic/v1/" in request.path else AZURE
    if "/v1/" not in request.path.removeprefix("/azure/v1/") and not _VERSION.fullmatch(
        request.query.get("api-version", "")
    ):
        tail = "without-a-version"
    profile = profile.at(tail)
    scheme, key = profile.dialect.credential(request.headers)
    return Call(
        provider="azure",
        profile=profile,
        method=request.method,
        path=request.path,
        tail=tail,
        query=dict(request.query),
        headers=request.headers,
        scheme=scheme,
        key=key,
        raw=raw,
        body=_body(raw, request.match_info.get("deployment"), str(profile.vendor)),
        request_id=secrets.token_hex(16),
    )


def _body(raw: bytes, deployment: str | None, vendor: str) -> Any:
    """The request with the model that is deployed in the deployment's place."""
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    named = deployment or (body.get("model") if isinstance(body, dict) else None)
    return body | {"model": deployed(named, vendor)} if isinstance(named, str) and named else body


def deployed(deployment: str, vendor: str = "openai") -> str:
    """The maker's model that a deployment has."""
    if deployment.startswith("missing-"):
        return deployment
    wanted = _PUNCTUATION.sub("", deployment).lower()
    alike = (row["id"] for row in vendor_models(vendor) if _PUNCTUATION.sub("", row["id"]) == wanted)
    return next(alike, ANY_MODEL[vendor])
