"""One inference request and its response, on ASGI itself: no request object, no model, nothing parsed twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from ownkey.domain import ids
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.errors import OwnkeyError, RequestTooLarge
from ownkey.domain.surfaces import Dialect
from ownkey.http.errors import render
from ownkey.router import Served

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Put = Callable[[bytes], bool]
RawHeaders = list[tuple[bytes, bytes]]

MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's limit of a request."""
DEADLINE_MARGIN_S = 5.0
"""Kept free at the function's end, for the last event and the record."""
_LOCAL_DEADLINE_S = 900.0
"""Where no Lambda context says how long the function has: its configured timeout."""

NONE = "none"
"""In a header: there is none, as no credential was used."""


class ClientGone(Exception):
    """The client left before its request was whole."""


class Exchange:
    """Everything one request and its answer have in common, whatever comes of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect) -> None:
        self.dialect = dialect
        self.request_id = ids.new_id(ids.REQUEST)
        self.headers = request_headers(scope)
        """The client's, names in lower case."""
        self.query = bytes(scope.get("query_string", b""))
        self.path: str = scope["path"]
        self.address: str | None = (scope.get("client") or (None,))[0]
        """The client's, as API Gateway saw it."""
        self.origin = self.headers.get("origin")
        """Of the web page that sends the request, if one does."""
        self.sharing: Mapping[str, str] = {}
        """Headers of the answer that let that page read it."""
        self.path_params: Mapping[str, str] = scope.get("path_params", {})
        self.receive = receive
        self.model: str | None = None
        """What was asked for, once that is known."""
        self.started = False
        context = scope.get("aws.context")
        self._left_s = context.get_remaining_time_in_millis() / 1000 if context is not None else _LOCAL_DEADLINE_S
        self._send = send
        self.put: Put | None = scope.get("ownkey.put")
        """Where the server has it: a piece in the middle of a stream, sent within the call. False: await `write`."""

    def deadline(self) -> tuple[float, int]:
        """When the answer must be over on the event loop's clock, and when the function is in epoch seconds."""
        left_s = max(1.0, self._left_s - DEADLINE_MARGIN_S)
        return asyncio.get_running_loop().time() + left_s, int(time.time() + self._left_s) + 1

    async def body(self) -> bytes:
        """The request's body.

        Raises:
            RequestTooLarge: it is over `MAX_BODY_BYTES`.
            ClientGone: the client left.
        """
        whole, more = b"", True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone
            whole += message.get("body", b"")
            more = message.get("more_body", False)
            if len(whole) > MAX_BODY_BYTES:
                raise RequestTooLarge(f"The request's body is larger than {MAX_BODY_BYTES // 1024**2} MB.")
        return whole

    async def start(self, status: int, headers: Mapping[str, str], served: Served | None, attempts: int) -> None:
        """Sends status and headers: `headers` and those that every response has."""
        self.started = True
        told = encoded_headers({**headers, **self.sharing}, self.request_id, served, attempts, self.model)
        await self._send({"type": "http.response.start", "status": status, "headers": told})

    async def write(self, data: bytes, *, more: bool) -> None:
        """Sends a piece of the body; without `more` it is the last."""
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def fail(self, error: OwnkeyError, served: Served | None, attempts: int) -> None:
        """Answers with an error."""
        rendered = render(error, self.dialect, self.request_id)
        await self.start(rendered.status, rendered.headers, served, attempts)
        await self.write(rendered.body, more=False)


def request_headers(scope: Scope) -> dict[str, str]:
    """A request's headers, names in lower case. One given twice is joined, so that it is never read as either."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def encoded_headers(
    headers: Mapping[str, str],
    request_id: str,
    served: Served | None = None,
    attempts: int = 0,
    model: str | None = None,
) -> RawHeaders:
    """`headers`, and what docs/contracts/headers.md promises on every response."""
    told = {
        **headers,
        "x-ownkey-request-id": request_id,
        "x-request-id": request_id,
        "request-id": request_id,
        "x-ownkey-byok": str(served is not None and served.source is CredentialSource.BYOK).lower(),
        "x-ownkey-provider": served.provider if served else NONE,
        "x-ownkey-model": header_text(served.model if served else model or NONE),
        "x-ownkey-credential": header_text(served.credential) if served else NONE,
        "x-ownkey-credential-source": served.source.value if served else NONE,
        **({"x-ownkey-dropped": ", ".join(map(header_text, served.dropped))} if served and served.dropped else {}),
        "x-ownkey-attempts": str(attempts),
        "x-ownkey-fallback": str(attempts > 1).lower(),
        "cache-control": "private, no-store",
        "vary": "Authorization, Origin",
        "x-content-type-options": "nosniff",
    }
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in told.items()]


def detached_error(scope: Scope, error: OwnkeyError) -> tuple[int, RawHeaders, bytes]:
    """An error that no endpoint answered: status, headers, body, in the dialect that the path speaks."""
    request_id, dialect = ids.new_id(ids.REQUEST), dialect_of(scope["path"], request_headers(scope))
    rendered = render(error, dialect, request_id)
    return rendered.status, encoded_headers(rendered.headers, request_id), rendered.body


@lru_cache(1_024)
def header_text(text: str) -> str:
    """Any text in a header: printable ASCII stays, the rest (and `%`) is percent-encoded as UTF-8."""
    return quote(text, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~", errors="replace")


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """The dialect of a request that no route claims, or of one that serves both."""
    if "anthropic-version" in headers or "/messages" in path:
        return Dialect.ANTHROPIC
    return Dialect.OPENAI
