"""Lambda's Invoke, for functions that call one another.

`POST /2015-03-31/functions/{name or ARN}/invocations`, synchronously or as an event.
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from local.deployment import Function
from local.functions import Functions
from local.http11 import Headers
from local.http_server import Exchange, HttpServer
from local.iam import allows
from local.invocation import MAX_REQUEST_BYTES, FunctionError, Throttled

_log = logging.getLogger(__name__)

_TARGET = re.compile(r"^/2015-03-31/functions/(?P<name>[^/?]+)/invocations(?:\?.*)?$")
_CREDENTIAL = re.compile(r"Credential=(?P<access_key>[^/]+)/")


class InvokeApi:
    """Serves Invoke; a function needs `lambda:InvokeFunction` in its role, as on AWS."""

    def __init__(self, functions: Functions, callers: Iterable[Function]) -> None:
        self._functions = functions
        self._callers = {function.access_key: function for function in callers}
        self._server = HttpServer(lambda exchange: _Request(exchange, self._serve))

    async def start(self) -> str:
        """Listens; the endpoint for AWS_ENDPOINT_URL_LAMBDA."""
        return f"http://127.0.0.1:{await self._server.start()}"

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop()

    def _serve(self, exchange: Exchange, payload: bytes) -> None:
        match = _TARGET.match(exchange.head.target)
        if exchange.head.method != "POST" or match is None:
            return _refuse(exchange, 404, "UnknownOperationException", "Only Invoke is served here.")
        name = unquote(match["name"])
        try:
            function = self._functions.pool(name).function
        except KeyError:
            return _refuse(exchange, 404, "ResourceNotFoundException", f"Function not found: {name}")
        caller = self._caller(exchange)
        if caller is not None and not allows(caller.statements, "lambda:InvokeFunction", function.arn):
            message = f"{caller.id} is not authorized to perform: lambda:InvokeFunction on resource: {function.arn}"
            return _refuse(exchange, 403, "AccessDeniedException", message)
        if len(payload) > MAX_REQUEST_BYTES:
            message = f"{len(payload)} byte payload is too large for the RequestResponse invocation type"
            return _refuse(exchange, 413, "RequestTooLargeException", message)
        return self._invoke(exchange, function, payload or b"{}")

    def _invoke(self, exchange: Exchange, function: Function, payload: bytes) -> None:
        as_event = exchange.head.get("x-amz-invocation-type", "RequestResponse") == "Event"
        try:
            self._functions.start_invocation(
                function.id, payload, _Unwatched(function) if as_event else _Reply(exchange)
            )
        except Throttled:
            _refuse(exchange, 429, "TooManyRequestsException", "Rate Exceeded.")
            return
        if as_event:
            exchange.respond(202, [])

    def _caller(self, exchange: Exchange) -> Function | None:
        match = _CREDENTIAL.search(exchange.head.get("authorization"))
        return self._callers.get(match["access_key"]) if match else None


def _refuse(exchange: Exchange, status: int, code: str, message: str) -> None:
    body = json.dumps({"Type": "User", "Message": message, "message": message}).encode()
    exchange.respond(status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)], body)


class _Request:
    """The event, whole."""

    def __init__(self, exchange: Exchange, serve: Callable[[Exchange, bytes], None]) -> None:
        self._exchange = exchange
        self._serve = serve
        self._parts: list[bytes] = []

    def data(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self, trailers: Headers) -> None:
        self._serve(self._exchange, b"".join(self._parts))

    def lost(self) -> None:
        """A request that never was one."""


class _Reply:
    """Answers the caller with what the function returned, or with its error."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._parts: list[bytes] = []

    def whole(self, payload: bytes) -> None:
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        self._exchange.respond(200, headers, payload)

    def begin(self) -> None:
        """A function that streams is answered for when it is complete."""

    def data(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        self.whole(b"".join(self._parts))

    def failed(self, error: FunctionError) -> None:
        headers = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        self._exchange.respond(200, [*headers, ("X-Amz-Function-Error", "Unhandled")], error.payload)


class _Unwatched:
    """The answer to an event, which nobody gets. Lambda's two retries are left out."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def whole(self, payload: bytes) -> None:
        """Dropped."""

    def begin(self) -> None:
        """Dropped."""

    def data(self, data: bytes) -> None:
        """Dropped."""

    def end(self) -> None:
        """Dropped."""

    def failed(self, error: FunctionError) -> None:
        _log.warning("%s failed on an event: %s", self._function.id, error.type)
