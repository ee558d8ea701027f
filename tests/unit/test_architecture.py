"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ownkey.catalog import Catalog

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "shared" / "ownkey"
NAMES_PROVIDERS = ("catalog", "providers")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def provider_names() -> frozenset[str]:
    names = {
        name.lower()
        for provider in Catalog.load().providers
        for name in (provider.id, provider.display_name, *provider.aliases)
    }
    # A word that is a provider's name and an English one as well would only cost false alarms.
    return frozenset(names - {"chat", "messages", "models", "custom", "v0"})


def conditions(tree: ast.AST) -> Iterator[ast.AST]:
    """Every expression that decides: tests, comparisons, patterns of a match."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield test
            case ast.Compare() | ast.match_case():
                yield node.pattern if isinstance(node, ast.match_case) else node


def words(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value.lower()


def test_a_providers_name_decides_nothing_outside_the_catalog_and_the_translators() -> None:
    found = []
    for path in sources("shared/ownkey", "functions"):
        if path.is_relative_to(SHARED) and path.relative_to(SHARED).parts[0] in NAMES_PROVIDERS:
            continue
        for condition in conditions(ast.parse(path.read_text())):
            found += [f"{path.relative_to(ROOT)}: {word}" for word in words(condition) if word in provider_names()]
    assert found == []


def test_the_check_itself_sees_a_name_in_a_condition() -> None:
    planted = ast.parse('x = 1 if provider == "anthropic" else 2')
    assert any(word in provider_names() for condition in conditions(planted) for word in words(condition))


@pytest.mark.parametrize("folder", ["shared/ownkey", "functions", "local", "tools", "bench"])
def test_no_failure_is_swallowed(folder: str) -> None:
    found = []
    for path in sources(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            if broad and all(isinstance(each, ast.Pass | ast.Continue) for each in node.body):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_every_package_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources("shared/ownkey", "local", "tools", "bench")
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    # Written in pieces, so that this file is not its own finding.
    patterns = ["/work" + "/", "/root" + "/", "pypi" + r"\.org", "pythonhosted" + r"\.org", "registry\\.npm" + "js"]
    patterns += ["deb" + r"\.debian\.org"]
    forbidden = re.compile("|".join(patterns))
    found = []
    for name in tracked:
        path = ROOT / name
        if not path.is_file() or path.suffix in (".gz", ".png"):
            continue
        if match := forbidden.search(path.read_text(errors="replace")):
            found.append(f"{name}: {match[0]}")
    assert found == []


@pytest.mark.parametrize(
    "package", sorted(SHARED.rglob("__init__.py")), ids=lambda path: str(path.parent.relative_to(SHARED))
)
def test_a_packages_map_names_every_room(package: Path) -> None:
    said = set(re.findall(r"`(\w+)`", ast.get_docstring(ast.parse(package.read_text())) or ""))
    beside = {path.stem for path in package.parent.glob("*.py")} | {
        p.parent.name for p in package.parent.glob("*/__init__.py")
    }
    assert beside - {"__init__"} - said == set()
