"""One execution environment: a process behind a Runtime API of its own, one invocation at a time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.deployment import Function
from local.invocation import FunctionError, Invocation
from local.logs import FunctionLog
from local.resources import SECRET_ACCESS_KEY
from local.runtime_api import RuntimeApi

# Lambda gives ten seconds, and then tries again within the function's own time; a busy laptop may need more.
_INIT_TIMEOUT_S = 60.0
# Of the machine's own environment: what a process needs to run, and a network's own certificates.
_INHERITED = ("HOME", "LD_LIBRARY_PATH", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR")

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Launch:
    """How environments of a function are started."""

    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]


def launch_of(function: Function, *, region: str, bootstrap: Sequence[str], extra: Mapping[str, str]) -> Launch:
    """What Lambda would start for the function, with `extra` added to its environment.

    A function with an exec wrapper is started through `bootstrap`, every other one under AWS's runtime client.
    """
    wrapped = "AWS_LAMBDA_EXEC_WRAPPER" in function.environment
    command = (sys.executable, *bootstrap) if wrapped else (sys.executable, "-m", "awslambdaric", function.handler)
    # A layer that was built has its packages in `python/`; one that was not is a folder of packages.
    layers = [layer / "python" if (layer / "python").is_dir() else layer for layer in function.layers]
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment.update(function.environment)
    environment |= {
        "AWS_ACCESS_KEY_ID": function.access_key,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": "local",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if function.snap_start else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "LAMBDA_TASK_ROOT": str(function.code),
        "LANG": "en_US.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(path) for path in [function.code, *layers]),
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
    return Launch(command, function.code, {**environment, **extra})


class Owner(Protocol):
    """Told what an environment does."""

    def ready(self, environment: Environment) -> None:
        """It waits for work."""

    def unfit(self, environment: Environment) -> None:
        """It is about to end, and can take no more work."""

    def ended(self, environment: Environment, error: FunctionError) -> None:
        """Its process is gone, and why."""


class Environment:
    """A process that runs one function. `pid` is its process's, `invocation` what it is working on."""

    def __init__(self, function: Function, launch: Launch, log: FunctionLog, owner: Owner) -> None:
        self.id = f"{function.id}-{next(_numbers)}"
        self.was_ready = False
        self.invocation: Invocation | None = None
        self._function = function
        self._launch = launch
        self._log = log
        self._owner = owner
        self._api = RuntimeApi(self._on_ready, self._on_lost, self._on_answered, self._on_init_error)
        self._process: asyncio.SubprocessTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: FunctionError | None = None
        self._answered_id = ""
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id, once there is one."""
        return self._process.get_pid() if self._process is not None else None

    @property
    def finishing(self) -> bool:
        """Whether it has answered and not yet asked for more."""
        return bool(self._answered_id)

    async def start(self) -> None:
        """Starts the process; `Owner.ready` follows when its code is loaded."""
        try:
            address = await self._api.start()
            stream = {"AWS_LAMBDA_LOG_STREAM_NAME": self.id, "AWS_LAMBDA_RUNTIME_API": address}
            await asyncio.get_running_loop().subprocess_exec(
                lambda: _Process(self),
                *self._launch.command,
                cwd=self._launch.directory,
                env={**self._launch.environment, **stream},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A Ctrl-C is for the stack, which then ends its environments.
                start_new_session=True,
            )
        except OSError as e:
            self._error = FunctionError.of("Runtime.InvalidEntrypoint", str(e))
            self.exited()
        if not self._gone.is_set() and not self.was_ready:
            self._arm(_INIT_TIMEOUT_S, FunctionError.of("Sandbox.Timedout", f"Init took over {_INIT_TIMEOUT_S:.0f} s"))

    def run(self, invocation: Invocation) -> None:
        """Gives the environment, which is ready, its next invocation."""
        self.invocation = invocation
        self._log.line(self.id, f"START RequestId: {invocation.request_id} Version: $LATEST")
        timeout_s = self._function.timeout_s
        message = f"RequestId: {invocation.request_id} Error: Task timed out after {timeout_s:.2f} seconds"
        self._arm(timeout_s, FunctionError.of("Sandbox.Timedout", message))
        self._api.offer(invocation, timeout_s)

    def kill(self) -> None:
        """SIGKILL, to the process and what it started."""
        self._owner.unfit(self)
        if self._process is not None and self._process.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.get_pid(), signal.SIGKILL)

    async def stop(self) -> None:
        """Kills the process and waits for its end."""
        self.kill()
        if self._process is not None:
            await self._gone.wait()

    # From the Runtime API.
    def _on_ready(self) -> None:
        self._cancel_timer()
        if self._answered_id:
            self._log.line(self.id, f"END RequestId: {self._answered_id}")
            self._answered_id = ""
        self.was_ready = True
        self._owner.ready(self)

    def _on_lost(self) -> None:
        self._owner.unfit(self)

    def _on_answered(self) -> None:
        # It may go on working until it asks for more, and its time runs until then.
        self._answered_id = self.invocation.request_id if self.invocation is not None else ""
        self.invocation = None

    def _on_init_error(self, error: FunctionError) -> None:
        self._error = error
        self._log.line(self.id, f"INIT_REPORT Status: error Error Type: {error.type}")

    # From the process.
    def started(self, process: asyncio.SubprocessTransport) -> None:
        """Called by the process."""
        self._process = process

    def output(self, data: bytes) -> None:
        """Called by the process."""
        self._log.output(self.id, data)

    def exited(self) -> None:
        """Called by the process."""
        self._cancel_timer()
        self._answered_id = ""
        code = None
        if self._process is not None:
            code = self._process.get_returncode()
            self._process.close()
        error = self._error or FunctionError.of("Runtime.ExitError", self._exit_message(code))
        self._log.line(self.id, f"EXIT {error.type} {self._exit_message(code)}")
        self._api.stop()
        self._gone.set()
        self._owner.ended(self, error)

    def _exit_message(self, code: int | None) -> str:
        request = f"RequestId: {self.invocation.request_id} " if self.invocation is not None else ""
        if code is not None and code < 0:
            return f"{request}Error: Runtime exited with error: signal: {signal.Signals(-code).name}"
        return f"{request}Error: Runtime exited with error: exit status {code}"

    def _arm(self, timeout_s: float, error: FunctionError) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._on_timeout, error)

    def _on_timeout(self, error: FunctionError) -> None:
        self._error = error
        self.kill()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Process(asyncio.SubprocessProtocol):
    """Hands on what a process writes, and its end."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._environment.started(transport)  # type: ignore[arg-type]

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._environment.output(data)

    def connection_lost(self, exc: Exception | None) -> None:
        # Not at the exit but when the pipe is empty too, so that the last words are in the log before anyone acts.
        self._environment.exited()
