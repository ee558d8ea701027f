"""The inference API as an ASGI application.

FastAPI routes; the endpoints are ASGI themselves, since a request model, a dependency or a response class would cost
each request more than all the rest. Connections are made in the lifespan: after a snapshot is restored.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ownkey.domain import ids
from ownkey.domain.errors import GatewayFailure, OwnkeyError
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.http.cors import is_preflight, preflight_headers
from ownkey.http.exchange import (
    ClientGone,
    Exchange,
    RawHeaders,
    Receive,
    Scope,
    Send,
    detached_error,
    dialect_of,
    encoded_headers,
)
from ownkey.http.serving import Call, Gateway, InferenceDeps
from ownkey.http.unrouted import unrouted
from ownkey.router import ClientLeft

logger = logging.getLogger(__name__)

PREFIXES = ("/v1", "/api/v1", "")
"""Every surface answers under each of them."""

Connect = Callable[[], AbstractAsyncContextManager[InferenceDeps]]
Serve = Callable[[Gateway, Call], Awaitable[None]]

_ROUTES: tuple[tuple[str, str, Surface | None, Serve], ...] = (
    ("POST", "/chat/completions", Surface.CHAT, Gateway.infer),
    ("POST", "/responses", Surface.RESPONSES, Gateway.infer),
    ("POST", "/messages", Surface.MESSAGES, Gateway.infer),
    ("POST", "/messages/count_tokens", Surface.COUNT_TOKENS, Gateway.infer),
    ("POST", "/embeddings", Surface.EMBEDDINGS, Gateway.infer),
    ("POST", "/rerank", Surface.RERANK, Gateway.infer),
    ("POST", "/v2/rerank", Surface.RERANK, Gateway.infer),  # as Cohere's SDK has it, whose dialect that is
    ("POST", "/images/generations", Surface.IMAGES, Gateway.infer),
    ("POST", "/audio/speech", Surface.SPEECH, Gateway.infer),
    ("POST", "/audio/transcriptions", Surface.TRANSCRIPTIONS, Gateway.infer),
    ("POST", "/audio/translations", Surface.TRANSLATIONS, Gateway.infer),
    ("POST", "/moderations", Surface.MODERATIONS, Gateway.infer),
    ("GET", "/models", Surface.MODELS, Gateway.list_models),
    ("GET", "/models/{id:path}", Surface.MODELS, Gateway.show_model),
    ("GET", "/key", None, Gateway.show_key),
    ("GET", "/generation", None, Gateway.show_generation),
    ("GET", "/credits", None, Gateway.show_credits),
)
_IN_BOTH_DIALECTS = (Surface.MODELS, None)


def create_inference_app(connect: Connect) -> FastAPI:
    """All inference routes. `connect` is entered once, when the application starts, and left when it ends."""
    opened: list[Gateway] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with connect() as deps:
            opened[:] = [Gateway(deps)]
            yield

    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={HTTPException: _not_routed},
    )
    for prefix in PREFIXES:
        for method, path, surface, serve in _ROUTES:
            app.router.routes.append(Route(prefix + path, _Endpoint(opened, surface, serve), methods=[method]))
    return app


def error_response(scope: Scope, _: BaseException) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body of an answer where the application itself failed; says nothing of the cause."""
    return detached_error(scope, GatewayFailure("The gateway failed."))


class _Endpoint:
    """An ASGI application for one route: every failure leaves as an error of the surface's dialect."""

    def __init__(self, opened: list[Gateway], surface: Surface | None, serve: Serve) -> None:
        self._opened = opened
        self._surface = surface
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._surface.dialect if self._surface else Dialect.OPENAI)
        if self._surface in _IN_BOTH_DIALECTS:
            exchange.dialect = dialect_of(exchange.path, exchange.headers)
        call = Call(exchange, self._surface)
        try:
            await self._served(call)
        except (ClientGone, ClientLeft, OSError):
            # Nobody is there to be told; an answer that was on its way still has its record.
            if call.run is not None:
                call.run.client_left()
        finally:
            if call.run is not None:
                await call.run.finish()
            if call.keeping is not None:
                await call.keeping.finish()
            if call.key is not None:
                await self._opened[0].look_after(call, call.key)

    async def _served(self, call: Call) -> None:
        try:
            await self._serve(self._opened[0], call)
        except OwnkeyError as error:
            await _fail(call, error)
        except (ClientGone, ClientLeft, OSError):
            raise
        except Exception:  # the last stop: whatever it is, the client gets an error, and the cause is in the log
            logger.exception("unexpected error", extra={"request_id": call.exchange.request_id})
            await _fail(call, GatewayFailure("The gateway failed."))


async def _fail(call: Call, error: OwnkeyError) -> None:
    """Answers with the error. After the answer has begun only the server can still say that it is incomplete."""
    if call.exchange.started:
        raise error
    attempts = call.attempts
    await call.exchange.fail(error, attempts[-1].served if attempts else None, len(attempts))


async def _not_routed(request: Request, error: Exception) -> Response:
    """What the router says: no such path, or no such method."""
    assert isinstance(error, HTTPException)
    allow = {name.lower(): value for name, value in (error.headers or {}).items()}.get("allow", "")
    if allow and is_preflight(request.method, request.headers):
        preflight = Response(status_code=204)
        preflight.raw_headers = encoded_headers(preflight_headers(allow), ids.new_id(ids.REQUEST))
        return preflight
    designed = unrouted(error.status_code, request.url.path, request.headers)
    status, headers, body = detached_error(request.scope, designed)
    response = Response(body, status)
    response.raw_headers = [*headers, *([(b"allow", allow.encode())] if allow else ())]
    return response
