"""The local stack: `async with Stack(StackOptions(...)) as stack:` and the deployment runs on loopback.

AWS runs in a process of its own; the gateway, the Runtime APIs, the stream pollers and the schedules run here; each
environment of each function is a process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from local.deployment import Deployment, Function, describe
from local.environments import Environment, launch_of
from local.functions import FunctionPool, Functions, StartFailed
from local.gateway import STREAM_IDLE_S, Gateway
from local.invocation import FunctionError
from local.invoke_api import InvokeApi
from local.logs import FunctionLog
from local.patterns import check
from local.resources import Physical, Provisioner
from local.schedules import Scheduler, next_time
from local.signed import SignedCalls
from local.streams import StreamPoller
from local.template import declared_parameters, load_template

_log = logging.getLogger(__name__)

Json = dict[str, Any]

_ROOT = Path(__file__).resolve().parent.parent
_AWS_START_S = 30.0
_STEP_S = 0.01
# What the template asks for and a laptop has no better answer to; given parameters come first.
_LOCAL_PARAMETERS = {
    "OperatorEmail": "operator@example.com",
    "ImportedGatewayKeys": "true",
    "AccountKmsKeyArns": "arn:aws:kms:*:*:key/*",
    "KeylessCredentials": "true",
    "BedrockRoleArns": "arn:aws:iam::*:role/ownkey-bedrock-*",
}


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How to run.

    ================== ==================================================================================
    port               of the gateway; 0 takes a free one
    template           its folder is what code paths are relative to; `.aws-sam/build/template.yaml` runs what was built
    parameters         the template's parameters
    upstreams          provider id -> base URL, or an object with further endpoints; their origins may be loopback
    allowed_origins    further origins exempt from the guard against requests into one's own network
    warm               function id -> environments kept from the start
    concurrency        environments that a function may have at once
    timeouts_s         function id -> timeout instead of the template's
    log_level          of the functions, instead of the template's
    environment        variables for every function
    aws                endpoint of an AWS that runs already, else one is started
    schedules          whether they fire by themselves
    stream_idle_s      silence after which a streamed answer is cut
    log_directory      where each function's log goes
    bootstrap          what Python runs for a function with an exec wrapper
    ================== ==================================================================================
    """

    port: int = 0
    template: Path = _ROOT / "template.yaml"
    parameters: Mapping[str, str] = field(default_factory=dict)
    upstreams: Mapping[str, Any] = field(default_factory=dict)
    allowed_origins: Sequence[str] = ()
    warm: Mapping[str, int] = field(default_factory=dict)
    concurrency: int = 100
    timeouts_s: Mapping[str, float] = field(default_factory=dict)
    log_level: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    aws: str | None = None
    schedules: bool = True
    stream_idle_s: float = STREAM_IDLE_S
    log_directory: Path = _ROOT / ".local" / "logs"
    bootstrap: Sequence[str] = ("-m", "ownkey.runtime.bootstrap")
    region: str = "us-east-1"
    account_id: str = "123456789012"
    name: str = "ownkey-local"


class Stack:
    """A running deployment. Entering it raises `StartFailed` or `TemplateError`, and leaves nothing behind.

    `base_url` is the gateway's, stage included (`http://127.0.0.1:<port>/live`), `management_url` the same;
    `aws_endpoint` is AWS; `resources` gives each resource's `Ref` by logical id.
    """

    def __init__(self, options: StackOptions | None = None) -> None:
        self.options = options or StackOptions()
        self.base_url = ""
        self.management_url = ""
        self.aws_endpoint = ""
        self.lambda_endpoint = ""
        """Of Invoke."""
        self.resources: Mapping[str, str] = {}
        self.deployment: Deployment
        self._functions = Functions()
        self._scheduler = Scheduler(self._functions, region=self.options.region, account_id=self.options.account_id)
        self._pollers: list[StreamPoller] = []
        self._ends = AsyncExitStack()

    async def __aenter__(self) -> Stack:
        try:
            await self._start()
        except BaseException:
            await self._ends.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._ends.aclose()

    def environments(self, function_id: str) -> list[Environment]:
        """The environments of a function, oldest first; each has its `pid`."""
        return self._functions.pool(function_id).environments

    def kill(self, function_id: str) -> None:
        """SIGKILL to every environment of a function."""
        self._functions.pool(function_id).kill()

    async def invoke(self, function_id: str, payload: Any) -> Any:
        """Invokes a function with a JSON value and returns the JSON value it answers; `FunctionError` if it fails."""
        result = await self._functions.invoke(function_id, json.dumps(payload).encode())
        return result if isinstance(result, FunctionError) else json.loads(result or b"null")

    async def fire(self, schedule_id: str, payload: Any = None) -> bytes | FunctionError:
        """Fires a schedule now: by its logical id, or by its function's where that has one schedule.

        Raises:
            KeyError: there is no such schedule.
        """
        for schedule in self.deployment.schedules:
            if schedule_id in (schedule.id, schedule.name, schedule.function_id):
                return await self._scheduler.fire(schedule, payload)
        raise KeyError(schedule_id)

    async def drain_stream(self, timeout_s: float = 60) -> None:
        """Waits until the functions have done what they do after their answer, and the streams are processed.

        Raises:
            TimeoutError: they are not within the time.
        """
        async with asyncio.timeout(timeout_s):
            while self._functions.any_finishing:
                await asyncio.sleep(_STEP_S)
            await asyncio.gather(*(poller.drain() for poller in self._pollers))

    def repeat_batches(self, count: int) -> None:
        """Has each of the next `count` stream batches delivered twice."""
        for poller in self._pollers:
            poller.repeat_batches(count)

    def log(self, function_id: str) -> str:
        """What a function has logged so far."""
        return self._functions.pool(function_id).log.text()

    async def set_policies(self, policies: Mapping[str, Iterable[Json]]) -> None:
        """Limits access keys of AWS on loopback to what the statements allow, replacing all limits."""
        async with (
            aiohttp.ClientSession() as http,
            http.put(f"{self.aws_endpoint}/_ownkey/policies", json={k: list(v) for k, v in policies.items()}) as answer,
        ):
            if answer.status != 200:
                raise StartFailed(f"AWS on loopback does not take the roles: {answer.status} {await answer.text()}")

    async def _start(self) -> None:
        self.aws_endpoint = self.options.aws or await self._start_aws()
        self.deployment, physical = await asyncio.to_thread(self._provision)
        self.resources = {logical_id: each.ref for logical_id, each in physical.items()}
        functions = self.deployment.functions.values()
        await self.set_policies({each.access_key: _statements(each) for each in functions})
        await self._start_functions()
        for api in self.deployment.apis:
            gateway = Gateway(api, self._functions, self.options.account_id, stream_idle_s=self.options.stream_idle_s)
            self._ends.callback(gateway.stop)
            port = await gateway.start(self.options.port)
            self.base_url = self.management_url = f"http://127.0.0.1:{port}/{api.stage}"
        await self._start_sources()

    async def _start_aws(self) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.child", "local.aws", "--port", "0"),
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._ends.push_async_callback(_end, process)
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _AWS_START_S)
        except TimeoutError:
            line = b""
        if b"http://" not in line:
            raise StartFailed("AWS on loopback does not start; try: python -m local.aws")
        return "http://" + line.decode().strip().partition("http://")[2]

    def _provision(self) -> tuple[Deployment, Mapping[str, Physical]]:
        options = self.options
        declared = declared_parameters(options.template)
        defaults = {name: value for name, value in _LOCAL_PARAMETERS.items() if name in declared}
        template = load_template(
            options.template,
            defaults | dict(options.parameters),
            region=options.region,
            account_id=options.account_id,
            stack_name=options.name,
        )
        provisioner = Provisioner(template, self.aws_endpoint)
        physical = provisioner.create_all()
        return describe(template, provisioner.resolver, physical), physical

    async def _start_functions(self) -> None:
        invoke_api = InvokeApi(self._functions, self.deployment.functions.values())
        self._ends.callback(invoke_api.stop)
        self._ends.push_async_callback(self._functions.stop)
        self.lambda_endpoint = await invoke_api.start()
        shared = self._local_environment() | {"AWS_ENDPOINT_URL_LAMBDA": self.lambda_endpoint}
        for each in self.deployment.functions.values():
            function = replace(each, timeout_s=self.options.timeouts_s.get(each.id, each.timeout_s))
            extra = shared | self._local_keys_url(function)
            launch = launch_of(function, region=self.options.region, bootstrap=self.options.bootstrap, extra=extra)
            log = FunctionLog(self.options.log_directory / f"{function.id}.log")
            warm = self.options.warm.get(function.id, 0)
            self._functions.add(FunctionPool(function, launch, log, warm=warm, limit=self.options.concurrency))
        await self._functions.start()

    async def _start_sources(self) -> None:
        for schedule in self.deployment.schedules:
            next_time(schedule.expression, datetime.now(UTC))  # An expression that is unknown is refused now.
        for mapping in self.deployment.stream_mappings:
            for pattern in mapping.filters:
                check(pattern)
            access_key = self.deployment.functions[mapping.function_id].access_key
            calls = SignedCalls(self.aws_endpoint, self.options.region, access_key)
            self._ends.push_async_callback(calls.close)
            self._pollers.append(StreamPoller(mapping, self._functions, calls))
        running = [poller.run() for poller in self._pollers]
        if self.options.schedules:
            running += [self._scheduler.run(schedule) for schedule in self.deployment.schedules]
        tasks = [asyncio.create_task(each) for each in running]
        for task in tasks:
            task.add_done_callback(_report)
        self._ends.push_async_callback(_cancel, tasks)

    def _local_environment(self) -> dict[str, str]:
        """What functions are told here beyond what the template tells them."""
        options = self.options
        origins = {*options.allowed_origins, *_origins(options.upstreams)}
        told = {
            "AWS_ENDPOINT_URL": self.aws_endpoint,
            "OWNKEY_UPSTREAMS": json.dumps(options.upstreams),
            "OWNKEY_ALLOWED_ORIGINS": json.dumps(sorted(origins)),
        }
        if options.log_level:
            told["LOG_LEVEL"] = options.log_level
        return told | dict(options.environment)

    def _local_keys_url(self, function: Function) -> dict[str, str]:
        """Where the user pool's keys are here: its issuer is AWS's own address all the same."""
        url = function.environment.get("JWKS_URL")
        return {"JWKS_URL": self.aws_endpoint + urlsplit(url).path} if url else {}


def end_on_sigterm() -> None:
    """Has SIGTERM cancel the current task, as Ctrl-C does: for programs whose main task runs a stack.

    Without it SIGTERM ends the program at once; AWS and the functions then notice that it is gone, and end too.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _origins(upstreams: Any) -> Iterable[str]:
    """The origin of each URL in a JSON value."""
    if isinstance(upstreams, Mapping):
        for value in upstreams.values():
            yield from _origins(value)
    elif isinstance(upstreams, str) and upstreams.startswith(("http://", "https://")):
        parts = urlsplit(upstreams)
        yield f"{parts.scheme}://{parts.netloc}"


def _statements(function: Function) -> list[Json]:
    return [
        {
            "effect": statement.effect,
            "actions": statement.actions,
            "resources": statement.resources,
            "conditions": statement.conditions,
        }
        for statement in function.statements
    ]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _report(task: asyncio.Task[None]) -> None:
    """A poller or a schedule that ends by itself is a defect, and must be seen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A part of the local stack failed.", exc_info=error)
