"""What the benchmark starts is sure to end, and its CPU and memory are read right."""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

import pytest

from bench.processes import cpu_times, environment_of, family, resident_mb, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

# Says the id of a child of its own, which like its parent does not end by itself and does not heed SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""
UNTIL_TOLD = "import sys; print('up', flush=True); sys.stdin.read()"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def start_and_fail(folder: Path, seen: list[int]) -> None:
    command = [sys.executable, "-c", STUBBORN]
    async with started(command, cwd=folder, environment={}, log=folder / "log") as process:
        assert process.stdout is not None
        child = int(await process.stdout.readline())
        seen += family(process.pid)
        assert seen == [process.pid, child]
        raise RuntimeError("the measuring failed")


async def test_a_process_and_its_children_are_gone_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.processes._STOP_S", 0.2)
    seen: list[int] = []
    with pytest.raises(RuntimeError, match="the measuring failed"):
        await start_and_fail(tmp_path, seen)
    assert [alive(pid) for pid in seen] == [False, False]


async def test_a_process_is_told_its_environment_and_nothing_of_this_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UNTIL_TOLD]
    async with started(command, cwd=tmp_path, environment={"A": "b=c"}, log=tmp_path / "log") as process:
        assert process.stdout is not None
        await process.stdout.readline()
        assert environment_of(process.pid) == {"A": "b=c"}


def test_the_cpu_clock_of_a_process_is_its_own_and_of_all_threads() -> None:
    before = cpu_times([os.getpid()])[os.getpid()]
    assert before == pytest.approx(time.process_time(), abs=0.5)
    sum(range(500_000))
    assert cpu_times([os.getpid()])[os.getpid()] > before


def test_a_process_that_is_gone_has_no_cpu_time_and_no_family() -> None:
    nobody = 2**22 + 1  # beyond the kernel's largest process id
    assert cpu_times([nobody]) == {}
    assert family(nobody) == []


def test_memory_is_read_in_mib() -> None:
    before = resident_mb(os.getpid())
    # Mapped anew: what the allocator gives may be memory that this process has in RAM already.
    with mmap.mmap(-1, 32 * 1024 * 1024) as held:
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert 24 < resident_mb(os.getpid()) - before < 48
