"""The fast upstream for measurements: real HTTP and real OpenAI answers, however it is made."""

import asyncio

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from local.simulator.fast import Defaults, start

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
async def origin():
    server = await start(defaults=Defaults(chunks=7))
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def client(origin):
    async with openai.AsyncOpenAI(api_key="any", base_url=f"{origin}/openai/v1", max_retries=0) as sdk:
        yield sdk


def ask(text: str = "hello", **more) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


async def test_a_whole_answer(client):
    completion = await client.chat.completions.create(**ask())
    ChatCompletion.model_validate(completion.to_dict(), strict=True)
    assert completion.choices[0].message.content.endswith("w15")


@pytest.mark.parametrize(
    ("knobs", "chunks"), [("", 7), ("[[sim: chunks=50]]", 50), ("[[sim: chunks=3 delay_ms=1]]", 3)]
)
async def test_a_stream_has_the_chunks_asked_for(client, knobs, chunks):
    stream = await client.chat.completions.create(**ask(knobs), stream=True, stream_options={"include_usage": True})
    parts = [part async for part in stream]
    for part in parts:
        ChatCompletionChunk.model_validate(part.to_dict(), strict=True)
    contents = [part.choices[0].delta.content for part in parts if part.choices and part.choices[0].delta.content]
    assert contents == ["w0", *[f" w{index}" for index in range(1, chunks)]]
    assert parts[-1].usage.completion_tokens == chunks


async def test_no_usage_unless_asked_for(client):
    assert [part.usage async for part in await client.chat.completions.create(**ask(), stream=True)] == [None] * 9


async def test_a_connection_serves_many_requests(origin):
    async with httpx.AsyncClient(verify=False, base_url=origin, limits=httpx.Limits(max_connections=1)) as http:
        for stream in (True, False, True):
            response = await http.post("/v1/chat/completions", json=ask(stream=stream))
            assert response.status_code == 200
            assert response.extensions["network_stream"].get_extra_info("socket") is not None
        assert (await http.get("/v1/models")).json() == {"object": "list", "data": []}
        assert (await http.post("/v1/embeddings", json={})).status_code == 404


async def test_requests_in_pieces_and_in_a_row_are_answered_in_order(origin):
    port = int(origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    slow = b'{"stream": true, "x": "[[sim: chunks=2 delay_ms=5]]"}'
    for piece in (HEAD[:20], HEAD[20:] % len(slow) + slow[:5], slow[5:] + HEAD % 2 + b"{}"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    first = await reader.readuntil(b"0\r\n\r\n")
    assert b"text/event-stream" in first
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json")
    writer.close()
    await writer.wait_closed()
