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

Run on {day}, Python {python}, {cores} cores.

| proof | holds | counted | seconds |
|---|---|---|---|
"""


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

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keeps a row for each test that ran."""
        if report.when != "call" and report.passed:
            return
        counted = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        holds = "yes" if report.passed else "**no**"
        self._rows[report.nodeid] = f"| {report.promise} | {holds} | {counted} | {report.duration:.0f} |\n"

    def pytest_sessionfinish(self) -> None:
        """Writes the report."""
        head = _HEAD.format(day=datetime.now(UTC).date(), python=platform.python_version(), cores=os.cpu_count() or "?")
        self._path.write_text(head + "".join(row for _, row in sorted(self._rows.items())))
