"""Streamed answers through the whole relay: function, Runtime API, gateway, client."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.local.conftest import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_chunks_arrive_one_by_one_as_the_function_sends_them(running: Running) -> None:
    async with running.client.stream("GET", "/v1/asked-for", params={"n": 4, "name": "chunk"}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        parts = answer.aiter_raw()
        for n in range(4):
            # A relay that gathered chunks would wait for ever: the next is not sent before this one is here.
            (running.journal / f"chunk-{n}").touch()
            assert await anext(parts) == b"data: %d\n\n" % n
        assert [part async for part in parts] == []


async def test_the_head_is_there_before_the_first_chunk(running: Running) -> None:
    async with running.client.stream("GET", "/v1/asked-for", params={"n": 1, "name": "head"}) as answer:
        assert answer.status_code == 200
        (running.journal / "head-0").touch()
        assert await answer.aread() == b"data: 0\n\n"


async def test_a_burst_of_chunks_arrives_whole_and_in_order(running: Running) -> None:
    answer = await running.client.get("/v1/burst", params={"n": 2000, "size": 100})
    assert len(answer.content) == 2000 * 100
    numbers = [int(answer.content[at : at + 8]) for at in range(0, len(answer.content), 100)]
    assert numbers == list(range(2000))


async def test_a_prelude_may_come_in_pieces(running: Running) -> None:
    answer = await running.client.get("/v1/pieces")
    assert (answer.headers["x-pieces"], answer.text) == ("yes", "whole")


async def test_status_multi_value_and_renamed_headers(running: Running) -> None:
    answer = await running.client.get("/v1/headers")
    assert answer.status_code == 201
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["x-one"] == "1"
    assert answer.headers["x-amzn-remapped-server"] == "mine"
    assert answer.headers["x-amzn-remapped-www-authenticate"] == "Bearer"
    assert "server" not in answer.headers
    assert answer.headers["x-amzn-requestid"]


async def test_an_answer_without_a_body(running: Running) -> None:
    answer = await running.client.get("/v1/empty")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "transfer-encoding" not in answer.headers


async def test_head_gets_the_head_only(running: Running) -> None:
    answer = await running.client.head("/v1/count")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await running.client.get("/v1/after")).text == "done", "the connection is fit for the next request"


async def test_connections_are_kept(running: Running) -> None:
    reader, writer = await _connect(running)
    for _ in range(3):
        writer.write(b"GET /live/v1/after HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n0\r\n\r\n")).endswith(b"4\r\ndone\r\n0\r\n\r\n")
    writer.close()


async def test_a_client_of_http_1_0_gets_the_body_until_the_end_of_the_connection(running: Running) -> None:
    reader, writer = await _connect(running)
    writer.write(b"GET /live/v1/count?n=2 HTTP/1.0\r\nHost: x\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert body == b"data: 0\n\ndata: 1\n\n"
    assert b"chunked" not in head
    writer.close()


@pytest.mark.parametrize("fault", ["killed", "late-error"])
async def test_a_failure_in_mid_stream_breaks_the_connection(running: Running, fault: str) -> None:
    received: list[bytes] = []

    async def read() -> None:
        async with running.client.stream("GET", f"/v1/{fault}") as answer:
            assert answer.status_code == 200
            async for data in answer.aiter_raw():
                received.append(data)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    assert received == [b"first"]
    assert (await running.client.get("/v1/after")).text == "done"


@pytest.mark.parametrize("fault", ["early-error", "no-prelude"])
async def test_a_failure_before_the_prelude_is_the_gateways_answer(running: Running, fault: str) -> None:
    answer = await running.client.get(f"/v1/{fault}")
    assert (answer.status_code, answer.json()) == (502, {"failed": "Internal server error"})


async def test_a_client_that_goes_away_does_not_stop_the_function(running: Running) -> None:
    before = _journal(running).count("silent ended")
    reader, writer = await _connect(running)
    writer.write(b"GET /live/v1/silent?for_s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"first")
    writer.close()
    await until(lambda: _journal(running).count("silent ended") > before)


async def test_a_slow_client_slows_the_function(running: Running) -> None:
    reader, writer = await _connect(running, limit=1024)
    writer.write(b"GET /live/v1/endless HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(512)
    await asyncio.sleep(0.3)
    written = _journal(running).count("chunk")
    assert written < 640, "the rest waits in the function, not in the gateway's memory"
    body = b"".join([part async for part in _parts(reader)])
    assert body.count(b"y") > 640 * 65536 - 1024
    writer.close()


async def test_a_client_that_stalls_and_goes_away_lets_the_function_end(running: Running) -> None:
    before = _journal(running).count("chunk 639")
    reader, writer = await _connect(running, limit=1024)
    writer.write(b"GET /live/v1/endless HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(512)
    writer.transport.abort()
    await until(lambda: _journal(running).count("chunk 639") > before)


async def test_silence_cuts_a_stream(running: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await running.client.get("/v1/silent", params={"for_s": 2.5})


async def test_a_stream_ends_at_its_integrations_timeout(running: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await running.client.get("/short/count", params={"n": 20, "every_s": 0.1})
    answer = await running.client.get("/short/slow-start", params={"for_s": 2})
    assert (answer.status_code, answer.json()) == (504, {"failed": "Endpoint request timed out"})


async def test_the_event_is_a_rest_proxy_event(running: Running) -> None:
    answer = await running.client.post(
        "/v1/echo?a=1&a=2&b=%20x&empty=",
        content='{"é": 1}'.encode(),
        headers=[("X-Twice", "1"), ("X-Twice", "2"), ("TE", "trailers"), ("X-Forwarded-For", "10.0.0.1")],
    )
    event = json.loads(answer.content)["event"]
    assert event["resource"] == "/v1/{proxy+}"
    assert (event["path"], event["httpMethod"]) == ("/v1/echo", "POST")
    assert event["pathParameters"] == {"proxy": "echo"}
    assert event["queryStringParameters"] == {"a": "2", "b": " x", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [" x"], "empty": [""]}
    assert event["multiValueHeaders"]["X-Twice"] == ["1", "2"]
    assert event["headers"]["X-Twice"] == "2"
    assert event["headers"]["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert not {"te", "connection", "content-length"} & {name.lower() for name in event["headers"]}
    assert (event["body"], event["isBase64Encoded"]) == ('{"é": 1}', False)
    context = event["requestContext"]
    assert (context["stage"], context["path"], context["resourcePath"]) == ("live", "/live/v1/echo", "/v1/{proxy+}")
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["requestId"] == answer.headers["x-amzn-requestid"]


async def _connect(running: Running, limit: int = 65536) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", httpx.URL(running.stack.base_url).port, limit=limit)


async def _parts(reader: asyncio.StreamReader):
    ended = b""
    while not ended.endswith(b"0\r\n\r\n"):
        part = await reader.read(65536)
        if not part:
            return
        ended = (ended + part)[-5:]
        yield part


def _journal(running: Running) -> str:
    path = running.journal / "streaming"
    return path.read_text() if path.exists() else ""
