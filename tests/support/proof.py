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
        self._seen: dict[str, tuple[bool, tuple[str, ...], float]] = {}
        """Of a promise that several tests keep: whether all have held it, what they counted, how long they took."""
        self._day = datetime.now(UTC).date()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keeps a row for each test that ran."""
        if report.when != "call" and report.passed:
            return
        held, counts, took_s = self._seen.get(report.promise, (True, (), 0.0))
        counts += tuple(f"{name} {value}" for name, value in report.user_properties)
        held, took_s = held and report.passed, took_s + report.duration
        self._seen[report.promise] = held, counts, took_s
        holds = "yes" if held else "**no**"
        told = f"| {report.promise} | {holds} | {', '.join(counts)} | {took_s:.0f} | {self._day} |"
        self._rows[report.promise] = told

    def pytest_sessionfinish(self) -> None:
        """Writes the report: what ran now, and what is known of the others from before."""
        before = self._path.read_text().splitlines() if self._path.exists() else []
        known = {line.split(" | ")[0].removeprefix("| "): line for line in before if line.count(" | ") == _COLUMNS - 1}
        known.pop("proof", None)
        rows = sorted((known | self._rows).values())
        head = _HEAD.format(python=platform.python_version(), cores=os.cpu_count() or "?")
        self._path.write_text(head + "\n".join(rows) + "\n")
