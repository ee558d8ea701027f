"""Buffered integrations, limits and API Gateway's own answers, through a running stack."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import httpx
import pytest

from local.deployment import Api, Function, Route
from local.environments import Launch
from local.functions import FunctionPool, Functions
from local.gateway import Gateway, TokenBucket
from local.logs import FunctionLog
from tests.local.conftest import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_with_multi_value_and_renamed_headers(running: Running) -> None:
    answer = await running.client.get("/api/many-headers")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json", "API Gateway's default"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"], "multiValueHeaders come before headers"
    assert answer.headers["x-amzn-remapped-date"] == "yesterday"
    assert answer.headers["x-amzn-remapped-content-length"] == "999"
    assert answer.headers["content-length"] == "2"


async def test_the_most_specific_route_wins(running: Running) -> None:
    item = (await running.client.get("/api/items/a%2Fb")).json()["event"]
    assert (item["resource"], item["pathParameters"]) == ("/api/items/{id}", {"id": "a/b"})
    other = (await running.client.post("/api/items/5")).json()
    assert other["message"] == "Missing Authentication Token", "the resource has no such method"
    deeper = (await running.client.get("/api/items/5/parts")).json()["event"]
    assert (deeper["resource"], deeper["pathParameters"]) == ("/api/{proxy+}", {"proxy": "items/5/parts"})


async def test_a_binary_answer_is_decoded_where_the_api_says_it_is_binary(running: Running) -> None:
    assert (await running.client.get("/api/binary")).content == bytes(range(256))
    assert (await running.client.get("/api/text-as-base64")).text == "aGk="


async def test_a_binary_request_reaches_the_function_in_base64(running: Running) -> None:
    image = bytes(range(256))
    answer = await running.client.post("/api/echo", content=image, headers={"Content-Type": "image/png"})
    event = answer.json()["event"]
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == image


async def test_a_chunked_request_is_taken_whole(running: Running) -> None:
    async def parts():
        yield b"one "
        yield b"two"

    assert (await running.client.post("/api/echo", content=parts())).json()["event"]["body"] == "one two"


@pytest.mark.parametrize("act", ["raise", "exit", "malformed", "large"])
async def test_a_function_that_fails_is_a_502_in_the_templates_words(running: Running, act: str) -> None:
    answer = await running.client.get(f"/api/{act}")
    assert (answer.status_code, answer.json()) == (502, {"failed": "Internal server error"})
    assert (await running.client.get("/api/echo")).status_code == 200, "the next request is served"


async def test_the_functions_timeout(running: Running) -> None:
    environments = {each.pid for each in running.stack.environments("EchoFunction")}
    answer = await running.client.get("/api/sleep", params={"for_s": 5})
    assert answer.status_code == 502
    assert "Task timed out" not in answer.text
    assert len(environments & {each.pid for each in running.stack.environments("EchoFunction")}) < len(environments)
    assert "SIGKILL" in running.stack.log("EchoFunction")


async def test_the_integrations_timeout_leaves_the_function_running(running: Running) -> None:
    answer = await running.client.get("/slow")
    assert (answer.status_code, answer.json()) == (504, {"failed": "Endpoint request timed out"})
    (running.journal / "go").touch()
    await until(lambda: running.notes("slow") == ["went on"])


async def test_a_slash_at_the_end_makes_no_difference(running: Running) -> None:
    item = (await running.client.get("/api/items/5/")).json()["event"]
    assert (item["resource"], item["pathParameters"]) == ("/api/items/{id}", {"id": "5"})


async def test_a_body_beyond_the_limits_is_a_413_in_the_templates_words(running: Running) -> None:
    # 10 MB is API Gateway's limit; 6 MB is Lambda's for the event, which a body of 5.9 MB of quotes exceeds.
    for body in (b"x" * (10 * 1024 * 1024 + 1), b"x" * 6_300_000, b'"' * 5_900_000):
        answer = await running.client.post("/api/echo", content=body)
        assert answer.status_code == 413
        assert answer.json() == {
            "too": "large",
            "reason": "REQUEST_TOO_LARGE",
            "id": answer.headers["x-amzn-requestid"],
        }
        assert (answer.headers["x-why"], answer.headers["x-request"]) == ("size", answer.headers["x-amzn-requestid"])
    assert len((await running.client.post("/api/echo", content=b"x" * 5_000_000)).content) > 5_000_000


async def test_no_route_and_no_stage(running: Running) -> None:
    answer = await running.client.get("/nothing/here")
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
    async with httpx.AsyncClient() as client:
        other = await client.get(running.stack.base_url.removesuffix("/live") + "/v1/echo")
    assert (other.status_code, other.json()) == (403, {"message": "Forbidden"})


async def test_the_stages_throttle() -> None:
    api = Api("Api", "live", routes=(), gateway_responses={}, binary_media_types=(), requests_per_s=0.5, burst=2)
    gateway = Gateway(api, Functions(), "123456789012")
    port = await gateway.start(0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/live") as client:
        answers = [await client.get("/nothing") for _ in range(3)]
    gateway.stop()
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert answers[2].json() == {"message": "Too Many Requests"}


async def test_a_function_without_a_free_environment_is_a_500(tmp_path: Path) -> None:
    route = Route("/a", "GET", "F", streamed=False, timeout_s=29)
    api = Api("Api", "live", (route,), {}, (), requests_per_s=None, burst=None)
    function = Function(
        "F", "f", "arn:f", "h.h", tmp_path, (), {}, timeout_s=3, memory_mb=128, snap_start=False, statements=()
    )
    functions = Functions()
    launch = Launch(("true",), tmp_path, {})
    functions.add(FunctionPool(function, launch, FunctionLog(tmp_path / "log"), warm=0, limit=0))
    gateway = Gateway(api, functions, "123456789012")
    port = await gateway.start(0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/live") as client:
        answer = await client.get("/a")
    gateway.stop()
    await functions.stop()
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error"})


async def test_a_bucket_fills_with_time() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3, now_s=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.5)] == [True, False]
    assert [bucket.take(200.0) for _ in range(4)] == [True, True, True, False]


async def test_what_is_not_http_is_refused(running: Running) -> None:
    port = httpx.URL(running.stack.base_url).port
    for wire in (b"NONSENSE\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(wire)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_a_client_that_expects_a_100_gets_one(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(running.stack.base_url).port)
    writer.write(b"POST /live/api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_the_function_is_told_what_lambda_tells(running: Running) -> None:
    seen = json.loads((await running.client.get("/api/echo")).content)
    environment = seen["env"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "ownkey-local-EchoFunction"
    assert environment["AWS_ENDPOINT_URL"] == running.stack.aws_endpoint
    assert environment["AWS_ACCESS_KEY_ID"] == "AKIALOCALECHOFUNCTION"
    assert environment["OTHER_FUNCTION"] == "ownkey-local-TimerFunction"
    assert environment["KIND"] == "plain"
    assert seen["arn"].endswith(":function:ownkey-local-EchoFunction")
    assert 0 < seen["remaining_ms"] <= 1500
