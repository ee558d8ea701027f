"""A very fast upstream for measuring what a gateway adds: `python -m local.simulator.fast --port N`.

It speaks just enough HTTP/1.1 (keep-alive, Content-Length bodies), of OpenAI's dialect, and of Anthropic's streams: any
key, any model, and answers rendered beforehand, so that its own share of the time stays small and constant. A stream
without pace is one write. `[[sim: chunks=N delay_ms=D]]` in the body overrides the defaults of the command line.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from local.simulator.text import compact, numbered_words

HEAD_END = b"\r\n\r\n"
STREAM_ASKED = re.compile(rb'"stream"\s*:\s*true')
USAGE_ASKED = re.compile(rb'"include_usage"\s*:\s*true')
KNOB = re.compile(rb"(chunks|delay_ms)=(\d+)")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
PROMPT_TOKENS = 10
WHOLE_TOKENS = 16
MAX_CHUNKS = 100_000
_COMMON = {"created": 1_767_225_600, "model": "gpt-4o-mini-2024-07-18", "system_fingerprint": "fp_5171a7ed00"}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_fast\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """The stream that is sent where the request asks for no other."""

    chunks: int = 20
    delay_ms: int = 0


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A response in one piece."""
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nx-request-id: req_fast\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _usage(completion_tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": completion_tokens,
        "total_tokens": PROMPT_TOKENS + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


@lru_cache(maxsize=1)
def whole_completion() -> bytes:
    """The response to a request without `stream`."""
    message = {"role": "assistant", "content": "".join(numbered_words(WHOLE_TOKENS)), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": "chatcmpl-fast", "object": "chat.completion", **_COMMON}
    return whole(compact({**head, "choices": [choice], "usage": _usage(WHOLE_TOKENS)}).encode())


@lru_cache(maxsize=16)
def stream_parts(chunks: int, include_usage: bool) -> tuple[bytes, ...]:
    """The response to a request with `stream`, head first, in the parts that are sent at the pace asked for."""

    def event(choices: list[dict[str, object]], usage: dict[str, object] | None = None) -> bytes:
        chunk: dict[str, object] = {"id": "chatcmpl-fast", "object": "chat.completion.chunk", **_COMMON}
        chunk["choices"] = choices
        if include_usage:
            chunk["usage"] = usage
        return _http_chunk(f"data: {compact(chunk)}\n\n".encode())

    def choice(delta: dict[str, object], finish: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    opening = event(choice({"role": "assistant", "content": "", "refusal": None}))
    contents = [event(choice({"content": word})) for word in numbered_words(chunks)]
    closing = event(choice({}, "stop"))
    if include_usage:
        closing += event([], _usage(chunks))
    closing += _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return (_STREAM_HEAD + opening, *contents, closing)


@lru_cache(maxsize=16)
def message_parts(chunks: int) -> tuple[bytes, ...]:
    """The same as one of Anthropic's messages."""

    def event(kind: str, **members: object) -> bytes:
        return _http_chunk(f"event: {kind}\ndata: {compact({'type': kind, **members})}\n\n".encode())

    used = {"input_tokens": PROMPT_TOKENS, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {
        "id": "msg_fast",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**used, "output_tokens": 1},
    }
    opening = event("message_start", message=message)
    opening += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    contents = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        for word in numbered_words(chunks)
    ]
    closing = event("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    closing += event("message_delta", delta=end, usage={**used, "output_tokens": chunks})
    closing += event("message_stop") + b"0\r\n\r\n"
    return (_STREAM_HEAD + opening, *contents, closing)


@lru_cache(maxsize=16)
def at_once(parts: tuple[bytes, ...]) -> bytes:
    """A stream in one piece."""
    return b"".join(parts)


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


MODELS = whole(compact({"object": "list", "data": []}).encode())
NOT_FOUND = whole(
    compact({"error": {"message": "Invalid URL", "type": "invalid_request_error"}}).encode(), b"404 Not Found"
)
LENGTH_REQUIRED = b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._received = bytearray()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._timer is None and (request := self._next_request()) is not None:
            self._answer(*request)

    def _next_request(self) -> tuple[bytes, bytes] | None:
        """The head and body of the next complete request, or None until there is one."""
        end = self._received.find(HEAD_END)
        if end < 0:
            return None
        head = bytes(self._received[:end])
        length = CONTENT_LENGTH.search(head)
        if length is None and head.startswith(b"POST"):
            self._transport.write(LENGTH_REQUIRED)
            self._transport.close()
            return None
        start = end + len(HEAD_END)
        stop = start + (int(length[1]) if length else 0)
        if len(self._received) < stop:
            return None
        body = bytes(self._received[start:stop])
        del self._received[:stop]
        return head, body

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/models"):
            self._transport.write(MODELS)
        elif path.endswith(b"/messages") and STREAM_ASKED.search(body):
            self._stream(body, message_parts)
        elif not path.endswith(b"/chat/completions"):
            self._transport.write(NOT_FOUND)
        elif not STREAM_ASKED.search(body):
            self._transport.write(whole_completion())
        else:
            asked = USAGE_ASKED.search(body) is not None
            self._stream(body, lambda chunks: stream_parts(chunks, asked))

    def _stream(self, body: bytes, parts_of: Callable[[int], tuple[bytes, ...]]) -> None:
        knobs = dict(KNOB.findall(body)) if b"[[sim:" in body else {}
        chunks = min(MAX_CHUNKS, int(knobs.get(b"chunks", self._defaults.chunks)))
        delay_ms = int(knobs.get(b"delay_ms", self._defaults.delay_ms))
        parts = parts_of(chunks)
        if delay_ms:
            self._send_part(parts, 0, delay_ms / 1000, asyncio.get_running_loop().time())
        else:
            self._transport.write(at_once(parts))

    def _send_part(self, parts: tuple[bytes, ...], index: int, delay_s: float, due_s: float) -> None:
        """Send one part and arrange for the next, against the clock so that the pace does not drift."""
        self._timer = None
        self._transport.write(parts[index])
        if index + 1 < len(parts):
            due_s += delay_s
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(due_s, self._send_part, parts, index + 1, delay_s, due_s)
        else:
            self.data_received(b"")


async def start(port: int = 0, defaults: Defaults | None = None) -> asyncio.Server:
    """Listen on 127.0.0.1; port 0 takes a free one."""
    chosen = defaults or Defaults()
    return await asyncio.get_running_loop().create_server(lambda: Connection(chosen), "127.0.0.1", port)


async def serve(port: int, defaults: Defaults) -> None:
    """Serve until cancelled; the first line printed is the origin."""
    server = await start(port, defaults)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.simulator.fast", description="A very fast upstream.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--chunks", type=int, default=Defaults().chunks, help="content chunks of a stream")
    parser.add_argument("--delay-ms", type=int, default=Defaults().delay_ms, help="pause between chunks")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port, Defaults(arguments.chunks, arguments.delay_ms)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
