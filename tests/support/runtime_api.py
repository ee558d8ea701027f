"""A Lambda Runtime API on loopback: hands out events one by one and keeps what the function sends, as it arrives."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ownkey.runtime.api import RuntimeApi
from ownkey.runtime.asgi import App
from ownkey.runtime.loop import Loop

DELIMITER = b"\0" * 8
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:inference"
_WAIT_S = 10


def proxy_event(
    method: str = "GET", path: str = "/", *, body: str | None = None, base64_body: bytes | None = None, **more: Any
) -> dict[str, Any]:
    """An event of an API Gateway REST API with Lambda proxy integration."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Host": "api.example.com", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Host": ["api.example.com"], "X-Forwarded-Proto": ["https"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "live", "identity": {"sourceIp": "203.0.113.7"}},
        "body": base64.b64encode(base64_body).decode() if base64_body is not None else body,
        "isBase64Encoded": base64_body is not None,
        **more,
    }


@dataclass
class Delivery:
    """What the function made of one event.

    `chunks` fills while the response arrives and gets a None at its end, or where it broke off.
    """

    request_id: str
    event: bytes
    headers: dict[str, str]
    refuse_with: int | None = None
    """Answer with this status as soon as the response begins, without reading it."""
    chunks: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    response_headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    complete: bool = False
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: the server reads no further."""
    writer: asyncio.StreamWriter | None = None

    async def chunk(self) -> bytes | None:
        """The next chunk; None at the end."""
        return await asyncio.wait_for(self.chunks.get(), _WAIT_S)

    async def prelude(self) -> dict[str, Any]:
        """The first chunk, decoded."""
        first = await self.chunk()
        assert first is not None
        head, delimiter, rest = first.partition(DELIMITER)
        assert (delimiter, rest) == (DELIMITER, b"")
        return json.loads(head)

    async def rest(self) -> list[bytes]:
        """The chunks from here to the end."""
        chunks = []
        while (data := await self.chunk()) is not None:
            chunks.append(data)
        return chunks

    async def whole(self) -> tuple[dict[str, Any], bytes]:
        """Prelude and body of a response that ended."""
        prelude = await self.prelude()
        body = b"".join(await self.rest())
        assert self.complete
        return prelude, body

    def trailer_error(self) -> dict[str, Any]:
        """The error in the trailers, decoded."""
        return json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))

    def cut(self) -> None:
        """Breaks the connection the response comes on."""
        assert self.writer is not None
        self.writer.transport.abort()


@dataclass
class FakeRuntimeApi:
    """The server. `log` has one line for each request, in order of arrival."""

    address: str = ""
    log: list[str] = field(default_factory=list)
    connections: int = 0
    split_bytes: int | None = None
    """Answers arrive in pieces of this size."""
    chunked_answers: bool = False
    close_after_answer: bool = False
    next_status: int = 200
    init_error: dict[str, Any] | None = None
    restore_error: dict[str, Any] | None = None
    restored: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the test: lets a function go on that waits for its restore."""
    _events: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)
    _deliveries: dict[str, Delivery] = field(default_factory=dict)
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def invoke(
        self, event: Any, *, deadline_in_s: float = 60.0, trace_id: str = "", refuse_with: int | None = None
    ) -> Delivery:
        """Queues an event (JSON, or bytes as they are)."""
        request_id = f"request-{len(self._deliveries) + 1}"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + deadline_in_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
            "Lambda-Runtime-Trace-Id": trace_id,
        }
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        delivery = Delivery(request_id, body, headers, refuse_with)
        delivery.reading.set()
        self._deliveries[request_id] = delivery
        self._asked.clear()
        self._events.put_nowait(delivery)
        return delivery

    async def idle(self) -> None:
        """Waits until the function asks for an event that is not there: all before is over."""
        await asyncio.wait_for(self._asked.wait(), _WAIT_S)

    async def asked_for(self, line: str) -> None:
        """Waits until the log has the line."""
        async with asyncio.timeout(_WAIT_S):
            while line not in self.log:
                await asyncio.sleep(0.01)

    def drop_connections(self) -> None:
        """Closes every connection, as a server does that tidies up."""
        self._asked.clear()
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self._writers.add(writer)
        try:
            while head := await _read_head(reader):
                await self._handle(*head, reader, writer)
                if self.close_after_answer:
                    break
        except (OSError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _handle(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        name = path.removeprefix("/2018-06-01/runtime/")
        self.log.append(f"{method} {name}")
        if name == "invocation/next":
            await self._hand_out(reader, writer)
        elif name == "restore/next":
            await self.restored.wait()
            await self._answer(writer, 200, {}, b"{}")
        elif name.endswith("/error"):
            error = json.loads(await reader.readexactly(int(headers["content-length"])))
            assert error["errorType"] == headers["lambda-runtime-function-error-type"]
            self._keep_error(name, error)
            await self._answer(writer, 202, {}, b'{"status":"OK"}')
        else:
            delivery = self._deliveries[name.split("/")[1]]
            delivery.response_headers, delivery.writer = headers, writer
            await self._receive(delivery, reader, writer)

    async def _hand_out(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._events.empty():
            self._asked.set()
        event, gone = asyncio.ensure_future(self._events.get()), asyncio.ensure_future(reader.read(1))
        await asyncio.wait((event, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        await asyncio.wait((gone,))
        if not event.done():
            event.cancel()
            raise EOFError
        delivery = event.result()
        headers = {"Content-Type": "application/json", **delivery.headers}
        await self._answer(writer, self.next_status, headers, delivery.event)

    async def _receive(self, delivery: Delivery, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = delivery.refuse_with or 202
        try:
            if not delivery.refuse_with:
                async for data in _read_chunks(reader, delivery.trailers):
                    delivery.chunks.put_nowait(data)
                    await delivery.reading.wait()
                delivery.complete = True
            await self._answer(writer, status, {"Content-Type": "application/json"}, b'{"status":"OK"}')
        finally:
            delivery.chunks.put_nowait(None)

    def _keep_error(self, name: str, error: dict[str, Any]) -> None:
        if name == "init/error":
            self.init_error = error
        elif name == "restore/error":
            self.restore_error = error
        else:
            self._deliveries[name.split("/")[1]].error = error

    async def _answer(self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
        if self.close_after_answer:
            lines.append("Connection: close")
        if self.chunked_answers:
            lines.append("Transfer-Encoding: chunked")
            half = len(body) // 2
            pieces = [piece for piece in (body[:half], body[half:]) if piece]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        step = self.split_bytes or len(data)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if self.split_bytes:
                await asyncio.sleep(0)


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request_line, *lines = head[:-4].decode().split("\r\n")
    method, path, _ = request_line.split(" ")
    return method, path, _headers(lines)


def _headers(lines: list[str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def _read_chunks(reader: asyncio.StreamReader, trailers: dict[str, str]) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers.update(_headers([line.decode().strip()]))


@asynccontextmanager
async def fake_runtime_api(**options: Any) -> AsyncIterator[FakeRuntimeApi]:
    """A running one, for functions in this process or another."""
    api = FakeRuntimeApi(**options)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await api.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    api.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield api
    finally:
        server.close()
        api.restored.set()
        for writer in list(api._writers):
            writer.transport.abort()
        if connections:
            await asyncio.wait(connections, timeout=_WAIT_S)


@asynccontextmanager
async def serving(app: App, *, options: dict[str, Any] | None = None, **loop: Any) -> AsyncIterator[FakeRuntimeApi]:
    """The app behind the product's loop and a Runtime API (`options` are its own)."""
    async with fake_runtime_api(**(options or {})) as api:
        client = RuntimeApi(api.address)
        task = asyncio.create_task(Loop(app, client, **loop).run())
        try:
            yield api
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            client.close()
            await asyncio.sleep(0)
