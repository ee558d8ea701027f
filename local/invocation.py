"""One invocation of a function, and where its answer goes."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

MAX_REQUEST_BYTES = 6 * 1024 * 1024  # Lambda's, for the event as JSON.
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100  # Lambda's, for an answer that is not streamed.
MAX_STREAM_BYTES = 200 * 1024 * 1024  # Lambda's, for one that is.


@dataclass(frozen=True, slots=True)
class FunctionError:
    """The function failed. `payload` is the JSON that the caller of Invoke gets, `type` its `errorType`."""

    type: str
    payload: bytes

    @classmethod
    def of(cls, type_: str, message: str) -> FunctionError:
        """An error that Lambda makes, not the function."""
        return cls(type_, json.dumps({"errorMessage": message, "errorType": type_}).encode())


def new_trace_id() -> str:
    """A trace id as X-Ray writes it."""
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"


class Throttled(Exception):
    """All environments the function may have are busy."""


class Answer(Protocol):
    """Takes an invocation's answer: `whole`; or `begin`, any number of `data`, `end`; or, at any time, `failed`."""

    def whole(self, payload: bytes) -> None:
        """The function returned this JSON."""

    def begin(self) -> None:
        """The function streams its answer."""

    def data(self, data: bytes) -> None:
        """More of a streamed answer; not empty."""

    def end(self) -> None:
        """The streamed answer is complete."""

    def failed(self, error: FunctionError) -> None:
        """The function failed, maybe in the middle of its answer."""


@dataclass(slots=True, eq=False)
class Invocation:
    """A request to a function. `pause` and `resume` hold back and let go a streamed answer."""

    payload: bytes
    answer: Answer
    function_arn: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace_id: str = field(default_factory=new_trace_id)
    pause: Callable[[], None] | None = None
    resume: Callable[[], None] | None = None


class Collected:
    """An answer to wait for: the payload, or the error."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.done: asyncio.Future[bytes | FunctionError] = asyncio.get_running_loop().create_future()

    def whole(self, payload: bytes) -> None:
        self._settle(payload)

    def begin(self) -> None:
        self._parts.clear()

    def data(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        self._settle(b"".join(self._parts))

    def failed(self, error: FunctionError) -> None:
        self._settle(error)

    def _settle(self, result: bytes | FunctionError) -> None:
        if not self.done.done():
            self.done.set_result(result)
