"""A third-party layer: the locked wheels of the target machine, trimmed and compiled.

Installing and compiling take some ten seconds, so the result is kept under `.aws-sam/` by a digest of all it is made
from; a build that finds it there only copies.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.packaging import python313
from tools.packaging.errors import BuildError
from tools.packaging.trim import refuse_what_runs_by_itself, refuse_wrong_machine, trim

PLATFORMS = {
    # pip matches a tag exactly, so each glibc up to the 2.34 of Amazon Linux 2023 that wheels are built for is named.
    arch: tuple(f"manylinux{tag}_{machine}" for tag in ("_2_34", "_2_31", "_2_28", "_2_27", "_2_26", "_2_17", "2014"))
    for arch, machine in (("arm64", "aarch64"), ("x86_64", "x86_64"))
}


def build(root: Path, layer: str, arch: str, out: Path) -> None:
    """`python/` with every package that `layers/<layer>` locks, under `out`."""
    lock = root / "layers" / layer / "requirements.txt"
    kept = root / ".aws-sam" / "dependencies" / f"{layer}-{arch}-{_digest(lock)}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / f"{layer}-{arch}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two builds at once: the second copies what the first has made
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=kept.parent, prefix="building-") as folder:
                fresh = Path(folder) / "layer"
                _make(lock, arch, fresh / "python")
                _keep_only(fresh, kept, f"{layer}-{arch}")
        shutil.copytree(kept, out, dirs_exist_ok=True)


def _make(lock: Path, arch: str, packages: Path) -> None:
    _install(lock, arch, packages)
    refuse_what_runs_by_itself(packages)
    refuse_wrong_machine(packages, arch)
    trim(packages)
    python313.compile_tree(packages, "/opt/python")


def _install(lock: Path, arch: str, target: Path) -> None:
    platforms = [word for tag in PLATFORMS[arch] for word in ("--platform", tag)]
    wheels = ["--python-version", "3.13", "--implementation", "cp", "--abi", "cp313", "--abi", "abi3", "--abi", "none"]
    safety = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--no-compile"]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--root-user-action", "ignore"]
    done = subprocess.run(
        [*_pip(), "install", *platforms, *wheels, *safety, *quiet, "--target", str(target), "-r", str(lock)],
        check=False,
    )
    if done.returncode:
        raise BuildError(f"pip could not install {lock.name} for {arch}: its message is above.")


def _pip() -> list[str]:
    """3.13's own pip where there is one: pip reads a lock's markers by the Python it runs under."""
    for interpreter in (python313.find(), sys.executable):
        if interpreter:
            pip = [interpreter, "-m", "pip"]
            if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0:
                return pip
    raise BuildError("no pip found: `python3 -m ensurepip`, or put a Python that has pip first on PATH.")


def _digest(lock: Path) -> str:
    made_from = [lock, *sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256((python313.find() or "without bytecode").encode())
    for path in made_from:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _keep_only(fresh: Path, kept: Path, name: str) -> None:
    for old in kept.parent.glob(f"{name}-*"):
        shutil.rmtree(old, ignore_errors=True)
    try:
        fresh.rename(kept)
    except OSError:
        # Another build was first, with the same content: the digest says so.
        if not kept.is_dir():
            raise
