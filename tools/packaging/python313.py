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
_WITHOUT_DOCSTRINGS = """
import ast, importlib.util, pathlib, sys
from importlib._bootstrap_external import _code_to_hash_pyc

tree, runs_at = map(pathlib.Path, sys.argv[1:])
for path in sorted(tree.rglob("*.py")):
    source = path.read_bytes()
    module = ast.parse(source)
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.copy_location(ast.Pass(), node.body[0])]
    code = compile(module, str(runs_at / path.relative_to(tree)), "exec", dont_inherit=True)
    compiled = pathlib.Path(importlib.util.cache_from_source(str(path)))
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
"""
_MANAGED = (".pyenv/versions/3.13*/bin/python3.13", ".local/share/uv/python/cpython-3.13*/bin/python3.13")


@cache
def find() -> str | None:
    """Path of a CPython 3.13, or None. `OWNKEY_PYTHON313` names one outright."""
    return next((path for path in _candidates() if _is_it(path)), None)


def compile_tree(tree: Path, runs_at: str, *, docstrings: bool = True) -> None:
    """Writes a `.pyc` beside every `.py` under `tree`, as it will be found at `runs_at` on Lambda.

    The bytecode carries the source's hash and is never checked against it: an upload changes file times, so
    bytecode checked by time would be compiled again at each cold start.

    Args:
        docstrings: Whether the bytecode has them too, beside the source: other people's code may read its own.
    """
    interpreter = find()
    if interpreter is None:
        print(_NO_BYTECODE, flush=True)  # To stdout: SAM shows a successful make's stdout and drops its stderr.
        return
    # Without columns bytecode is a fifth smaller; a fixed hash seed makes two builds of one tree equal.
    command = [interpreter, "-X", "no_debug_ranges", "-m", "compileall", "-q", "-f"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", runs_at, str(tree)]
    if not docstrings:
        command = [interpreter, "-X", "no_debug_ranges", "-c", _WITHOUT_DOCSTRINGS, str(tree), runs_at]
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
