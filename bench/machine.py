"""What the measuring ran on: nothing that names the machine, its user or its folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.targets import ROOT

_SHOWN = ("fastapi", "starlette", "pydantic", "botocore", "cryptography", "mangum")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine, and the versions of what ran on it."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    load: float
    """Of the last minute before the run, in cores: what else the machine was doing."""
    packages: dict[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This machine, before the run."""
        return cls(
            processor=_field("/proc/cpuinfo", "model name") or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1024**2,
            system=f"Linux {'.'.join(platform.release().split('.')[:2])}",
            python=platform.python_version(),
            load=os.getloadavg()[0],
            packages={name: importlib.metadata.version(name) for name in _SHOWN},
        )


def revision() -> str:
    """The commit that was measured, shortened; `+` behind it where the tree has changes. Empty outside a repository."""
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head}+" if head and _git("status", "--porcelain", "--untracked-files=no") else head


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _field(path: str, name: str) -> str | None:
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.+)$", Path(path).read_text(), re.MULTILINE)
    return match[1].strip() if match else None
