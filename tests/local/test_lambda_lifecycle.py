"""Starting and stopping: nothing is left behind, whatever ends the stack."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.functions import StartFailed
from local.intrinsics import TemplateError
from local.stack import Stack
from tests.local.conftest import DEPLOYMENT, options

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import asyncio, json, sys
from pathlib import Path
from local.stack import Stack, StackOptions, end_on_sigterm

given = json.loads(sys.argv[1])
options = StackOptions(**{**given, "template": Path(given["template"]), "log_directory": Path(given["log_directory"])})

async def main():
    end_on_sigterm()
    async with Stack(options) as stack:
        print(*(each.pid for each in stack.environments("EchoFunction")), flush=True)
        await asyncio.sleep(60)

try:
    asyncio.run(main())
except (KeyboardInterrupt, asyncio.CancelledError):
    sys.exit(130)
"""


async def test_whatever_signal_ends_a_stack_no_process_is_left_behind(tmp_path: Path, aws_endpoint: str) -> None:
    await asyncio.gather(
        _end_by(signal.SIGINT, tmp_path, aws=aws_endpoint, children=1),
        _end_by(signal.SIGTERM, tmp_path, aws=aws_endpoint, children=1),
        # Nobody can clean up after this one: AWS and the functions notice by themselves.
        _end_by(signal.SIGKILL, tmp_path, aws=None, children=2),
    )


async def _end_by(number: signal.Signals, folder: Path, *, aws: str | None, children: int) -> None:
    given = {
        "template": str(DEPLOYMENT / "template.yaml"),
        "parameters": {"Operator": "operator@example.com"},
        "log_directory": str(folder / number.name),
        "bootstrap": ["-m", "fixture_bootstrap"],
        "warm": {"EchoFunction": 1},
        "name": f"ended-by-{number.name.lower()}",
        "aws": aws,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, json.dumps(given)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    function_pid = int(await process.stdout.readline())
    started = _children(process.pid)
    assert function_pid in started
    assert len(started) == children
    process.send_signal(number)
    async with asyncio.timeout(10):
        await process.wait()
        while any(_alive(pid) for pid in started):
            await asyncio.sleep(0.05)


async def test_a_stack_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, aws_endpoint: str) -> None:
    broken = tmp_path / "template.yaml"
    text = (DEPLOYMENT / "template.yaml").read_text().replace("handler.handler", "missing.handler")
    broken.write_text(text)
    (tmp_path / "functions").symlink_to(DEPLOYMENT / "functions")
    (tmp_path / "shared").symlink_to(DEPLOYMENT / "shared")
    given = options(tmp_path, template=broken, aws=aws_endpoint, name="broken", warm={"EchoFunction": 1})
    before = _children(os.getpid())
    with pytest.raises(StartFailed, match=r"EchoFunction does not start; see .*EchoFunction\.log"):
        await Stack(given).__aenter__()
    assert _children(os.getpid()) <= before
    assert "Unable to import module 'missing'" in (tmp_path / "logs" / "EchoFunction.log").read_text()


async def test_a_schedule_that_is_unknown_is_refused_at_the_start(tmp_path: Path, aws_endpoint: str) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text((DEPLOYMENT / "template.yaml").read_text().replace("cron(30 2 * * ? *)", "cron(30 2 L * ? *)"))
    with pytest.raises(TemplateError, match="L in a cron expression"):
        await Stack(options(tmp_path, template=broken, aws=aws_endpoint, name="unknown-schedule")).__aenter__()


async def test_a_parameter_without_a_value_is_named(tmp_path: Path, aws_endpoint: str) -> None:
    with pytest.raises(TemplateError, match="Operator"):
        await Stack(options(tmp_path, parameters={}, aws=aws_endpoint)).__aenter__()


def _children(pid: int) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return {int(each) for each in found.stdout.split()}


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
