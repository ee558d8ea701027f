"""The Lambda Runtime API: the next event, the streamed response, the errors.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and, for streaming,
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from ownkey.runtime import http1
from ownkey.runtime.http1 import Answer, BrokenConnection, Connection
from ownkey.runtime.prelude import CONTENT_TYPE
from ownkey.runtime.response import ERROR_BODY, ERROR_TYPE, FunctionError, ResponseStream

logger = logging.getLogger(__name__)

_BASE = "/2018-06-01/runtime"
_INVOCATION_ID = "Lambda-Runtime-Invocation-Id"
_RETRY_DELAYS_S = (0.0, 0.05, 0.2)
_FAR_DEADLINE_MS = 1 << 53
"""Where the Runtime API names no deadline there is none."""


class RuntimeApiError(Exception):
    """The Runtime API is gone or refuses: there is nobody to serve, and the process should end."""


class Invocation(NamedTuple):
    """One event and what Lambda says about it."""

    request_id: str
    event: bytes
    """JSON."""
    deadline_ms: int
    """Milliseconds since the epoch at which Lambda kills the process."""
    function_arn: str
    trace_id: str
    """X-Ray's header, or empty."""
    invocation_id: str
    """To be sent back with the response; empty where the Runtime API has none."""


class RuntimeApi:
    """A client of the Runtime API at `host:port`: one exchange at a time over one connection, renewed if broken."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._headers = {"Host": address, "User-Agent": "ownkey-runtime"}
        self._connection: Connection | None = None
        self._next = http1.request("GET", f"{_BASE}/invocation/next", self._headers)

    async def next_invocation(self) -> Invocation:
        """Waits, without limit, for the next event.

        Raises:
            RuntimeApiError: there will be none.
        """
        answer = await self._exchange(self._next)
        if answer.status != 200:
            raise RuntimeApiError(f"the Runtime API answered {answer.status} where an event was due")
        headers = answer.headers
        return Invocation(
            request_id=headers.get("lambda-runtime-aws-request-id", ""),
            event=answer.body,
            deadline_ms=int(headers.get("lambda-runtime-deadline-ms", _FAR_DEADLINE_MS)),
            function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
            trace_id=headers.get("lambda-runtime-trace-id", ""),
            invocation_id=headers.get("lambda-runtime-invocation-id", ""),
        )

    async def respond(self, invocation: Invocation, on_broken: Callable[[], None]) -> ResponseStream:
        """Opens the streamed response; nothing is sent before its prelude.

        Raises:
            BrokenConnection: the Runtime API cannot be reached.
        """
        headers = {
            **self._headers,
            "Content-Type": CONTENT_TYPE,
            "Lambda-Runtime-Function-Response-Mode": "streaming",
            "Transfer-Encoding": "chunked",
            "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
        }
        if invocation.invocation_id:
            headers[_INVOCATION_ID] = invocation.invocation_id
        head = http1.request("POST", f"{_BASE}/invocation/{invocation.request_id}/response", headers)
        return ResponseStream(await self._connected(), head, on_broken)

    async def settle(self, stream: ResponseStream, timeout_s: float) -> None:
        """Waits for the answer to a finished response; the connection is kept only where all went well."""
        answer = await stream.settle(timeout_s)
        if answer is None or answer.status != 202:
            logger.warning("the response was not accepted", extra={"status": answer.status if answer else None})
        if answer is None or stream.broken or not answer.keeps_connection:
            self.close()

    async def restore(self) -> None:
        """Says that init is done and waits for the restore: a snapshot is taken in between.

        Raises:
            RuntimeApiError: no restore will come.
        """
        answer = await self._exchange(http1.request("GET", f"{_BASE}/restore/next", self._headers))
        self.close()  # its other end may be from before the snapshot
        if answer.status != 200:
            raise RuntimeApiError(f"the Runtime API answered {answer.status} where a restore was due")

    async def report_init_error(self, error: FunctionError) -> None:
        """Tells Lambda that init failed; the process must end."""
        await self._report("init/error", error)

    async def report_restore_error(self, error: FunctionError) -> None:
        """Tells Lambda that what follows a restore failed; the process must end."""
        await self._report("restore/error", error)

    async def report_invocation_error(self, invocation: Invocation, error: FunctionError) -> None:
        """Answers an invocation with an error, in place of a response."""
        await self._report(f"invocation/{invocation.request_id}/error", error, invocation.invocation_id)

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.writer.close()
            self._connection = None

    async def _report(self, path: str, error: FunctionError, invocation_id: str = "") -> None:
        headers = {**self._headers, "Content-Type": "application/json", ERROR_TYPE: error.type}
        if invocation_id:
            headers[_INVOCATION_ID] = invocation_id
        answer = await self._exchange(http1.request("POST", f"{_BASE}/{path}", headers, error.encode()))
        if answer.status != 202:
            logger.warning("the error report was not accepted", extra={"path": path, "status": answer.status})

    async def _exchange(self, request: bytes) -> Answer:
        """Sends the request until it is answered: a connection may have been closed while it lay idle."""
        for delay_s in (*_RETRY_DELAYS_S, None):
            try:
                connection = await self._connected()
                connection.writer.write(request)
                answer = await http1.read_answer(connection.reader)
            except BrokenConnection as error:
                self.close()
                if delay_s is None:
                    raise RuntimeApiError(f"the Runtime API at {self._address} is out of reach") from error
                await asyncio.sleep(delay_s)
            else:
                break
        if not answer.keeps_connection:
            self.close()
        return answer

    async def _connected(self) -> Connection:
        if self._connection is None or not self._connection.usable:
            self.close()
            self._connection = await http1.connect(self._address)
        return self._connection
