"""Processes of the machine (Linux): their CPU time and memory, and starting some that are sure to end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
# See clock_getcpuclockid(3): a process's CPU clock is its inverted id, shifted, with this in the low bits.
_CPUCLOCK_SCHED = 2
_MB = 1024 * 1024
_STOP_S = 20.0
_STEP_S = 0.01

CpuTimes = Mapping[int, float]
"""Seconds of CPU by process id."""


class ProcessFailed(Exception):
    """A process did not start, or ended when it should not; the message says which, and where its log is."""


def cpu_times(pids: Iterable[int]) -> CpuTimes:
    """Seconds of CPU (user and system, all threads) that each process has used; those that are gone are left out.

    The kernel's clock of the process: what utime and stime in /proc/<pid>/stat are rounded from, in nanoseconds.
    """
    times = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            times[pid] = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    return times


def cpu_used_s(before: CpuTimes, after: CpuTimes) -> float:
    """Seconds of CPU between two readings. A process that is new has used all of its time in between."""
    return sum(after[pid] - before.get(pid, 0.0) for pid in after)


def resident_mb(pid: int) -> float:
    """MiB of a process's memory that are in RAM, shared pages included.

    Raises:
        OSError: it is gone.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB


def environment_of(pid: int) -> dict[str, str]:
    """The environment variables that a process of one's own was started with.

    Raises:
        OSError: it is gone.
    """
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if b"=" in entry)


def family(pid: int) -> list[int]:
    """The process and all that it started, and they; empty when it is gone."""
    try:
        children = [
            int(child)
            for listing in Path(f"/proc/{pid}/task").glob("*/children")
            for child in listing.read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(child))] if Path(f"/proc/{pid}").exists() else []


@asynccontextmanager
async def started(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], log: Path, talks: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a command and ends it and all it started. One that `talks` has its standard input and output piped.

    All else that it writes goes to the end of `log`.

    Should this process be killed, the kernel kills the command.
    """
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if talks else errors,
            stderr=errors,
            start_new_session=True,
            preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, time to end what it started itself, then SIGKILL to whoever of them is left."""
    everybody = {pid: _started_at(pid) for pid in family(process.pid)}
    if process.returncode is None:
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.communicate(), _STOP_S)
    # The same id and start: the same process, not another one that got its id.
    while left := [pid for pid, at in everybody.items() if at is not None and _started_at(pid) == at]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(_STEP_S)
    await process.wait()


def _started_at(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when it is gone or dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
