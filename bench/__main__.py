"""`make bench`: measures, prints the report, and keeps it when all was measured in full."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.client import BadAnswer
from bench.litellm import litellm
from bench.machine import Machine
from bench.measure import Bench
from bench.ownkey import bare, ownkey
from bench.processes import ProcessFailed
from bench.report import Run, render
from bench.targets import BARE, DIRECT, LITELLM, OWNKEY, ROOT, upstream
from bench.workload import DEFAULT, FULL, QUICK, Sizes

_LOGS = ROOT / ".local" / "bench"
_REPORT = ROOT / "docs" / "bench.md"
_STARTERS = {LITELLM: litellm, BARE: bare, OWNKEY: ownkey}
_ALL = (DIRECT, *_STARTERS)


def main() -> int:
    """The command; its exit status is 1 where something could not be measured."""
    arguments = _arguments()
    sizes = QUICK if arguments.quick else FULL if arguments.full else DEFAULT
    if arguments.requests:
        sizes = replace(sizes, whole=arguments.requests)
    try:
        report = asyncio.run(_run(arguments.only, sizes))
    except (BadAnswer, ProcessFailed, OSError, TimeoutError, subprocess.CalledProcessError) as e:
        sys.stderr.write(f"bench: {type(e).__name__}: {e}\nLogs: {_LOGS.relative_to(ROOT)}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("bench: interrupted\n")
        return 1
    sys.stdout.write(report)
    kept = arguments.report or (_REPORT if arguments.only == _ALL and not arguments.quick else None)
    if kept:
        kept.write_text(report)
    return 0


async def _run(only: tuple[str, ...], sizes: Sizes) -> str:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    begun_s = time.monotonic()
    machine = Machine.here()
    shutil.rmtree(_LOGS, ignore_errors=True)
    _LOGS.mkdir(parents=True)
    async with AsyncExitStack() as ends:
        direct = await ends.enter_async_context(upstream(_LOGS))
        targets = [direct]
        for name in only:
            if name in _STARTERS:
                _say(f"start {name}")
                targets.append(await ends.enter_async_context(_STARTERS[name](direct, _LOGS)))
        figures = await Bench(targets, sizes, _say).run()
    return render(Run(machine, targets, sizes, figures, datetime.now(UTC), time.monotonic() - begun_s))


def _say(what: str) -> None:
    sys.stderr.write(f"{datetime.now():%H:%M:%S} {what}\n")
    sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument(
        "--only", type=_targets, default=_ALL, metavar="TARGETS", help=f"some of {','.join(_ALL)}; direct always is"
    )
    parser.add_argument("--requests", type=int, help="sequential requests in a round")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    size.add_argument("--full", action="store_true", help="memory after 10,000 requests instead of 2,000")
    parser.add_argument("--report", type=Path, help=f"where the report goes (a whole run's to {_REPORT.name})")
    return parser.parse_args()


def _targets(text: str) -> tuple[str, ...]:
    chosen = {DIRECT, *text.split(",")}
    if unknown := chosen - set(_ALL):
        raise argparse.ArgumentTypeError(f"no such target: {', '.join(sorted(unknown))}")
    return tuple(name for name in _ALL if name in chosen)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
