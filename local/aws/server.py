"""The HTTP server: AWS on one address of the loopback, and the controls that tests and the local stack steer it with.

```
GET    /_ownkey/calls      counts of calls; DELETE sets them to nought
POST   /_ownkey/faults     adds a list of rules (`faults`); DELETE removes all
PUT    /_ownkey/policies   {access key: [statement]} (`policies`), replacing all
POST   /_ownkey/clear      empties tables: {"tables": [names]}
POST   /_ownkey/ttl-sweep  deletes expired items; {"now_s": …} sweeps as of then
GET    /_ownkey/health     {"status": "ok"}
GET    /.well-known/jwks.json  the keys that STS's identity tokens verify with
```
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

from local.aws.controls import CONTROL_PREFIX, Controls
from local.aws.faults import BadRule
from local.aws.gate import Gate, Outcome, Request
from local.aws.policies import UnsupportedPolicy
from local.aws.sts import JWKS_PATH

_MAX_BODY_BYTES = 256 * 1024 * 1024
_KEEPALIVE_S = 75.0
_HANG_S = 120.0
_POLL_S = 0.02
_STOP_S = 0.2


class AwsServer:
    """A running server; a context manager that stops it."""

    def __init__(self, endpoint_url: str, stop: Callable[[], None]) -> None:
        self.endpoint_url = endpoint_url
        self.stop = stop
        self.controls = Controls(endpoint_url)

    def __enter__(self) -> AwsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_aws(port: int = 0, clock: Callable[[], float] = time.time) -> AwsServer:
    """Starts AWS on 127.0.0.1 in a thread of this process; port 0 takes a free one.

    moto keeps its resources for the whole process: two servers of one process show the same tables.
    """
    started: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event] | BaseException] = []
    ready = threading.Event()

    async def run() -> None:
        runner = await listen(Gate(clock), port)
        stopping = asyncio.Event()
        started.append((_endpoint(runner), asyncio.get_running_loop(), stopping))
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as e:  # noqa: BLE001 - belongs to the thread that waits
            started.append(e)
            ready.set()

    thread = threading.Thread(target=main, name="local-aws", daemon=True)
    thread.start()
    ready.wait()
    if isinstance(first := started[0], BaseException):
        raise first
    endpoint_url, loop, stopping = first

    def stop() -> None:
        if thread.is_alive():
            loop.call_soon_threadsafe(stopping.set)
            thread.join()

    return AwsServer(endpoint_url, stop)


async def listen(gate: Gate, port: int, host: str = "127.0.0.1") -> web.ServerRunner:
    """Starts listening in the running loop; `cleanup()` of what is returned ends it."""
    app = _Application(gate)
    server = web.Server(app.handle, keepalive_timeout=_KEEPALIVE_S, access_log=None, request_factory=_request)
    runner = web.ServerRunner(server, shutdown_timeout=_STOP_S)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]) -> web.BaseRequest:
    """aiohttp's request, with room for S3 objects and batches."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY_BYTES)


def _endpoint(runner: web.ServerRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


class _Application:
    """From HTTP to the gate and back."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._controls: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "calls"): lambda _: gate.counter.summary(),
            ("DELETE", "calls"): lambda _: gate.counter.clear(),
            ("POST", "faults"): gate.faults.add,
            ("DELETE", "faults"): lambda _: gate.faults.clear(),
            ("PUT", "policies"): gate.policies.replace,
            ("POST", "clear"): lambda given: gate.clear((given or {}).get("tables", ())),
            ("POST", "ttl-sweep"): lambda given: {"deleted": gate.sweep_expired((given or {}).get("now_s"))},
            ("GET", "health"): lambda _: {"status": "ok"},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request of any kind."""
        if request.headers.get("Expect", "").lower() == "100-continue":  # boto3 sends it with objects for S3
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = await request.read()
        if request.path.startswith(CONTROL_PREFIX):
            return self._control(request.method, request.path.removeprefix(CONTROL_PREFIX), body)
        if request.path == JWKS_PATH:
            return web.json_response(self._gate.sts.jwks())
        outcome = self._gate.handle(
            Request(
                request.method,
                request.raw_path,
                request.path,
                request.query,
                request.headers,
                request.headers.items(),
                body,
            )
        )
        return await _deliver(request, outcome)

    def _control(self, method: str, name: str, body: bytes) -> web.Response:
        control = self._controls.get((method, name))
        if control is None:
            return web.json_response({"error": f"no such control: {method} {name}"}, status=404)
        try:
            return web.json_response(control(json.loads(body) if body else None) or {})
        except (BadRule, UnsupportedPolicy, ValueError) as e:
            return web.json_response({"error": str(e)}, status=400)


async def _deliver(request: web.BaseRequest, outcome: Outcome) -> web.StreamResponse:
    if outcome.delay_s:
        await asyncio.sleep(outcome.delay_s)
    if outcome.answer is not None:
        return web.Response(status=outcome.answer.status, headers=outcome.answer.headers, body=outcome.answer.body)
    if not outcome.breaks:
        await _until_gone(request)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # nobody is there to receive it


async def _until_gone(request: web.BaseRequest) -> None:
    """Waits until the client gives up, two minutes at most."""
    for _ in range(round(_HANG_S / _POLL_S)):
        if request.transport is None or request.transport.is_closing():
            return
        await asyncio.sleep(_POLL_S)
