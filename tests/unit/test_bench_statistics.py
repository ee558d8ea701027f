"""The benchmark's arithmetic: medians with their spread, differences by round, verdicts. No timing is asserted."""

from __future__ import annotations

import pytest

from bench.figures import Figures, Measure
from bench.goals import GOALS, Goal, at_once, own_added
from bench.processes import cpu_used_s
from bench.spread import Spread, added, quantile
from bench.targets import BARE, DIRECT, LITELLM, OWNKEY
from bench.workload import AT_ONCE_CHUNKS


def figures(**rounds: dict[str, list[float]]) -> Figures:
    """Figures of measures (by the enum's names) and targets."""
    made = Figures()
    for measure, by_target in rounds.items():
        for target, values in by_target.items():
            for value in values:
                made.add(Measure[measure], target, value)
    return made


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([5], 0.95, 5),
        ([3, 1, 2], 0.5, 2),
        ([4, 1, 3, 2], 0.5, 2.5),
        ([10, 20, 30, 40, 50], 0.25, 20),
        ([0, 100], 0.95, 95),
    ],
)
def test_a_quantile_is_interpolated_between_neighbours(values: list[float], fraction: float, expected: float) -> None:
    assert quantile(values, fraction) == pytest.approx(expected)


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_one_wild_round_moves_neither_median_nor_quartiles_far() -> None:
    spread = Spread.of([10, 11, 12, 13, 900])
    assert (spread.median, spread.low, spread.high, spread.count) == (12, 11, 13, 5)


def test_what_is_added_is_the_difference_within_each_round() -> None:
    """A machine that is slow in one round is slow for both."""
    assert added([3, 13, 4], [1, 11, 2]) == [2, 2, 2]


def test_rounds_that_do_not_match_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        added([1, 2], [1])


def test_a_ratio_to_nothing_is_no_ratio() -> None:
    assert Spread.of([2]).over(Spread.of([8])) == 0.25
    assert Spread.of([2]).over(Spread.of([0])) is None


def test_cpu_of_a_process_that_came_meanwhile_counts_whole() -> None:
    assert cpu_used_s({1: 10.0, 2: 5.0}, {1: 10.5, 3: 0.25}) == 0.75


def test_what_ownkey_adds_is_beyond_the_stack_and_beyond_one_read_of_the_registry() -> None:
    measured = figures(P50_MS={OWNKEY: [6.0, 8.0], BARE: [1.0, 3.0]}, REGISTRY_MS={OWNKEY: [2.0]})
    assert own_added(Measure.P50_MS)(measured) == 3.0


def test_the_chunks_at_once_are_read_without_the_stack() -> None:
    measured = figures(AT_ONCE_MS={OWNKEY: [40.0], BARE: [9.0], DIRECT: [2.0]})
    assert at_once(Measure.AT_ONCE_MS)(measured) == 33.0


@pytest.mark.parametrize(("cpu_ms", "verdict"), [(2.5, "met"), (2.6, "**not met**")])
def test_a_goal_is_met_up_to_its_ceiling_and_shown_as_it_is(cpu_ms: float, verdict: str) -> None:
    assert goal("CPU of a whole answer").verdict(figures(CPU_MS={OWNKEY: [cpu_ms]})) == (cpu_ms, verdict)


def test_a_share_needs_both_sides() -> None:
    share = goal("CPU of a whole answer, as a share of LiteLLM's")
    assert share.verdict(figures(CPU_MS={OWNKEY: [2.0]})) == (None, "not measured")
    assert share.verdict(figures(CPU_MS={OWNKEY: [2.0], LITELLM: [16.0]})) == (0.125, "met")


def test_what_was_not_measured_is_called_so_and_never_met() -> None:
    crossed = goal(f"{AT_ONCE_CHUNKS:,} chunks at once, translated between dialects")
    assert crossed.verdict(figures(CPU_MS={OWNKEY: [0.0]})) == (None, "not measured")


def goal(title: str) -> Goal:
    return next(each for each in GOALS if each.title == title)
