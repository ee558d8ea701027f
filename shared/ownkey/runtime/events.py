"""An API Gateway event becomes an ASGI request. How the event is read is Mangum's business alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from mangum import Mangum
from mangum.handlers import APIGateway

from ownkey.runtime.api import Invocation

Scope = MutableMapping[str, Any]


class UnsupportedEvent(Exception):
    """The event is not an API Gateway (REST) proxy event: a direct invocation, a schedule, a test event."""


@dataclass(frozen=True, slots=True, eq=False)
class InvocationContext:
    """`scope["aws.context"]`: what the app may know of the invocation, and how it keeps it open.

    The names are those of the context that Lambda's own Python runtime gives to handlers.
    """

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int
    """Milliseconds since the epoch at which Lambda kills the process."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the deadline; 0 once it has passed."""
        return max(0, self.deadline_ms - int(time.time() * 1000))

    def register(self, task: asyncio.Task[Any]) -> None:
        """Keeps the invocation open until the task is done: between invocations Lambda freezes the process.

        The client does not wait for it: the response ends when the app ends it.
        """
        self.tasks.add(task)


class Request(NamedTuple):
    """What an ASGI application is called with."""

    scope: Scope
    body: bytes
    context: InvocationContext


class EventReader:
    """Reads events. Made once, within the event loop.

    Args:
        state: What the app's lifespan left; each request's `scope["state"]` is a copy of it.
    """

    def __init__(self, state: MutableMapping[str, Any]) -> None:
        self._mangum = Mangum(cast("Any", None), lifespan="off")  # asked to read events, never to call an app
        self._state = dict(state)

    def read(self, invocation: Invocation) -> Request:
        """The request inside an event.

        Raises:
            UnsupportedEvent: there is none.
        """
        context = InvocationContext(invocation.request_id, invocation.function_arn, invocation.deadline_ms)
        try:
            handler = self._mangum.infer(json.loads(invocation.event), cast("Any", context))
            if not isinstance(handler, APIGateway):
                raise UnsupportedEvent(f"a {type(handler).__name__} event, not one of an API Gateway REST API")
            scope, body = handler.scope, handler.body
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
            raise UnsupportedEvent("not an API Gateway proxy event") from error
        # From 2.4 on a server tells of a disconnect by `receive` alone, and Starlette does without a task group.
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        scope["state"] = self._state.copy()
        return Request(scope, body, context)
