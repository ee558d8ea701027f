"""The server's half of ASGI for one invocation: `receive`, `send`, and what the client finally gets.

https://asgi.readthedocs.io/en/latest/specs/www.html (spec_version 2.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ownkey.runtime.prelude import encode_prelude
from ownkey.runtime.response import FunctionError, ResponseStream

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
OpenStream = Callable[[Callable[[], None]], Awaitable[ResponseStream]]

_OUT_OF_ORDER = "a response's body was sent before its start or after its end"
_NO_BODY_STATUSES = frozenset({*range(100, 200), 204, 304})


class Exchange:
    """One request and its response.

    A client that has gone: `receive()` answers `http.disconnect`, and `send()` drops what it is given. It does not
    raise (ASGI leaves that open), so an app that relays a provider's stream simply reads on to its end, learns the real
    usage and writes its record; one that would rather stop early watches `receive()`.

    Args:
        open_stream: Opens the streamed response; takes what to call when it breaks.
        method: The request's: an answer to HEAD has no body.
        body: The request's, whole.
    """

    def __init__(self, open_stream: OpenStream, method: str, body: bytes) -> None:
        self.stream: ResponseStream | None = None
        self._open_stream = open_stream
        self._method = method
        self._request_body: bytes | None = body
        self._without_body = False
        self._over = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether there is nothing more to send: the response has ended or its reader has gone."""
        return self.stream is not None and (self.stream.ended or self.stream.broken)

    async def receive(self) -> Message:
        """The body, once; then nothing until the response is over or the client has gone."""
        if self._request_body is not None:
            body, self._request_body = self._request_body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes `http.response.start`, then `http.response.body` until one of them says there is no more.

        Raises:
            RuntimeError: messages out of order: a mistake in the app.
            PreludeTooLarge: more headers than API Gateway takes; nothing has been sent.
            BrokenConnection: the Runtime API is out of reach; nothing has been sent.
        """
        if message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), last=not message.get("more_body", False))
        elif message["type"] == "http.response.start":
            await self._start(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"no such message in this ASGI server: {message['type']}")

    def put(self, data: bytes) -> bool:
        """A piece of the body in the middle of a stream, past whatever stands between the app and `send`.

        False: it is sent, and the next `send` (of an empty piece, if need be) is to be awaited before more is put.
        """
        stream = self.stream
        if stream is None or stream.ended:
            raise RuntimeError(_OUT_OF_ORDER)
        return stream.put(b"" if self._without_body else data)

    def fail(self, error: FunctionError) -> None:
        """Ends a response that has begun and cannot be completed."""
        if self.stream is not None and not self.complete:
            self.stream.fail(error)
            self._over.set()

    async def _start(self, status: int, headers: Any) -> None:
        if self.stream is not None:
            raise RuntimeError("the response was started twice")
        prelude = encode_prelude(status, headers)
        self._without_body = self._method == "HEAD" or status in _NO_BODY_STATUSES
        self.stream = await self._open_stream(self._over.set)
        self.stream.begin(prelude)

    async def _send_body(self, data: bytes, *, last: bool) -> None:
        stream = self.stream
        if stream is None or stream.ended:
            raise RuntimeError(_OUT_OF_ORDER)
        stream.write(b"" if self._without_body else data, last=last)
        if last:
            self._over.set()
        await stream.drain()
