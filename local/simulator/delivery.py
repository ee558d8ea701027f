"""Sending an answer: the pace, the cuts, and what the journal learns from it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

from aiohttp import web

from local.simulator.behaviour import Behaviour
from local.simulator.journal import Entry
from local.simulator.replies import Frame, Reply, Silence, Stream, Whole

SILENCE_LIMIT_S = 900  # longer than any client waits
FLUSH_LIMIT_S = 5
LINGER_THEN_RESET = struct.pack("ii", 1, 0)


async def deliver(request: web.Request, reply: Reply, behaviour: Behaviour, entry: Entry) -> web.StreamResponse:
    """Send the reply and close the journal's entry. A client that goes away cancels this task."""
    try:
        await asyncio.sleep(behaviour.header_ms / 1000)
        if isinstance(reply, Silence):
            await asyncio.sleep(SILENCE_LIMIT_S)
            raise web.HTTPGatewayTimeout
        entry.status = reply.status if isinstance(reply, Whole) else 200
        response = web.StreamResponse(status=entry.status, headers=reply.headers)
        response.headers["content-type"] = reply.content_type
        if isinstance(reply, Whole):
            outcome = await _send_whole(request, response, reply, behaviour, entry)
        else:
            outcome = await _send_stream(request, response, reply, behaviour, entry)
        entry.end(outcome)
    except (asyncio.CancelledError, ConnectionError):
        entry.end("disconnected")
        raise
    return response


async def _send_whole(
    request: web.Request, response: web.StreamResponse, reply: Whole, behaviour: Behaviour, entry: Entry
) -> str:
    await asyncio.sleep(behaviour.first_token_ms / 1000)
    cut = behaviour.cut_after is not None
    body = reply.body[: len(reply.body) // 2] if cut else reply.body
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(body)
    entry.wrote(body)
    if cut:
        await _cut(request, "reset" if behaviour.cut_mode == "reset" else "eof")
        return "cut"
    await response.write_eof()
    return "answered"


async def _send_stream(
    request: web.Request, response: web.StreamResponse, reply: Stream, behaviour: Behaviour, entry: Entry
) -> str:
    response.headers["cache-control"] = "no-cache"
    await response.prepare(request)
    if behaviour.at_once:
        await _write(response, reply.frames, entry)
    else:
        await _write_paced(response, reply, behaviour, entry)
    if reply.ending == "hang":
        await asyncio.sleep(SILENCE_LIMIT_S)
    if reply.ending in ("reset", "eof", "hang"):
        await _cut(request, reply.ending)
        return "cut"
    await response.write_eof()
    return "cut" if reply.ending == "early" else "answered"


async def _write_paced(response: web.StreamResponse, reply: Stream, behaviour: Behaviour, entry: Entry) -> None:
    """Write frame by frame. The pace is kept against the clock, so that it does not drift over a long stream."""
    due = time.monotonic()
    chunks = 0
    for index, frame in enumerate(reply.frames):
        if index == reply.first_token_at:
            due += behaviour.first_token_ms / 1000
            await asyncio.sleep(max(0, due - time.monotonic()))
        if frame.chunk:
            chunks += 1
            if chunks > 1 and behaviour.delay_ms:
                due += behaviour.delay_ms / 1000
                await asyncio.sleep(max(0, due - time.monotonic()))
        await _write(response, (frame,), entry)


async def _write(response: web.StreamResponse, frames: tuple[Frame, ...], entry: Entry) -> None:
    data = b"".join(frame.data for frame in frames)
    await response.write(data)
    entry.wrote(data, sum(frame.chunk for frame in frames))


async def _cut(request: web.Request, ending: str) -> None:
    """Break the connection once what was written has left: with RST, or with FIN and no end of the body."""
    transport = request.transport
    if transport is None:
        return
    give_up = time.monotonic() + FLUSH_LIMIT_S
    while transport.get_write_buffer_size() and time.monotonic() < give_up:
        await asyncio.sleep(0.001)
    if ending == "reset":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_THEN_RESET)
        transport.abort()
    else:
        transport.close()
