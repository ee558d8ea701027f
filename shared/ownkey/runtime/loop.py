"""One event after the other: each is read, answered by the app, and over before the next is asked for.

The response ends on the wire when the app ends it. The invocation goes on until the app has returned and the tasks it
registered are done, for Lambda freezes the process between invocations; all within the deadline.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from typing import Any, NoReturn

from ownkey.runtime import logs
from ownkey.runtime.api import Invocation, RuntimeApi
from ownkey.runtime.asgi import App, Exchange
from ownkey.runtime.events import EventReader, Scope, UnsupportedEvent
from ownkey.runtime.http1 import BrokenConnection
from ownkey.runtime.response import FunctionError

logger = logging.getLogger(__name__)

CANCEL_MARGIN_S = 1.0
"""How long before the deadline an app that is still at work is cancelled: its time to write its record."""
END_MARGIN_S = 0.2
"""How long before the deadline nothing is waited for any more."""
_STOP_TIMEOUT_S = 2.0

ErrorResponse = tuple[int, Iterable[tuple[bytes, bytes]], bytes]
"""Status, headers, body."""
ErrorHook = Callable[[Scope, BaseException], ErrorResponse]
"""What the client gets when the app failed before it began to answer."""


class DeadlineExceeded(Exception):
    """The app was cancelled: the function's time is nearly over."""


class IncompleteResponse(Exception):
    """The app returned without a response, or in the middle of one."""


def default_error_response(_scope: Scope, error: BaseException) -> ErrorResponse:
    """500, or 504 past the deadline, in JSON that says nothing of the cause: the log does."""
    late = isinstance(error, DeadlineExceeded)
    body = {
        "error": {
            "message": "The gateway ran out of time." if late else "The gateway failed.",
            "type": "server_error",
            "param": None,
            "code": "timeout" if late else "internal_error",
        }
    }
    return 504 if late else 500, [(b"content-type", b"application/json")], json.dumps(body).encode()


class Loop:
    """Serves invocations with an ASGI app.

    Args:
        app: Its `scope` has, beside ASGI's keys, `aws.event`, `aws.context` (`InvocationContext`: request id, function
            ARN, deadline, `register(task)`), `ownkey.put` (`asgi.Exchange.put`) and `state`.
        api: Where events come from.
        error_response: What the client gets when the app failed before it began to answer.
        state: What the app's lifespan left.
    """

    def __init__(
        self,
        app: App,
        api: RuntimeApi,
        *,
        error_response: ErrorHook = default_error_response,
        state: MutableMapping[str, Any] | None = None,
    ) -> None:
        self._app = app
        self._api = api
        self._error_response = error_response
        self._events = EventReader(state or {})

    async def run(self) -> NoReturn:
        """Serves until cancelled.

        Raises:
            RuntimeApiError: there will be no more events.
        """
        while True:
            await self.handle(await self._api.next_invocation())

    async def handle(self, invocation: Invocation) -> None:
        """Answers one invocation; returns when nothing of it is left to do."""
        os.environ["_X_AMZN_TRACE_ID"] = invocation.trace_id
        logs.bind(function_request_id=invocation.request_id)
        try:
            request = self._events.read(invocation)
        except UnsupportedEvent as error:
            logger.warning("event refused", extra={"reason": str(error)})
            refusal = FunctionError("Function.UnsupportedEvent", f"This function answers API Gateway only: {error}.")
            await self._api.report_invocation_error(invocation, refusal)
            return
        exchange = Exchange(partial(self._api.respond, invocation), request.scope["method"], request.body)
        request.scope["ownkey.put"] = exchange.put
        deadline = _Deadline(invocation.deadline_ms)
        app = asyncio.ensure_future(self._app(request.scope, exchange.receive, exchange.send))
        try:
            await self._answer(app, request.scope, exchange, deadline)
            await _finish(request.context.tasks, deadline)
        except asyncio.CancelledError:
            await _stop({app, *request.context.tasks})
            raise
        if exchange.stream is not None:
            await self._api.settle(exchange.stream, deadline.seconds_left())

    async def _answer(self, app: asyncio.Future[None], scope: Scope, exchange: Exchange, deadline: _Deadline) -> None:
        """Waits for the app; whatever becomes of it, the client has a whole response, or one marked as broken."""
        _, unfinished = await asyncio.wait((app,), timeout=deadline.seconds_left(CANCEL_MARGIN_S))
        if unfinished:
            app.cancel()
            await asyncio.wait((app,), timeout=deadline.seconds_left(END_MARGIN_S))
        error = DeadlineExceeded("the app was cancelled before the deadline") if unfinished else _outcome(app)
        if error is None and not exchange.complete:
            error = IncompleteResponse("the app returned before its response was complete")
        if error is not None:
            logger.error("the app failed", exc_info=error)
            await self._repair(scope, exchange, error)

    async def _repair(self, scope: Scope, exchange: Exchange, error: BaseException) -> None:
        if exchange.stream is not None:
            kind = "Function.DeadlineExceeded" if isinstance(error, DeadlineExceeded) else "Function.ResponseBroken"
            exchange.fail(FunctionError(kind, "The response ended before it was complete."))
            return
        try:
            status, headers, body = self._error_response(scope, error)
        except Exception:  # a hook of the app's: whatever it raises, the client gets an answer
            logger.exception("the error response failed")
            status, headers, body = default_error_response(scope, error)
        try:
            await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
            await exchange.send({"type": "http.response.body", "body": body})
        except BrokenConnection as broken:
            logger.error("no way to answer", exc_info=broken)


class _Deadline:
    """The invocation's end on the event loop's clock."""

    def __init__(self, deadline_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + deadline_ms / 1000 - time.time()

    def seconds_left(self, margin_s: float = 0.0) -> float:
        """Seconds until `margin_s` before the deadline, at least 0."""
        return max(0.0, self._at - margin_s - self._loop.time())


def _outcome(app: asyncio.Future[None]) -> BaseException | None:
    return asyncio.CancelledError("the app cancelled itself") if app.cancelled() else app.exception()


async def _finish(tasks: set[asyncio.Task[Any]], deadline: _Deadline) -> None:
    """Waits for the registered tasks, also for those they register, and cancels what is left near the deadline."""
    while unfinished := {task for task in tasks if not task.done()}:
        timeout_s = deadline.seconds_left(END_MARGIN_S)
        done, _ = await asyncio.wait(unfinished, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            logger.error("work was cut off at the deadline", extra={"tasks": len(unfinished)})
            for task in unfinished:
                task.cancel()
            break
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            logger.error("a registered task failed", exc_info=task.exception())


async def _stop(tasks: set[asyncio.Future[Any]]) -> None:
    """The process is asked to end: cancels, and lets the tasks write what they must."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_S)
