"""What other gateways were broken by: a package that ran by itself.

That the built artefact has nothing of the kind is tested where it is built:
tests/template/test_build.py::test_nothing_in_the_layers_runs_by_itself.
"""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tools.packaging.errors import BuildError
from tools.packaging.trim import refuse_what_runs_by_itself

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "layers" / "dependencies" / "requirements.txt"
LOCKS = [SHIPPED, *sorted((ROOT / "requirements").glob("*.txt"))]
RUNS_BY_ITSELF = re.compile(r"\.pth$|(?:^|/)(?:sitecustomize|usercustomize)(?:\.|/|$)")
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;]+)(?:\s*;[^\\]*)?\s*\\?$")


_ELSEWHERE = re.compile(r"^(?:-e|--(?:extra-)?index-url|--find-links|--trusted-host)|git\+|https?://", re.MULTILINE)


def requirements(lock: Path) -> dict[str, tuple[str, int]]:
    """Name → version and how many hashes it has."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in lock.read_text().splitlines():
        if line.lstrip().startswith("--hash=sha256:"):
            version, hashes = found[name]
            found[name] = version, hashes + 1
        elif line and not line.lstrip().startswith("#"):
            match = _REQUIREMENT.match(line)
            assert match, f"{lock.name}: {line!r} is not a version that is pinned"
            name = match["name"]
            found[name] = match["version"], 0
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_to_a_version_and_to_its_bytes(lock: Path) -> None:
    """LiteLLM 1.82.7 and 1.82.8 (24 March 2026): a release by thieves reached whoever took the newest.

    Root cause: whatever the index says today. Here only bytes whose SHA-256 stands in the lock are installed.
    """
    locked = requirements(lock)
    assert len(locked) > 1
    assert [name for name, (_, hashes) in locked.items() if not hashes] == []
    assert not re.search(
        r"(?m)^(?:-e|--(?:extra-)?index-url|--find-links|--trusted-host)|git\+|https?://", lock.read_text()
    )


@pytest.mark.parametrize("path", ["Makefile", "tools/packaging/dependencies.py"])
def test_every_installation_asks_for_the_hashes_and_runs_no_build(path: str) -> None:
    """LiteLLM 1.82.7 and 1.82.8: a lock counts only if pip is told so, and a source package runs code of its own."""
    text = (ROOT / path).read_text()
    assert "--require-hashes" in text
    assert "--only-binary" in text
    assert "--no-binary" not in text
    assert "--pre" not in text.split()


@pytest.mark.parametrize("name", sorted(requirements(SHIPPED)))
def test_no_shipped_package_brings_code_that_runs_by_itself(name: str) -> None:
    """LiteLLM 1.82.8: a `.pth` ran at every start of Python, and sent off the environment and AWS's credentials."""
    try:
        files = distribution(name).files or []
    except ModuleNotFoundError:
        return  # for another platform or version of Python: the build of the artefact looks at those
    assert [str(path) for path in files if RUNS_BY_ITSELF.search(str(path))] == []


@pytest.mark.parametrize("planted", ["litellm_init.pth", "deep/er/x.pth", "sitecustomize.py", "usercustomize.py"])
def test_the_build_stops_at_one_that_does(tmp_path: Path, planted: str) -> None:
    """LiteLLM 1.82.8: had it been in our lock, with its hash."""
    (tmp_path / planted).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / planted).write_text("import os")
    with pytest.raises(BuildError, match="by itself"):
        refuse_what_runs_by_itself(tmp_path)


def test_nothing_of_ours_runs_by_itself() -> None:
    """LiteLLM 1.82.8: the same for what we ship of our own."""
    ours = [path for folder in ("shared", "functions", "layers") for path in (ROOT / folder).rglob("*")]
    assert [str(path) for path in ours if RUNS_BY_ITSELF.search(path.as_posix())] == []
