"""Our own code: the shared layer and the functions."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.packaging.errors import BuildError
from tools.packaging.python313 import compile_tree

BOOTSTRAP = "ownkey-bootstrap"
APART = ("payments",)
"""Parts of `ownkey` that one function alone has, in a layer of its own."""
_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "Makefile", ".*", "providers.toml")


def build_shared(root: Path, out: Path) -> None:
    """`shared/ownkey` as `python/ownkey`, and the wrapper that Lambda runs, with its run bit."""
    package = out / "python" / "ownkey"
    shutil.copytree(root / "shared" / "ownkey", package, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    for name in APART:
        shutil.rmtree(package / name)
    compile_tree(package, "/opt/python/ownkey", docstrings=False)
    wrapper = out / BOOTSTRAP
    shutil.copyfile(root / "shared" / BOOTSTRAP, wrapper)
    wrapper.chmod(0o755)


def build_part(root: Path, name: str, out: Path) -> None:
    """A part of `ownkey` that is apart. Lambda unpacks a function's layers into one folder: there it joins the rest."""
    package = out / "python" / "ownkey" / name
    shutil.copytree(root / "shared" / "ownkey" / name, package, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    compile_tree(package, f"/opt/python/ownkey/{name}", docstrings=False)


def build_function(root: Path, name: str, out: Path) -> None:
    """`functions/<name>` without its makefile."""
    source = root / "functions" / name
    if not (source / "handler.py").is_file():
        raise BuildError(f"{source}/handler.py is missing.")
    shutil.copytree(source, out, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    compile_tree(out, "/var/task", docstrings=False)
