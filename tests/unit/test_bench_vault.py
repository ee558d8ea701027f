"""The vault's part of the benchmark: it measures what it says, and has its lines in the report."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bench import report, vault
from bench.client import Endpoint
from bench.figures import Figures, Measure
from bench.machine import Machine
from bench.report import Run, render
from bench.targets import OWNKEY, Target
from bench.vault import TITLES, warm_open_us
from bench.workload import QUICK


async def test_a_round_gives_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_OPENS", 200)
    figures = await warm_open_us()
    assert figures.keys() == TITLES.keys()
    assert all(value >= 0 for value in figures.values())


async def test_kms_is_asked_before_anything_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    decrypt = vault._OneDataKey.decrypt

    async def counted(*arguments: object) -> bytes:
        nonlocal asked
        asked += 1
        return await decrypt(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(vault._OneDataKey, "decrypt", counted)
    monkeypatch.setattr(vault, "_OPENS", 200)
    await warm_open_us()
    assert asked == 2  # one for the opener, one to measure the decryption by itself


def test_the_report_has_the_goal_and_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "revision", lambda: "abc1234")
    figures = Figures()
    for measure in TITLES:
        figures.add(measure, OWNKEY, 12.5)
    machine = Machine("A processor", 2, 8.0, "Linux 6.1", "3.13.0", 0.1, {"aiohttp": "3.0"})
    target = Target(OWNKEY, "Ownkey", Endpoint("127.0.0.1", 9, "/", {}))
    text = render(Run(machine, [target], QUICK, figures, datetime(2026, 1, 2, tzinfo=UTC), 90))
    assert "| CPU of the vault for a warm request | ≤ 50.0 µs | 12.5 µs | met |" in text
    for title in TITLES.values():
        assert f"| {title} | 12.5 |" in text
    figures.add(Measure.VAULT_OPEN_US, OWNKEY, 1000)
    figures.add(Measure.VAULT_OPEN_US, OWNKEY, 1000)
    text = render(Run(machine, [target], QUICK, figures, datetime(2026, 1, 2, tzinfo=UTC), 90))
    assert "**not met**" in next(line for line in text.splitlines() if "vault for a warm request |" in line)
