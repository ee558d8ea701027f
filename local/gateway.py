"""API Gateway's REST front: routes, proxy events, buffered and streamed integrations, limits and time-outs.

A streamed answer is relayed as it comes. A client that goes away does not stop the function, as on AWS: what it still
writes is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid

from local import gateway_responses, http11, proxy
from local.deployment import Api, Route
from local.functions import Functions
from local.gateway_responses import Failure
from local.http11 import Headers
from local.http_server import Exchange, HttpServer
from local.invocation import MAX_REQUEST_BYTES, FunctionError, Invocation, Throttled, new_trace_id
from local.proxy import Context, MalformedAnswer, PreludeReader, ProxyAnswer
from local.routes import Router

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 10 * 1024 * 1024
STREAM_IDLE_S = 300.0  # Of a regional endpoint.


class Gateway:
    """Serves one API under `http://127.0.0.1:<port>/<stage>`."""

    def __init__(
        self, api: Api, functions: Functions, account_id: str, *, stream_idle_s: float = STREAM_IDLE_S
    ) -> None:
        self.api = api
        self.functions = functions
        self.stream_idle_s = stream_idle_s
        self._account_id = account_id
        self._router = Router(api.routes)
        self._bucket = TokenBucket(api.requests_per_s, api.burst, time.monotonic())
        self._prefix = f"/{api.stage}"
        self._server = HttpServer(lambda exchange: _Request(self, exchange))

    async def start(self, port: int) -> int:
        """Listens on loopback; the port it got."""
        return await self._server.start(port)

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop()

    def serve(self, exchange: Exchange, body: bytes, too_large: bool) -> None:
        """Answers a request, now or when the function does."""
        context = self._context(exchange)
        admitted = self._admit(exchange, context, body, too_large)
        if isinstance(admitted, Failure):
            self.fail(exchange, context, admitted)
        else:
            self._integrate(exchange, context, *admitted)

    def fail(self, exchange: Exchange, context: Context, failure: Failure, route: Route | None = None) -> None:
        """Answers in API Gateway's own words, or the template's."""
        variables = {
            "requestId": context.request_id,
            "extendedRequestId": context.extended_request_id,
            "httpMethod": exchange.head.method,
            "resourcePath": route.path if route else "",
            "stage": self.api.stage,
        }
        status, headers, body = gateway_responses.render(failure, self.api.gateway_responses, variables)
        _log.info("%s %s: %d %s", exchange.head.method, variables["resourcePath"] or "-", status, failure.kind)
        exchange.respond(status, [*own_headers(context), *headers], body)

    def _admit(
        self, exchange: Exchange, context: Context, body: bytes, too_large: bool
    ) -> tuple[Route, bytes] | Failure:
        """The request's route and event, or why it is refused."""
        target, _, query = exchange.head.target.partition("?")
        path = target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]
        if path != self._prefix and not path.startswith(self._prefix + "/"):
            return gateway_responses.NO_STAGE
        if not self._bucket.take(time.monotonic()):
            return gateway_responses.TOO_MANY
        path = path[len(self._prefix) :] or "/"
        found = self._router.find(exchange.head.method, path)
        if found is None:
            return gateway_responses.NO_ROUTE
        if too_large:
            return gateway_responses.TOO_LARGE
        route, parameters = found
        event = proxy.proxy_event(context, exchange.head, path, query, route, parameters, body)
        return (route, event) if len(event) <= MAX_REQUEST_BYTES else gateway_responses.TOO_LARGE

    def _integrate(self, exchange: Exchange, context: Context, route: Route, event: bytes) -> None:
        answer = (_Streamed if route.streamed else _Buffered)(self, exchange, context, route)
        try:
            invocation = self.functions.start_invocation(route.function_id, event, answer, trace_id=context.trace_id)
        except Throttled:
            answer.cancel()
            self.fail(exchange, context, gateway_responses.FUNCTION_THROTTLED, route)
        else:
            answer.invocation = invocation

    def _context(self, exchange: Exchange) -> Context:
        return Context(
            api=self.api,
            account_id=self._account_id,
            request_id=str(uuid.uuid4()),
            extended_request_id=secrets.token_urlsafe(11)[:15] + "=",
            trace_id=new_trace_id(),
            source_ip=exchange.peer,
            received_at_s=time.time(),
        )


class TokenBucket:
    """A stage's throttle: `rate_per_s` requests a second, `burst` at once. Without a rate everything passes."""

    def __init__(self, rate_per_s: float | None, burst: int | None, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst if burst is not None else rate_per_s or 0)
        self._tokens = self._burst
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Whether a request may pass at `now_s`, a monotonic time."""
        if self._rate_per_s is None:
            return True
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def own_headers(context: Context) -> list[tuple[str, str]]:
    """What API Gateway adds to every answer."""
    return [
        ("Date", http11.http_date()),
        ("x-amzn-RequestId", context.request_id),
        ("x-amz-apigw-id", context.extended_request_id),
        ("X-Amzn-Trace-Id", context.trace_id),
    ]


class _Request:
    """A request's body, which API Gateway takes whole before it does anything."""

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._parts: list[bytes] = []
        self._size = 0

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_BODY_BYTES:
            self._parts.append(data)

    def end(self, trailers: Headers) -> None:
        self._gateway.serve(self._exchange, b"".join(self._parts), self._size > MAX_BODY_BYTES)

    def lost(self) -> None:
        """A request that never was one."""


class _Integration:
    """An answer on its way from the function to the client."""

    def __init__(self, gateway: Gateway, exchange: Exchange, context: Context, route: Route) -> None:
        self.invocation: Invocation | None = None
        self.gone = False
        """Whether the client went away before it had its answer: the function is not told, and runs on."""
        self._gateway = gateway
        self._exchange = exchange
        self._context = context
        self._route = route
        self._done = False
        self._timer = asyncio.get_running_loop().call_later(route.timeout_s, self._on_timeout)
        exchange.on_gone = self._on_gone

    def cancel(self) -> None:
        """Nothing will come."""
        self._done = True
        self._timer.cancel()

    def failed(self, error: FunctionError) -> None:
        if not self._done:
            _log.warning("%s failed: %s", self._route.function_id, error.type)
            self._give_up(gateway_responses.FUNCTION_FAILED)

    def _give_up(self, failure: Failure) -> None:
        self.cancel()
        self._gateway.fail(self._exchange, self._context, failure, self._route)

    def _on_timeout(self) -> None:
        self._give_up(gateway_responses.TIMED_OUT)

    def _malformed(self, error: MalformedAnswer) -> None:
        _log.warning("%s: malformed Lambda proxy response: %s", self._route.function_id, error)
        self._give_up(gateway_responses.FUNCTION_FAILED)

    def _on_gone(self) -> None:
        _log.info("the client of %s went away; the function runs on", self._route.function_id)
        self.gone = True
        self.cancel()
        if self.invocation is not None and self.invocation.resume is not None:
            self.invocation.resume()


class _Buffered(_Integration):
    """An integration whose answer is taken whole."""

    def __init__(self, gateway: Gateway, exchange: Exchange, context: Context, route: Route) -> None:
        super().__init__(gateway, exchange, context, route)
        self._parts: list[bytes] = []

    def whole(self, payload: bytes) -> None:
        if self._done:
            return
        try:
            answer = proxy.read_answer(payload, self._gateway.api.binary_media_types)
        except MalformedAnswer as e:
            self._malformed(e)
        else:
            self.cancel()
            self._exchange.respond(answer.status, [*own_headers(self._context), *answer.headers], answer.body)

    def begin(self) -> None:
        """A function that streams is answered for all the same, when it is complete."""

    def data(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        self.whole(b"".join(self._parts))


class _Streamed(_Integration):
    """An integration whose answer is relayed as it comes."""

    def __init__(self, gateway: Gateway, exchange: Exchange, context: Context, route: Route) -> None:
        super().__init__(gateway, exchange, context, route)
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + route.timeout_s
        self._heard_at = 0.0
        self._prelude: PreludeReader | None = PreludeReader()
        exchange.on_pause = self._pause
        exchange.on_resume = self._resume

    def whole(self, payload: bytes) -> None:
        self.data(payload)
        self.end()

    def begin(self) -> None:
        if not self._done:
            self._heard_at = self._loop.time()
            self._watch()

    def data(self, data: bytes) -> None:
        if self._done:
            return
        self._heard_at = self._loop.time()
        if self._prelude is None:
            self._exchange.send(data)
        else:
            self._read_prelude(self._prelude, data)

    def end(self) -> None:
        if self._done:
            return
        if self._prelude is not None:
            self._malformed(MalformedAnswer("no prelude"))
            return
        self.cancel()
        self._exchange.finish()

    def _read_prelude(self, prelude: PreludeReader, data: bytes) -> None:
        try:
            found = prelude.feed(data)
        except MalformedAnswer as e:
            self._malformed(e)
            return
        if found is not None:
            self._prelude = None
            self._start(*found)

    def _start(self, answer: ProxyAnswer, first: bytes) -> None:
        self._exchange.start(answer.status, [*own_headers(self._context), *answer.headers], first)

    def _give_up(self, failure: Failure) -> None:
        if self._prelude is not None:
            super()._give_up(failure)
            return
        self.cancel()
        self._exchange.break_off()

    def _watch(self) -> None:
        """Wakes when the answer has taken too long, or might have been silent for too long."""
        self._timer.cancel()
        at = min(self._ends_at, self._heard_at + self._gateway.stream_idle_s)
        self._timer = self._loop.call_at(at, self._on_watch)

    def _on_watch(self) -> None:
        now = self._loop.time()
        if now >= self._ends_at or now >= self._heard_at + self._gateway.stream_idle_s:
            self._on_timeout()
        else:
            self._watch()

    def _pause(self) -> None:
        if self.invocation is not None and self.invocation.pause is not None:
            self.invocation.pause()

    def _resume(self) -> None:
        if self.invocation is not None and self.invocation.resume is not None:
            self.invocation.resume()
