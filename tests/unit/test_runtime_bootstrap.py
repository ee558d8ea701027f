"""The process that the managed runtime starts: init, SnapStart, lifespan, the end. Each test runs a real one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.runtime_api import FakeRuntimeApi, fake_runtime_api, proxy_event

SECRET = "sk-proj-4fJx0aQm7Lw2TbYc9VnZkE83"
SHARED = Path(__file__).parents[2] / "shared"

APP = """
import asyncio, contextlib, os, pathlib
from fastapi import FastAPI, Request

here = pathlib.Path(__file__).parent
events = here / "events"

@contextlib.asynccontextmanager
async def lifespan(app):
    events.open("a").write("startup ")
    yield {"pool": "open"}
    events.open("a").write("shutdown ")

app = FastAPI(lifespan=lifespan)

@app.get("/state")
async def state(request: Request):
    return request.state.pool

@app.get("/slow")
async def slow():
    try:
        (here / "working").touch()
        await asyncio.Event().wait()
    finally:
        events.open("a").write("record ")
"""

FAILING = f"""
async def app(scope, receive, send):
    raise ValueError("{SECRET} refused")

def error_response(scope, error):
    return 502, [], b"designed"
"""


class Process:
    """A function's process and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, task_root: Path) -> None:
        self.process = process
        self.task_root = task_root

    async def end(self) -> tuple[int, str]:
        """Exit status and output, once it ends by itself."""
        output, _ = await asyncio.wait_for(self.process.communicate(), 20)
        assert self.process.returncode is not None
        return self.process.returncode, output.decode()

    async def terminate(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        return await self.end()

    def events(self) -> list[str]:
        file = self.task_root / "events"
        return file.read_text().split() if file.exists() else []


@asynccontextmanager
async def started(api: FakeRuntimeApi, task_root: Path, source: str, **env: str) -> AsyncIterator[Process]:
    (task_root / "handler.py").write_text(source)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ownkey.runtime.bootstrap",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SHARED),
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "_HANDLER": "handler.app",
            "LAMBDA_TASK_ROOT": str(task_root),
            "POWERTOOLS_SERVICE_NAME": "inference",
            **env,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Process(process, task_root)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_it_serves_runs_the_lifespan_once_and_ends_cleanly(tmp_path: Path):
    async with fake_runtime_api() as api, started(api, tmp_path, APP) as function:
        for _ in range(2):
            assert (await api.invoke(proxy_event(path="/state")).whole())[1] == b'"open"'
        await api.idle()
        assert function.events() == ["startup"]
        status, output = await function.terminate()
    assert (status, output) == (0, "")
    assert function.events() == ["startup", "shutdown"]


async def test_the_handler_s_own_error_response_is_used_and_the_cause_logged_without_secrets(tmp_path: Path):
    async with fake_runtime_api() as api, started(api, tmp_path, FAILING) as function:
        prelude, received = await api.invoke(proxy_event()).whole()
        assert (prelude["statusCode"], received) == (502, b"designed")
        await api.idle()
        _, output = await function.terminate()
    lines = [json.loads(line) for line in output.splitlines()]
    [failure] = [line for line in lines if line["message"] == "the app failed"]
    assert failure["function_request_id"] == "request-1"
    assert failure["exception"].endswith("ValueError: [scrubbed] refused")
    assert SECRET[8:16] not in output


async def test_told_to_end_in_the_middle_of_a_request_the_app_still_writes_its_record(tmp_path: Path):
    async with fake_runtime_api() as api, started(api, tmp_path, APP) as function:
        api.invoke(proxy_event(path="/slow"))
        async with asyncio.timeout(20):
            while not (tmp_path / "working").exists():
                await asyncio.sleep(0.01)
        status, _ = await function.terminate()
    assert (status, function.events()) == (0, ["startup", "record", "shutdown"])


@pytest.mark.parametrize(
    ("source", "handler", "told"),
    [
        ("import no_such_module", "handler.app", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("", "handler.app", "AttributeError: "),
        ("", "app", "ImportError: _HANDLER must be module.app"),
        ("def app(:", "handler.app", "SyntaxError: "),
        ("raise SystemExit(3)", "handler.app", "SystemExit: 3"),
        (f"raise ValueError('key {SECRET} refused')", "handler.app", "ValueError: key [scrubbed] refused"),
        (
            "import os\nfrom ownkey.runtime.settings import BillingSettings\nBillingSettings.from_env(os.environ)",
            "handler.app",
            "SettingsError: BillingSettings needs AWS_REGION, RECORDS_TABLE",
        ),
        (
            f"from fastapi import FastAPI\ndef bad(app): raise OSError('{SECRET}')\napp = FastAPI(lifespan=bad)",
            "handler.app",
            "StartupFailed: OSError: [scrubbed]",
        ),
    ],
    ids=["import", "no app", "name", "syntax", "exit", "secret", "settings", "startup"],
)
async def test_what_fails_at_init_is_reported_and_the_process_ends(
    tmp_path: Path, source: str, handler: str, told: str
):
    async with fake_runtime_api() as api, started(api, tmp_path, source, _HANDLER=handler) as function:
        status, output = await function.end()
    assert status == 1
    assert api.log == ["POST init/error"]
    assert api.init_error is not None
    assert api.init_error["errorType"] == "Runtime.InitFailed"
    assert api.init_error["errorMessage"].startswith(told)
    assert '"message":"init failed"' in output
    assert SECRET[8:16] not in output + str(api.init_error)


async def test_under_snapstart_the_app_starts_after_the_restore(tmp_path: Path):
    async with fake_runtime_api() as api:
        async with started(api, tmp_path, APP, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as function:
            await api.asked_for("GET restore/next")
            assert function.events() == []
            api.restored.set()
            assert (await api.invoke(proxy_event(path="/state")).whole())[1] == b'"open"'
        assert function.events() == ["startup"]
        assert api.log[:2] == ["GET restore/next", "GET invocation/next"]
        assert api.connections == 2  # none is carried over from the snapshot


async def test_a_startup_that_fails_after_the_restore_is_a_restore_error(tmp_path: Path):
    source = "from fastapi import FastAPI\ndef bad(app): raise OSError('no pool')\napp = FastAPI(lifespan=bad)"
    async with fake_runtime_api() as api:
        api.restored.set()
        async with started(api, tmp_path, source, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as function:
            status, _ = await function.end()
    assert (status, api.log) == (1, ["GET restore/next", "POST restore/error"])
    assert api.restore_error is not None
    assert api.restore_error["errorMessage"] == "StartupFailed: OSError: no pool"


async def test_a_runtime_api_that_is_gone_ends_the_process(tmp_path: Path):
    async with fake_runtime_api() as api, started(api, tmp_path, APP) as function:
        await api.idle()
        api.next_status = 500
        api.invoke(proxy_event())
        status, output = await function.end()
    assert status == 1
    assert '"message":"the Runtime API failed"' in output
    assert function.events() == ["startup", "shutdown"]
