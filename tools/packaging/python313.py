"""A Python 3.13 of this machine: Lambda's version, the only one whose bytecode Lambda can use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.packaging.errors import BuildError

VERSION = "cpython 3.13"
_PROBE = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
_NO_BYTECODE = """
WARNING: no Python 3.13 found. The artefact ships without bytecode and starts about a second slower.
         Install one (`uv python install 3.13`) or name it in OWNKEY_PYTHON313, and build again.
"""
_MANAGED = (".pyenv/versions/3.13*/bin/python3.13", ".local/share/uv/python/cpython-3.13*/bin/python3.13")


@cache
def find() -> str | None:
    """Path of a CPython 3.13, or None. `OWNKEY_PYTHON313` names one outright."""
    return next((path for path in _candidates() if _is_it(path)), None)


def compile_tree(tree: Path, runs_at: str) -> None:
    """Writes a `.pyc` beside every `.py` under `tree`, as it will be found at `runs_at` on Lambda.

    The bytecode carries the source's hash and is never checked against it: an upload changes file times, so
    bytecode checked by time would be compiled again at each cold start.
    """
    interpreter = find()
    if interpreter is None:
        print(_NO_BYTECODE, flush=True)  # To stdout: SAM shows a successful make's stdout and drops its stderr.
        return
    # Without columns bytecode is a fifth smaller; a fixed hash seed makes two builds of one tree equal.
    command = [interpreter, "-X", "no_debug_ranges", "-m", "compileall", "-q", "-f"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", runs_at, str(tree)]
    done = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False)
    if done.returncode:
        raise BuildError(f"{tree} holds a file that Python 3.13 cannot compile: its message is above.")


def _candidates() -> Iterator[str]:
    named = os.environ.get("OWNKEY_PYTHON313")
    if named:
        yield named
        return
    yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("python3.13", path=folder)
        if found:
            yield found
    for pattern in _MANAGED:
        yield from (str(path) for path in sorted(Path.home().glob(pattern), reverse=True))


def _is_it(path: str) -> bool:
    try:
        answer = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == VERSION
