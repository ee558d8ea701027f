"""Execution environments: scaled out, used again, killed, replaced, logged."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from local.environments import launch_of
from local.functions import FunctionPool, Functions
from local.invocation import FunctionError, Throttled
from local.logs import FunctionLog
from tests.local.conftest import Running, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_requests_one_after_the_other_need_no_further_environment(running: Running) -> None:
    await running.client.get("/api/echo")
    before = len(running.stack.environments("EchoFunction"))
    known = {each.pid for each in running.stack.environments("EchoFunction")}
    pids = {(await running.client.get("/api/echo")).json()["pid"] for _ in range(20)}
    assert pids <= known
    assert len(running.stack.environments("EchoFunction")) == before


async def test_each_environment_works_on_one_request_at_a_time(running: Running) -> None:
    await asyncio.gather(*(running.client.get("/api/sleep", params={"for_s": 0.3}) for _ in range(3)))
    before = len(running.stack.environments("EchoFunction"))
    assert before >= 3
    await asyncio.gather(*(running.client.get("/api/sleep", params={"for_s": 0.1}) for _ in range(3)))
    assert len(running.stack.environments("EchoFunction")) == before, "warm ones are used before new ones"


async def test_a_function_has_no_more_environments_than_it_may(running: Running, tmp_path: Path) -> None:
    function = running.stack.deployment.functions["EchoFunction"]
    launch = launch_of(function, region="us-east-1", bootstrap=(), extra={})
    functions = Functions()
    functions.add(pool := FunctionPool(function, launch, FunctionLog(tmp_path / "log"), warm=0, limit=2))
    sleep = b'{"act": "sleep", "for_s": 0.2}'
    both = [asyncio.create_task(functions.invoke("EchoFunction", sleep)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Throttled):
        await functions.invoke("EchoFunction", sleep)
    await asyncio.gather(*both)
    for _ in range(10):  # One after the other is never too many, however quickly.
        await functions.invoke("EchoFunction", b"{}")
    assert len(pool.environments) == 2
    await functions.stop()


async def test_the_environment_that_worked_last_works_next(running: Running) -> None:
    await asyncio.gather(*(running.client.get("/api/sleep", params={"for_s": 0.2}) for _ in range(2)))
    await running.stack.drain_stream()
    first = (await running.client.get("/api/echo")).json()["pid"]
    await running.stack.drain_stream()
    assert (await running.client.get("/api/echo")).json()["pid"] == first


async def test_warm_environments_are_there_from_the_start_and_replaced(running: Running) -> None:
    assert len(running.stack.environments("StreamingFunction")) >= 2
    running.stack.kill("StreamingFunction")
    await until(lambda: _ready(running) >= 2)
    assert (await running.client.get("/v1/after")).text == "done"


async def test_an_environment_killed_in_the_middle_is_a_failure_and_is_replaced(running: Running) -> None:
    slow = asyncio.create_task(running.stack.invoke("EchoFunction", {"act": "sleep", "for_s": 0.5}))
    await until(lambda: any(each.invocation for each in running.stack.environments("EchoFunction")))
    (busy,) = (each for each in running.stack.environments("EchoFunction") if each.invocation)
    os.kill(busy.pid or 0, signal.SIGKILL)

    result = await slow
    assert isinstance(result, FunctionError)
    assert result.type == "Runtime.ExitError"
    assert b"signal: SIGKILL" in result.payload
    assert "EXIT Runtime.ExitError" in running.stack.log("EchoFunction")
    assert (await running.client.get("/api/echo")).status_code == 200


async def test_a_function_error_has_the_runtimes_payload(running: Running) -> None:
    result = await running.stack.invoke("EchoFunction", {"act": "raise"})
    assert isinstance(result, FunctionError)
    assert result.type == "ValueError"
    assert b'"errorMessage": "asked to"' in result.payload


async def test_what_a_function_writes_is_in_its_log_with_its_environment(running: Running) -> None:
    await running.stack.invoke("EchoFunction", {"act": "raise"})
    log = running.stack.log("EchoFunction")
    assert any(line.endswith("| about to raise") and " EchoFunction-" in line for line in log.splitlines())
    assert "[ERROR] ValueError: asked to" in log
    assert "START RequestId: " in log


async def test_draining_waits_for_what_a_function_does_after_its_answer(running: Running) -> None:
    assert (await running.client.get("/v1/afterwards")).text == "done"
    journal = running.journal / "streaming"
    assert not journal.exists() or "afterwards" not in journal.read_text()
    await running.stack.drain_stream()
    assert "afterwards" in journal.read_text()


async def test_functions_invoke_one_another(running: Running) -> None:
    seen = await _call_other(running, function="ownkey-local-TimerFunction", payload={"hello": 1})
    assert seen == {"status": 200, "error": None, "body": '{"got": {"hello": 1}}'}
    arn = "arn:aws:lambda:us-east-1:123456789012:function:ownkey-local-TimerFunction:live"
    assert (await _call_other(running, function=arn))["status"] == 200


async def test_a_failing_callee_is_a_function_error(running: Running) -> None:
    seen = await _call_other(running, function="ownkey-local-TimerFunction", payload={"raise": True})
    assert (seen["status"], seen["error"]) == (200, "Unhandled")
    assert '"errorType": "RuntimeError"' in seen["body"]


async def test_an_event_is_taken_and_run(running: Running) -> None:
    seen = await _call_other(running, function="ownkey-local-TimerFunction", payload={"event": 7}, type="Event")
    assert (seen["status"], seen["body"]) == (202, "")
    await until(lambda: {"event": 7} in running.notes("timer"))


async def test_a_function_may_invoke_only_what_its_role_says(running: Running) -> None:
    seen = await _call_other(running, function="ownkey-local-ConsumerFunction")
    assert (seen["status"], seen["error"]) == (403, "AccessDeniedException")
    unknown = await _call_other(running, function="nobody")
    assert (unknown["status"], unknown["error"]) == (404, "ResourceNotFoundException")


async def _call_other(running: Running, **event: Any) -> Any:
    return await running.stack.invoke("EchoFunction", {"act": "call-other", **event})


def _ready(running: Running) -> int:
    return sum(each.was_ready for each in running.stack.environments("StreamingFunction"))
