"""The page that the benchmark writes."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime

import pytest

from bench import report
from bench.client import Endpoint
from bench.figures import Figures, Measure
from bench.machine import Machine
from bench.report import Run, render
from bench.targets import BARE, DIRECT, LITELLM, OWNKEY, ROOT, Target
from bench.workload import QUICK

NOWHERE = Endpoint("127.0.0.1", 9, "/", {})
MACHINE = Machine("A processor", 2, 8.0, "Linux 6.1", "3.13.0", 0.1, {"aiohttp": "3.0"})
TITLES = {DIRECT: "Direct", LITELLM: "LiteLLM", OWNKEY: "Ownkey", BARE: "Bare"}


@pytest.fixture(autouse=True)
def a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "revision", lambda: "abc1234")


def page(figures: Figures, *target_ids: str) -> str:
    targets = [Target(each, TITLES[each], NOWHERE, version="1.2.3" if each == LITELLM else "") for each in target_ids]
    return render(Run(MACHINE, targets, QUICK, figures, datetime(2026, 1, 2, tzinfo=UTC), 90))


def line(text: str, title: str) -> list[str]:
    """The cells of a table's line behind its title."""
    found = next(each for each in text.splitlines() if each.startswith(f"| {title} |"))
    return [cell.strip() for cell in found.strip("|").split("|")][1:]


@pytest.fixture
def figures() -> Figures:
    made = Figures()
    rounds = {DIRECT: (0.2, 0.2, 0.2), LITELLM: (14.2, 15.2, 16.2), OWNKEY: (5.2, 6.2, 7.2), BARE: (1.0, 1.0, 1.0)}
    for target, values in rounds.items():
        for value in values:
            made.add(Measure.P50_MS, target, value)
    return made


def test_a_cell_is_the_median_and_its_quartiles(figures: Figures) -> None:
    cells = line(page(figures, DIRECT, LITELLM, OWNKEY, BARE), "p50, ms")
    assert cells == ["0.20 [0.20–0.20]", "15.2 [14.7–15.7]", "6.20 [5.70–6.70]", "1.00 [1.00–1.00]", "0.41"]


def test_what_is_added_is_shown_with_its_ratio(figures: Figures) -> None:
    cells = line(page(figures, DIRECT, LITELLM, OWNKEY, BARE), "p50 added, ms")
    assert cells[0] == "–"
    assert cells[2] == "6.00 [5.50–6.50]"
    assert cells[-1] == "0.40"


def test_the_bare_relay_stands_last_in_whatever_order_it_was_started(figures: Figures) -> None:
    text = page(figures, DIRECT, BARE, OWNKEY, LITELLM)
    assert "|  | Direct | LiteLLM 1.2.3 | Ownkey | Bare | Ownkey ÷ LiteLLM |" in text


def test_without_the_peer_there_is_no_ratio(figures: Figures) -> None:
    text = page(figures, DIRECT, OWNKEY)
    assert "÷" not in text
    assert line(text, "p50, ms") == ["0.20 [0.20–0.20]", "6.20 [5.70–6.70]"]


def test_a_goal_that_is_not_met_is_shown_so(figures: Figures) -> None:
    figures.add(Measure.COLD_START_MS, OWNKEY, 1234)
    cells = line(page(figures, DIRECT, OWNKEY), "Cold start, to the first proxied byte")
    assert cells == ["≤ 900 ms", "1,234 ms", "**not met**"]


def test_the_page_names_neither_the_machine_nor_its_folders(figures: Figures) -> None:
    figures_and_machine = Run(
        Machine.here(),
        [Target(DIRECT, "Direct", NOWHERE)],
        QUICK,
        figures,
        datetime.now(UTC),
        1,
    )
    text = render(figures_and_machine)
    assert socket.gethostname() not in text
    assert str(ROOT) not in text
    assert os.environ.get("HOME", "\0") not in text
