"""Ownkey's local stack as a target, and the same stack with a function that only relays."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.client import Connection, Endpoint
from bench.processes import ProcessFailed, environment_of, family, started
from bench.targets import (
    BARE,
    BILLING,
    EMULATION,
    GATEWAY,
    OWNKEY,
    ROOT,
    Target,
    child_environment,
    completions,
    import_time_ms,
)
from bench.workload import WHOLE

_COMMAND_S = 120.0
# What the managed runtime loads for the inference function: our loop, and the handler's module.
_IMPORTS = (
    "import sys, os; sys.path.insert(0, os.environ['LAMBDA_TASK_ROOT']); import ownkey.runtime.bootstrap, handler"
)


class _Stack:
    """A stack's process and the lines that are spoken with it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log

    async def ask(self, command: str) -> Any:
        """Raises ProcessFailed where it is gone, or does not answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        return await self.read()

    async def read(self) -> Any:
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _COMMAND_S)
        except TimeoutError:
            line = b""
        if not line:
            raise ProcessFailed(f"the local stack does not answer: {self._log.read_text()[-3000:]}")
        return json.loads(line)

    async def processes(self) -> Mapping[str, list[int]]:
        """By group. What is no function of the template's stands for AWS."""
        functions = await self.ask("processes")
        all_functions = {pid for pids in functions.values() for pid in pids}
        return {
            GATEWAY: functions["InferenceFunction"],
            BILLING: functions["BillingFunction"],
            EMULATION: [pid for pid in family(self.pid) if pid not in all_functions],
        }


@asynccontextmanager
async def _stack(upstream: Target, logs: Path, *, bare: bool) -> AsyncIterator[tuple[_Stack, Any]]:
    origin = f"http://{upstream.endpoint.host}:{upstream.endpoint.port}"
    name = BARE if bare else OWNKEY
    options = {"upstream": origin, "logs": str(logs / name), "bare": bare}
    command = [sys.executable, "-m", "bench.stack_child", json.dumps(options)]
    log = logs / f"{name}.log"
    async with started(command, cwd=ROOT, environment=child_environment(), log=log) as process:
        stack = _Stack(process, log)
        yield stack, await stack.read()


@asynccontextmanager
async def bare(upstream: Target, logs: Path) -> AsyncIterator[Target]:
    """The local stack with nothing in it but a relay: what emulating AWS costs here, and no product.

    Raises:
        ProcessFailed: it does not start.
    """
    async with _stack(upstream, logs, bare=True) as (stack, about):
        endpoint = completions(about["base_url"], about["gateway_key"])
        yield Target(BARE, "Local stack, bare relay", endpoint, processes=stack.processes)


@asynccontextmanager
async def ownkey(upstream: Target, logs: Path) -> AsyncIterator[Target]:
    """The local stack as `make run` starts it, with an account whose key leads to the upstream.

    Raises:
        ProcessFailed: it does not start.
    """
    async with _stack(upstream, logs, bare=False) as (stack, about):
        endpoint = completions(about["base_url"], about["gateway_key"])

        async def settle() -> None:
            await stack.ask("settle")

        async def served() -> Mapping[int, int]:
            return {int(pid): count for pid, count in (await stack.ask("served")).items()}

        async def cold_start_ms() -> float:
            await settle()
            await stack.ask("clear")
            return await _first_byte_ms(endpoint)

        async def import_ms() -> float:
            # As the function's own process runs: its packages, its settings.
            pid = (await stack.processes())[GATEWAY][0]
            environment = environment_of(pid)
            return await import_time_ms(sys.executable, _IMPORTS, environment, logs / "imports.log")

        yield replace(
            Target(OWNKEY, "Ownkey", endpoint),
            processes=stack.processes,
            settle=settle,
            remembers=True,
            served=served,
            cold_start_ms=cold_start_ms,
            import_ms=import_ms,
            registry=_registry_read(about),
        )


async def _first_byte_ms(endpoint: Endpoint) -> float:
    """Until the first byte, from the request that starts an environment: the process is started upon its arrival."""
    begun = time.perf_counter()
    async with await Connection.open(endpoint) as connection:
        answer = await connection.send(endpoint.request(WHOLE.body()))
    whole_ms = (time.perf_counter() - begun) * 1000
    WHOLE.check(answer)
    return whole_ms - (answer.end_ms - answer.first_byte_ms)


def _registry_read(about: Any) -> tuple[Endpoint, bytes]:
    """The BatchGetItem of an inference request, signed as the function signs it, to be sent by itself."""
    body = json.dumps(about["registry_read"]).encode()
    url = about["aws_endpoint"].rstrip("/") + "/"
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.BatchGetItem"}
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    SigV4Auth(Credentials(about["access_key"], "local"), "dynamodb", about["region"]).add_auth(request)
    return Endpoint.of(url, dict(request.headers.items())), body
