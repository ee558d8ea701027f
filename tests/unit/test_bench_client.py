"""The benchmark's client reads answers right, however their bytes are cut, and refuses to measure wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bench.client import Answer, BadAnswer, Connection, Endpoint
from bench.workload import AT_ONCE, FIRST_TOKEN, WHOLE, Ask
from local.simulator import fast

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
EVENT = b'10\r\ndata: {"a": 1}\n\n\r\n'
END = b"0\r\n\r\n"
# Until a server on Python 3.11 has seen that its client is gone: it does not wait for that by itself.
HANG_UP_S = 0.02


@asynccontextmanager
async def server(pieces: Sequence[bytes]) -> AsyncIterator[Endpoint]:
    """Answers every request with the pieces, one write each, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Endpoint("127.0.0.1", listening.sockets[0].getsockname()[1], "/", {})
        await asyncio.sleep(HANG_UP_S)


async def ask_the_fast_upstream(*asks: Ask) -> list[Answer]:
    upstream = await fast.start()
    async with upstream:
        port = upstream.sockets[0].getsockname()[1]
        endpoint = Endpoint.of(f"http://127.0.0.1:{port}/v1/chat/completions", {})
        async with await Connection.open(endpoint) as connection:
            answers = [await connection.send(endpoint.request(ask.body())) for ask in asks]
        await asyncio.sleep(HANG_UP_S)
        return answers


async def answer_of(*pieces: bytes) -> Answer:
    async with server(pieces) as endpoint, await Connection.open(endpoint) as connection:
        return await connection.send(endpoint.request(b"{}"))


async def test_one_connection_takes_whole_answers_and_streams_in_turn() -> None:
    whole, stream, at_once, again = await ask_the_fast_upstream(WHOLE, FIRST_TOKEN, AT_ONCE, WHOLE)
    for ask, answer in ((WHOLE, whole), (FIRST_TOKEN, stream), (AT_ONCE, at_once), (WHOLE, again)):
        ask.check(answer)
    assert whole.first_event_ms is None
    assert stream.first_event_ms is not None
    assert whole.body == again.body


async def test_the_first_event_is_earlier_than_the_end_of_a_paced_stream() -> None:
    (answer,) = await ask_the_fast_upstream(FIRST_TOKEN)
    assert answer.first_event_ms is not None
    assert answer.first_byte_ms <= answer.first_event_ms < answer.end_ms


@pytest.mark.parametrize("cut", [1, 3, 7])
async def test_a_stream_cut_anywhere_is_whole_at_its_last_chunk(cut: int) -> None:
    data = STREAM_HEAD + EVENT + EVENT + END
    answer = await answer_of(*(data[at : at + cut] for at in range(0, len(data), cut)))
    assert (answer.status, answer.events) == (200, 2)
    assert answer.body == EVENT + EVENT + END


async def test_an_answer_that_breaks_off_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        await answer_of(STREAM_HEAD, EVENT)


@pytest.mark.parametrize(
    ("ask", "answer", "said"),
    [
        (WHOLE, Answer(401, b'{"error": "key"}', 1, None, 1), "401"),
        (WHOLE, Answer(200, b"{}", 1, None, 1), "200"),
        (Ask(chunks=2), Answer(200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', 1, 1, 1), None),
        (Ask(chunks=3), Answer(200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', 1, 1, 1), "2 events of 3"),
    ],
)
def test_only_the_answer_that_was_asked_for_counts(ask: Ask, answer: Answer, said: str | None) -> None:
    if said is None:
        ask.check(answer)
        return
    with pytest.raises(BadAnswer, match=said):
        ask.check(answer)
