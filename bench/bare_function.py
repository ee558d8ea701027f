"""A function that only relays: what the local stack itself costs, to be told apart from what Ownkey costs in it.

Started in the inference function's place, under the same Runtime API. Blocking sockets, and the upstream's bytes as
they come: no authentication, no vault, no plan, no record. `BARE_UPSTREAM` is the upstream's `host:port`.
"""

from __future__ import annotations

import json
import os
import re
import socket

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"\r\nlambda-runtime-aws-request-id:[ \t]*(\S+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"
_ANSWER = (
    b"POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: runtime\r\n"
    b"Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    b"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: upstream\r\nContent-Length: %d\r\n\r\n%s"


def main() -> None:
    """Serves until the Runtime API hangs up."""
    runtime, upstream = _connect(os.environ["AWS_LAMBDA_RUNTIME_API"]), _connect(os.environ["BARE_UPSTREAM"])
    while True:
        runtime.sendall(_NEXT)
        head, event = _whole(runtime)
        request_id = _REQUEST_ID.search(head)
        if request_id is None:
            return
        body = json.loads(event)["body"].encode()
        upstream.sendall(_ASK % (len(body), body))
        runtime.sendall(_ANSWER % request_id[1])
        _relay(upstream, runtime)
        _whole(runtime)


def _relay(upstream: socket.socket, runtime: socket.socket) -> None:
    """The upstream's next answer into the Runtime API's open one: chunks as they are, a whole answer as one chunk."""
    head, data = _head(upstream)
    kind = b"text/event-stream" if b"event-stream" in head else b"application/json"
    prelude = b'{"statusCode":200,"headers":{"content-type":"%s"}}' % kind + b"\0" * 8
    runtime.sendall(_chunk(prelude))
    if length := _LENGTH.search(head):
        runtime.sendall(_chunk(_rest(upstream, data, int(length[1]))) + _LAST_CHUNK)
        return
    tail = b""
    while not tail.endswith(b"\r\n" + _LAST_CHUNK):
        data = data or upstream.recv(262_144)
        runtime.sendall(data)
        tail, data = (tail + data)[-8:], b""


def _connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A message's head, and what came with it."""
    data = b""
    while _HEAD_END not in data:
        received = connection.recv(262_144)
        if not received:
            raise SystemExit(0)
        data += received
    head, _, rest = data.partition(_HEAD_END)
    return head, rest


def _whole(connection: socket.socket) -> tuple[bytes, bytes]:
    head, data = _head(connection)
    length = _LENGTH.search(head)
    return head, _rest(connection, data, int(length[1]) if length else 0)


def _rest(connection: socket.socket, data: bytes, length: int) -> bytes:
    while len(data) < length:
        data += connection.recv(262_144)
    return data


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


if __name__ == "__main__":
    main()
