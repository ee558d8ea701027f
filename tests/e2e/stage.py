"""A provider that a test plays itself: it sees each request, and says piece by piece what is answered, and when."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from aiohttp import web

WAIT_S = 20.0
"""Longer than anything here takes: what runs out is a failure, not a measurement."""

_END, _ABORT = object(), object()


@dataclass
class Scene:
    """One base URL and what happens there. Every method may be called from any thread.

    Model lists are answered by themselves, so that keys can be saved. An inference request is answered with what `send`
    gave or gives, until `end` or `abort`; whatever is sent before the request comes waits for it.
    """

    base_url: str
    loop: asyncio.AbstractEventLoop
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream; charset=utf-8"})
    requests: Queue[Any] = field(default_factory=Queue)
    """The JSON of each inference request."""
    gone: Queue[bool] = field(default_factory=Queue)
    """One item for each answer: whether the client was gone before its end."""
    _script: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def send(self, *pieces: bytes | str | Mapping[str, Any]) -> None:
        """Each piece goes out by itself: bytes and text as they are, an object as one event of a stream."""
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else piece.encode() if isinstance(piece, str) else event(piece)
            self._put(data)

    def end(self) -> None:
        """The answer is complete."""
        self._put(_END)

    def abort(self) -> None:
        """The connection breaks."""
        self._put(_ABORT)

    def request(self) -> Any:
        """The JSON of the next request; waits for it."""
        return self.requests.get(timeout=WAIT_S)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": []})
        self.requests.put(json.loads(await request.read()))
        response = web.StreamResponse(headers=self.headers)
        try:
            await self._play(request, response)
        except (ConnectionError, asyncio.CancelledError):
            self.gone.put(True)
            raise
        self.gone.put(False)
        return response

    async def _play(self, request: web.Request, response: web.StreamResponse) -> None:
        while True:
            piece = await self._script.get()
            if not response.prepared:
                await response.prepare(request)
            if piece is _END:
                await response.write_eof()
                return
            if piece is _ABORT:
                assert request.transport is not None
                request.transport.abort()
                return
            await response.write(piece)

    def _put(self, item: Any) -> None:
        self.loop.call_soon_threadsafe(self._script.put_nowait, item)


class Stage:
    """The server under all scenes, and a port where nobody listens."""

    def __init__(self) -> None:
        self.origin = ""
        self.closed_origin = ""
        self._scenes: dict[str, Scene] = {}
        self._runner: web.AppRunner | None = None
        self._closed = socket.socket()

    async def start(self) -> Stage:
        """Listens on loopback."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{scene}/v1/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        # Bound and never listening: nobody else can take the port, and every connection is refused.
        self._closed.bind(("127.0.0.1", 0))
        self.closed_origin = f"http://127.0.0.1:{self._closed.getsockname()[1]}"
        return self

    async def close(self) -> None:
        """Stops listening."""
        self._closed.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def scene(self, name: str, loop: asyncio.AbstractEventLoop, **settings: Any) -> Scene:
        """A fresh base URL."""
        self._scenes[name] = Scene(f"{self.origin}/{name}/v1", loop, **settings)
        return self._scenes[name]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return await self._scenes[request.match_info["scene"]].serve(request)


def event(value: Mapping[str, Any]) -> bytes:
    """One event of a stream: named by its type where it has one, as Anthropic's are."""
    named = f"event: {value['type']}\n" if "type" in value else ""
    return f"{named}data: {json.dumps(value)}\n\n".encode()


def chunk(text: str | None = None, *, finish: str | None = None, usage: Mapping[str, Any] | None = None) -> bytes:
    """A chat completion's chunk: of text, of the end (`finish`), or of nothing but usage."""
    choices = [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]
    value = {
        "id": "chatcmpl-played",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": "played",
        "choices": [] if usage else choices,
    }
    return event(value | ({"usage": usage} if usage else {}))
