"""One streamed response on its way to the Runtime API, and the error that may stand at its end."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from ownkey.runtime import http1
from ownkey.runtime.http1 import Answer, BrokenConnection, Connection

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


@dataclass(frozen=True, slots=True)
class FunctionError:
    """What Lambda is told of a failure. It reaches whoever invoked the function: no exception text, no secret."""

    type: str
    """`Runtime.…` or `Function.…`: Lambda knows no other families."""
    message: str

    def encode(self) -> bytes:
        """The JSON that Lambda's own runtimes send."""
        return json.dumps({"errorMessage": self.message, "errorType": self.type, "stackTrace": []}).encode()


class ResponseStream:
    """The body of one streamed response: a prelude, chunks, an end. Made by `RuntimeApi.respond`.

    The answer is awaited from the start, so that a server which breaks off or refuses in mid-stream is noticed at
    once: `broken` becomes true, `on_broken` is called, and whatever is written after is dropped.
    """

    def __init__(self, connection: Connection, head: bytes, on_broken: Callable[[], None]) -> None:
        self.broken = False
        self.ended = False
        self._writer = connection.writer
        self._transport = connection.writer.transport
        self._held = head
        self._on_broken = on_broken
        self._answer = asyncio.ensure_future(http1.read_answer(connection.reader))
        self._answer.add_done_callback(self._answered)

    def begin(self, prelude: bytes) -> None:
        """Sends head and prelude: together with the first chunk if that is written before the event loop turns."""
        self._held += http1.chunk(prelude)
        asyncio.get_running_loop().call_soon(self._send, b"")

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Sends a chunk; `last` ends the response in the same packet. Empty data is no chunk."""
        framed = http1.chunk(data) if data else b""
        self.ended = last
        self._send(framed + http1.LAST_CHUNK if last else framed)

    def put(self, data: bytes) -> bool:
        """As `write`, for the middle of a stream; False where the server reads slower than the app writes: `drain`."""
        if self._held or not data:
            self.write(data)
        elif not self.broken:
            self._transport.write(http1.CHUNK % (len(data), data))
        return not self._transport.get_write_buffer_size()

    def fail(self, error: FunctionError) -> None:
        """Ends the response as broken: the error stands in its trailers."""
        self.ended = True
        self._send(http1.last_chunk({ERROR_TYPE: error.type, ERROR_BODY: b64encode(error.encode()).decode()}))

    async def drain(self) -> None:
        """Waits while the server reads slower than the app writes."""
        if not self.broken:
            try:
                await self._writer.drain()
            except ConnectionError:
                self._break()

    async def settle(self, timeout_s: float) -> Answer | None:
        """Waits for the server's answer; None where it broke off or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except (BrokenConnection, TimeoutError):
            return None

    def _send(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        if data and not self.broken:
            self._writer.write(data)

    def _answered(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at, so that asyncio does not report it: `settle` may never be called
        if not self.ended:
            self._break()

    def _break(self) -> None:
        if not self.broken:
            self.broken = True
            self._on_broken()
