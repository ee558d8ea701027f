"""The Runtime API, spoken to as a runtime does; and what a function's process is started with."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.deployment import Function
from local.environments import launch_of
from local.invocation import Collected, FunctionError, Invocation
from local.runtime_api import RuntimeApi
from tests.local.conftest import until

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


class Api:
    """A Runtime API, a client of it, and what it told its environment."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.init_errors: list[FunctionError] = []
        self.api = RuntimeApi(
            lambda: self.told.append("ready"),
            lambda: self.told.append("lost"),
            lambda: self.told.append("answered"),
            self.init_errors.append,
        )
        self.client: httpx.AsyncClient

    async def take(self, timeout_s: float = 3) -> tuple[Invocation, Collected, httpx.Response]:
        """Asks for an invocation and is given one."""
        asking = asyncio.create_task(self.client.get("/invocation/next"))
        before = self.told.count("ready")
        await until(lambda: self.told.count("ready") > before)
        answer = Collected()
        invocation = Invocation(b'{"event": 1}', answer, ARN)
        self.api.offer(invocation, timeout_s)
        return invocation, answer, await asking


@pytest.fixture
async def runtime() -> AsyncIterator[Api]:
    api = Api()
    address = await api.api.start()
    async with httpx.AsyncClient(base_url=f"http://{address}/2018-06-01/runtime") as api.client:
        yield api
    api.api.stop()


async def test_an_invocation_and_its_answer(runtime: Api) -> None:
    invocation, answer, given = await runtime.take(timeout_s=3)
    assert given.content == b'{"event": 1}'
    assert given.headers["lambda-runtime-aws-request-id"] == invocation.request_id
    assert given.headers["lambda-runtime-invoked-function-arn"] == ARN
    assert given.headers["lambda-runtime-trace-id"] == invocation.trace_id
    remaining_s = int(given.headers["lambda-runtime-deadline-ms"]) / 1000 - time.time()
    assert 0 < remaining_s <= 3

    accepted = await runtime.client.post(f"/invocation/{invocation.request_id}/response", content=b'"done"')
    assert accepted.status_code == 202
    assert await answer.done == b'"done"'
    assert runtime.told == ["ready", "answered"]


async def test_an_error(runtime: Api) -> None:
    invocation, answer, _ = await runtime.take()
    headers = {"Lambda-Runtime-Function-Error-Type": "Mine"}
    await runtime.client.post(f"/invocation/{invocation.request_id}/error", content=b"{}", headers=headers)
    assert await answer.done == FunctionError("Mine", b"{}")


async def test_an_error_in_the_middle_of_a_stream(runtime: Api) -> None:
    invocation, answer, _ = await runtime.take()
    reader, writer = await asyncio.open_connection(runtime.client.base_url.host, runtime.client.base_url.port)
    body = base64.b64encode(b'{"errorMessage": "half"}')
    writer.write(
        b"POST /2018-06-01/runtime/invocation/%b/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n4\r\nhalf\r\n0\r\n"
        b"Lambda-Runtime-Function-Error-Type: Mine\r\nLambda-Runtime-Function-Error-Body: %b\r\n\r\n"
        % (invocation.request_id.encode(), body)
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 202")
    assert await answer.done == FunctionError("Mine", b'{"errorMessage": "half"}')
    writer.close()


async def test_a_stream_that_breaks_off(runtime: Api) -> None:
    invocation, answer, _ = await runtime.take()
    _, writer = await asyncio.open_connection(runtime.client.base_url.host, runtime.client.base_url.port)
    path = f"/2018-06-01/runtime/invocation/{invocation.request_id}/response"
    head = "Host: x\r\nTransfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming"
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n\r\n4\r\nhalf\r\n".encode())
    await writer.drain()
    writer.close()
    error = await answer.done
    assert isinstance(error, FunctionError)
    assert error.type == "Runtime.TruncatedResponse"


async def test_a_runtime_that_asks_for_more_before_it_has_answered(runtime: Api) -> None:
    _, answer, _ = await runtime.take()
    _, second, _ = await runtime.take()
    error = await answer.done
    assert isinstance(error, FunctionError)
    assert error.type == "Runtime.NoResponse"
    assert not second.done.done()


async def test_a_runtime_that_hangs_up_while_it_waits(runtime: Api) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await runtime.client.get("/invocation/next", timeout=0.1)
    await until(lambda: runtime.told == ["ready", "lost"])


async def test_code_that_cannot_be_loaded(runtime: Api) -> None:
    headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
    assert (await runtime.client.post("/init/error", content=b"{}", headers=headers)).status_code == 202
    assert runtime.init_errors == [FunctionError("Runtime.ImportModuleError", b"{}")]


async def test_a_snapshot_is_restored_at_once(runtime: Api) -> None:
    assert (await runtime.client.get("/restore/next")).status_code == 200


@pytest.mark.parametrize("path", ["/invocation/unknown/response", "/invocation/unknown/error", "/nothing"])
async def test_an_answer_that_nobody_asked_for(runtime: Api, path: str) -> None:
    refused = await runtime.client.post(path, content=b"{}")
    assert (refused.status_code, refused.json()["errorType"]) == (400, "InvalidRequestID")


def function(tmp_path: Path, **environment: str) -> Function:
    layers = (tmp_path / "built", tmp_path / "source")
    return Function("F", "f", ARN, "handler.app", tmp_path, layers, environment, 3, 512, True, ())


def test_a_function_runs_under_awss_own_runtime_client(tmp_path: Path) -> None:
    (tmp_path / "built" / "python").mkdir(parents=True)
    launch = launch_of(function(tmp_path), region="eu-west-1", bootstrap=("-m", "boot"), extra={"MORE": "1"})
    assert launch.command[1:] == ("-m", "awslambdaric", "handler.app")
    assert launch.directory == tmp_path
    assert launch.environment["PYTHONPATH"] == f"{tmp_path}:{tmp_path}/built/python:{tmp_path}/source"
    assert launch.environment["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    assert (launch.environment["AWS_REGION"], launch.environment["MORE"]) == ("eu-west-1", "1")


def test_a_function_with_an_exec_wrapper_runs_under_the_bootstrap(tmp_path: Path) -> None:
    wrapped = function(tmp_path, AWS_LAMBDA_EXEC_WRAPPER="/opt/bootstrap")
    launch = launch_of(wrapped, region="eu-west-1", bootstrap=("-m", "boot"), extra={})
    assert launch.command[1:] == ("-m", "boot")


def test_nothing_of_the_machines_own_environment_reaches_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    launch = launch_of(function(tmp_path), region="eu-west-1", bootstrap=(), extra={})
    assert "sk-secret" not in launch.environment.values()
