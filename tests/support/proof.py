"""The report of `make proof`: what each long test proves, what it counted, whether it holds."""

from __future__ import annotations

import inspect
import os
import platform
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

_HEAD = """# Proofs

Written by `make proof`, the long runs that `make test` leaves out. Each row is a test; what it counted is its own.

Run on {day}, Python {python}, {cores} cores.

| proof | holds | counted | seconds |
|---|---|---|---|
"""


class ProofReport:
    """Collects the outcomes of a run and writes them down at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[str] = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None]:
        """Keeps a row for each test that ran."""
        outcome = yield
        report = outcome.get_result()
        if report.when != "call" and report.passed:
            return
        promise = inspect.getdoc(getattr(item, "function", None)) or item.name.removeprefix("test_").replace("_", " ")
        counted = ", ".join(f"{name} {value}" for name, value in item.user_properties)
        holds = "yes" if report.passed else "**no**"
        first_line = promise.splitlines()[0]
        self._rows.append(f"| {first_line} | {holds} | {counted} | {report.duration:.0f} |\n")

    def pytest_sessionfinish(self) -> None:
        """Writes the report."""
        head = _HEAD.format(day=datetime.now(UTC).date(), python=platform.python_version(), cores=os.cpu_count() or "?")
        self._path.write_text(head + "".join(self._rows))
