"""The Lambda Runtime API for one environment: the next invocation out, its answer in.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed answers the custom runtime's protocol:
chunked, `Lambda-Runtime-Function-Response-Mode: streaming`, an error in the trailers.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import logging
import time
from collections.abc import Callable

from local.http11 import Headers
from local.http_server import Exchange, HttpServer
from local.invocation import MAX_RESPONSE_BYTES, MAX_STREAM_BYTES, FunctionError, Invocation

_log = logging.getLogger(__name__)

_PREFIX = "/2018-06-01/runtime/"
_ERROR_TYPE = "lambda-runtime-function-error-type"
_ERROR_BODY = "lambda-runtime-function-error-body"
_JSON = (("Content-Type", "application/json"),)
_ACCEPTED = b'{"status":"OK"}'


class RuntimeApi:
    """Serves one environment.

    `on_ready` is called each time it asks for work, `on_lost` when it hangs up while it waits for some, `on_answered`
    when an answer is complete or failed, and `on_init_error` when its code could not be loaded.
    """

    def __init__(
        self,
        on_ready: Callable[[], None],
        on_lost: Callable[[], None],
        on_answered: Callable[[], None],
        on_init_error: Callable[[FunctionError], None],
    ) -> None:
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._on_answered = on_answered
        self._on_init_error = on_init_error
        self._server = HttpServer(self._serve)
        self._next: Exchange | None = None
        self._current: Invocation | None = None

    async def start(self) -> str:
        """Listens; the address for AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{await self._server.start()}"

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop()

    def offer(self, invocation: Invocation, timeout_s: float) -> None:
        """Hands the invocation to the environment, which is waiting for one."""
        exchange, self._next = self._next, None
        if exchange is None or exchange.gone:  # It died a moment ago; its end will be seen, and fail the invocation.
            return
        self._current = invocation
        headers = (
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + timeout_s) * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
            ("Lambda-Runtime-Trace-Id", invocation.trace_id),
        )
        exchange.respond(200, headers, invocation.payload)

    def answered(self, exchange: Exchange, error: FunctionError | None) -> None:
        """Called by an answer's body at its end, or when it broke off."""
        if self._current is not None:
            self._settle(error)
            exchange.respond(202, _JSON, _ACCEPTED)

    def _settle(self, error: FunctionError | None) -> None:
        invocation, self._current = self._current, None
        if invocation is None:
            return
        invocation.pause = invocation.resume = None
        if error is not None:
            invocation.answer.failed(error)
        self._on_answered()

    def _serve(self, exchange: Exchange) -> _Ignored | _Whole | _Streamed | _Error | _InitError:
        head = exchange.head
        path = head.target.removeprefix(_PREFIX)
        if head.method == "GET" and path == "invocation/next":
            return _Ignored(lambda: self._wait(exchange))
        if head.method == "GET" and path == "restore/next":
            # The snapshot is restored at once.
            return _Ignored(lambda: exchange.respond(200, _JSON))
        if head.method == "POST" and path in ("init/error", "restore/error"):
            return _InitError(exchange, self._on_init_error)
        invocation = self._current
        if head.method == "POST" and invocation is not None:
            if path == f"invocation/{invocation.request_id}/response":
                if head.get("lambda-runtime-function-response-mode").lower() == "streaming":
                    return _Streamed(self, exchange, invocation)
                return _Whole(self, exchange, invocation)
            if path == f"invocation/{invocation.request_id}/error":
                return _Error(self, exchange)
        return _Ignored(lambda: _refuse(exchange))

    def _wait(self, exchange: Exchange) -> None:
        if self._current is not None:
            unanswered = FunctionError.of("Runtime.NoResponse", "The runtime asked for more before it had answered.")
            self._settle(unanswered)
        self._next = exchange
        exchange.on_gone = self._on_lost
        self._on_ready()


def _refuse(exchange: Exchange) -> None:
    error = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
    exchange.respond(400, _JSON, json.dumps(error).encode())


def _reported(error_type: str, payload: bytes) -> FunctionError:
    """An error as a runtime reports it: AWS's own names its type in the payload only."""
    if not error_type:
        with contextlib.suppress(ValueError, AttributeError):
            error_type = str(json.loads(payload).get("errorType", ""))
    return FunctionError(error_type or "Runtime.Unknown", payload)


class _Ignored:
    """A body that does not matter; `then` is called after it."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def data(self, data: bytes) -> None:
        """Dropped."""

    def end(self, trailers: Headers) -> None:
        self._then()

    def lost(self) -> None:
        """Nobody waits for it."""


class _Buffered:
    """A body that is wanted whole."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._parts: list[bytes] = []
        self._size = 0

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_RESPONSE_BYTES:
            self._parts.append(data)

    def lost(self) -> None:
        """The environment is dying; that is seen by itself."""

    def payload(self) -> bytes:
        return b"".join(self._parts)


class _Whole(_Buffered):
    """An answer that is not streamed."""

    def __init__(self, api: RuntimeApi, exchange: Exchange, invocation: Invocation) -> None:
        super().__init__(exchange)
        self._api = api
        self._invocation = invocation

    def end(self, trailers: Headers) -> None:
        if self._size > MAX_RESPONSE_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            self._api.answered(self._exchange, FunctionError.of("Function.ResponseSizeTooLarge", message))
            return
        self._invocation.answer.whole(self.payload())
        self._api.answered(self._exchange, None)


class _Error(_Buffered):
    """The function raised."""

    def __init__(self, api: RuntimeApi, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._api = api

    def end(self, trailers: Headers) -> None:
        self._api.answered(self._exchange, _reported(self._exchange.head.get(_ERROR_TYPE), self.payload()))


class _InitError(_Buffered):
    """The function's code could not be loaded."""

    def __init__(self, exchange: Exchange, on_init_error: Callable[[FunctionError], None]) -> None:
        super().__init__(exchange)
        self._on_init_error = on_init_error

    def end(self, trailers: Headers) -> None:
        self._exchange.respond(202, _JSON, _ACCEPTED)
        self._on_init_error(_reported(self._exchange.head.get(_ERROR_TYPE), self.payload()))


class _Streamed:
    """An answer that is handed on as it comes."""

    def __init__(self, api: RuntimeApi, exchange: Exchange, invocation: Invocation) -> None:
        self._api = api
        self._exchange = exchange
        self._answer = invocation.answer
        self._size = 0
        invocation.pause = exchange.pause_request
        invocation.resume = exchange.resume_request
        self._answer.begin()

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_STREAM_BYTES:
            self._answer.data(data)

    def end(self, trailers: Headers) -> None:
        fields = {name.lower(): value for name, value in trailers}
        error = None
        if self._size > MAX_STREAM_BYTES:
            error = FunctionError.of("Function.ResponseSizeTooLarge", "The streamed answer exceeded 200 MB.")
        elif _ERROR_TYPE in fields:
            error = _reported(fields[_ERROR_TYPE], _decoded(fields.get(_ERROR_BODY, "")))
        if error is None:
            self._answer.end()
        self._api.answered(self._exchange, error)

    def lost(self) -> None:
        self._api.answered(
            self._exchange, FunctionError.of("Runtime.TruncatedResponse", "The runtime broke off its answer.")
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        _log.warning("The runtime sent an error that is not base64.")
        return b""
