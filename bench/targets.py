"""What is measured: something that answers chat completions, and the processes that it does so with."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.client import Endpoint
from bench.processes import ProcessFailed, started

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM_KEY = "sk-bench-upstream-takes-any-key-0001"
# What a child needs of this machine's environment to run; nothing else, so that a setting here changes no figure.
_INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")

DIRECT, LITELLM, OWNKEY, BARE = "direct", "litellm", "ownkey", "bare"

GATEWAY, BILLING, EMULATION = "gateway", "billing", "emulation"
"""Groups of processes: what answers; what bills afterwards; what stands for AWS on this machine."""


async def _nothing() -> None:
    return None


async def _no_processes() -> Mapping[str, list[int]]:
    return {}


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers.

    `processes` gives the process ids by group. `settle` waits until what follows an answer is done. `cold_start_ms`
    measures one start, from the process to the first proxied byte. `import_ms` is that of one fresh process.
    `remembers`: whether the gateway's memory is of interest; `served` tells how many requests each of its processes has
    had, where there are several. `registry` is the read with which it begins every request, where it does.
    """

    id: str
    title: str
    endpoint: Endpoint
    version: str = ""
    processes: Callable[[], Awaitable[Mapping[str, list[int]]]] = _no_processes
    settle: Callable[[], Awaitable[None]] = _nothing
    cold_start_ms: Callable[[], Awaitable[float]] | None = None
    import_ms: Callable[[], Awaitable[float]] | None = None
    remembers: bool = False
    served: Callable[[], Awaitable[Mapping[int, int]]] | None = None
    registry: tuple[Endpoint, bytes] | None = None


def child_environment() -> dict[str, str]:
    """The environment for a child that runs this project's code."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return environment | {"PYTHONPATH": os.pathsep.join([str(ROOT / "shared"), str(ROOT)])}


@asynccontextmanager
async def upstream(logs: Path) -> AsyncIterator[Target]:
    """The fast simulated upstream, which is also the target without a gateway.

    Raises:
        ProcessFailed: it does not start.
    """
    command = [sys.executable, "-m", "local.simulator.fast"]
    log = logs / "upstream.log"
    async with started(command, cwd=ROOT, environment=child_environment(), log=log) as process:
        assert process.stdout is not None
        origin = (await process.stdout.readline()).decode().strip()
        if not origin.startswith("http://"):
            raise ProcessFailed(f"the upstream does not start: {log.read_text()}")
        yield Target(DIRECT, "Direct", completions(origin, UPSTREAM_KEY))


def completions(base_url: str, key: str) -> Endpoint:
    """Chat completions below a base URL that ends before `/v1`."""
    return Endpoint.of(f"{base_url}/v1/chat/completions", {"Authorization": f"Bearer {key}"})


async def import_time_ms(python: Path | str, statements: str, environment: Mapping[str, str], log: Path) -> float:
    """Milliseconds that statements take in a fresh process, the interpreter's own start not counted.

    Raises:
        ProcessFailed: they raised.
    """
    program = f"import time\n_begun = time.perf_counter()\n{statements}\nprint('\\n', time.perf_counter() - _begun)"
    command = [str(python), "-c", program]
    async with started(command, cwd=ROOT, environment=environment, log=log) as process:
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise ProcessFailed(f"{statements!r} failed: {log.read_text()[-2000:]}")
    return float(output.split()[-1]) * 1000
