"""The report of `make proof`: what each long test proves, what it counted, whether it holds."""

from __future__ import annotations

import inspect
import os
import platform
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

_HEAD = """# Proofs

Written by `make proof`, the long runs that `make test` leaves out. Each row is a test; what it counted is its own.

Python {python}, {cores} cores. A run of some of them (`ARGS="-k …"`) leaves the other rows as they are.

| proof | holds | counted | seconds | run on |
|---|---|---|---|---|
"""


_COLUMNS = 5


class Promises:
    """Notes on each outcome what its test promises: where the tests run, the only place that knows."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None]:
        """The first line of the test's docstring, or its name."""
        outcome = yield
        said = inspect.getdoc(getattr(item, "function", None)) or item.name.removeprefix("test_").replace("_", " ")
        outcome.get_result().promise = said.splitlines()[0]


class ProofReport:
    """Collects the outcomes of a run, side by side or not, and writes them down at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, str] = {}
        self._day = datetime.now(UTC).date()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keeps a row for each test that ran."""
        if report.when != "call" and report.passed:
            return
        counted = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        holds = "yes" if report.passed else "**no**"
        self._rows[report.promise] = f"| {report.promise} | {holds} | {counted} | {report.duration:.0f} | {self._day} |"

    def pytest_sessionfinish(self) -> None:
        """Writes the report: what ran now, and what is known of the others from before."""
        before = self._path.read_text().splitlines() if self._path.exists() else []
        known = {line.split(" | ")[0].removeprefix("| "): line for line in before if line.count(" | ") == _COLUMNS - 1}
        known.pop("proof", None)
        rows = sorted((known | self._rows).values())
        head = _HEAD.format(python=platform.python_version(), cores=os.cpu_count() or "?")
        self._path.write_text(head + "\n".join(rows) + "\n")
