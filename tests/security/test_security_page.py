"""docs/security.md says what is tested, and every named regression stands in it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.security.hostile import ANSWERS, BASE_URLS, COUNT, URLS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PAGE = (ROOT / "docs" / "security.md").read_text()
KNOWN = (
    *("CVE-2024-6587", "CVE-2026-84377", "GHSA-g5ff-637f-6q2m", "CVE-2025-66405", "/v1/proxy/*", "PR 1597"),
    *("CVE-2025-59146", "CVE-2025-62155", "CVE-2026-42339", "CVE-2026-33655", "CVE-2024-9606", "CVE-2025-0330"),
    *("24902", "guardrail", "CVE-2026-42208", "CVE-2026-49468", "CVE-2026-47101", "GHSA-7hp6-4w63-5g45"),
    *("CVE-2026-35030", "CVE-2026-45339", "CVE-2026-30886", "CVE-2026-41432", "overdraft race"),
    *("refund on disconnect", "1.82.7", "1.82.8"),
)


@cache
def regressions() -> dict[str, str]:
    """Every named regression: `file::test` → its docstring."""
    found = {}
    for path in sorted(HERE.glob("test_peers_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[f"{path.name}::{node.name}"] = ast.get_docstring(node) or ""
    return found


def listed() -> dict[str, list[str]]:
    """The page's table: failure → its tests."""
    rows = {}
    for failure, cell in re.findall(r"^\| ([^|]+) \| [^|]+ \| (`test_peers_[^|]+) \|$", PAGE, re.MULTILINE):
        file, names = "", []
        for each in re.findall(r"`([^`]+)`", cell):
            head, _, name = each.partition("::")
            file = head or file
            names.append(f"{file}::{name}")
        rows[failure] = names
    return rows


def test_the_page_lists_every_regression_and_no_other() -> None:
    named = [name for names in listed().values() for name in names]
    assert sorted(named) == sorted(regressions())


@pytest.mark.parametrize("failure", listed())
def test_a_regression_says_which_failure_it_is_about(failure: str) -> None:
    ids = [each for each in KNOWN if each in failure]
    assert ids
    for name in listed()[failure]:
        assert any(each in regressions()[name] for each in ids), name
    together = "".join(regressions()[name] for name in listed()[failure])
    assert all(each in together for each in ids)


@pytest.mark.parametrize("failure", KNOWN)
def test_every_known_failure_has_its_row(failure: str) -> None:
    assert any(failure in row for row in listed())


def test_what_else_the_page_names_is_there() -> None:
    for path in set(re.findall(r"`(tests/[\w/*.]+)`", PAGE)):
        assert list(ROOT.glob(path + ("" if path.endswith(".py") else "*"))), path


def test_the_numbers_are_those_of_the_table() -> None:
    assert f"{COUNT} hostile cases by name: {len(URLS)} URLs" in PAGE
    assert f"{len(BASE_URLS)} that are no base URL" in PAGE
    assert f"{len(ANSWERS)} names by what they resolve to" in PAGE
    assert "more than 200 of the URLs do connect" in PAGE
    assert "reached > 200" in (HERE / "test_ssrf_use.py").read_text()
