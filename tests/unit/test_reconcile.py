"""Variance, what explains it, and what is left: as a team lead would work it out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain.attempts import AttemptEnd, AttemptRecord, Outcome
from ownkey.domain.reconciliation import (
    Charge,
    Explanation,
    LeakSettings,
    ProviderKey,
    Recorded,
    ReportLine,
    Row,
)
from ownkey.domain.usage import Usage, UsageSource
from ownkey.ledger.reconcile import Matched, matched, rows
from ownkey.ledger.recorded import Cells, Summed, add
from ownkey.upkeep.leaks import leak_of
from tests.support.attempts import attempt

DAY = "2026-11-20"
MODEL = "gpt-x"
MATCH = Matched({"key_1": "cred_1"})
TOKEN = 1_000
"""Nano-dollars a token costs here."""


def worth(_: str, model: str, usage: Usage) -> int | None:
    return None if model == "unknown" and usage != Usage() else usage.total_tokens * TOKEN


def cell(tokens: int, **more: int) -> Recorded:
    facts = {"attempts": 1, "usage": {"input": tokens}, "cost": tokens * TOKEN, "mean_of": 1, **more}
    return Recorded(priced_as=MODEL, **facts)  # type: ignore[arg-type]


def line(tokens: int, key: str | None = "key_1", model: str = MODEL) -> ReportLine:
    return ReportLine(DAY, key, model, Usage(input=tokens), 1)


def compared(
    cells: Cells,
    *lines: ReportLine,
    charges: tuple[Charge, ...] = (),
    final: bool = True,
    bill_by_key: bool = False,
    usage_by_key: bool = True,
) -> list[Row]:
    return rows(
        DAY, cells, lines, charges, MATCH, worth, final=final, bill_by_key=bill_by_key, usage_by_key=usage_by_key
    )


def of_cell(recorded: Recorded, *lines: ReportLine, final: bool = True) -> Row:
    (row,) = compared({("cred_1", MODEL): recorded}, *lines, final=final)
    return row


class TestVariance:
    def test_the_same_on_both_sides_leaves_nothing(self) -> None:
        row = of_cell(cell(700), line(300), line(400))
        assert (row.variance_nanousd, row.explained, row.unexplained_nanousd) == (0, {}, 0)

    def test_usage_that_nobody_recorded_is_unexplained(self) -> None:
        row = of_cell(cell(1000), line(3000))
        assert row.variance_nanousd == 2000 * TOKEN
        assert row.explained == {Explanation.TOLERANCE: 5 * TOKEN}
        assert row.unexplained_nanousd == 1995 * TOKEN

    def test_a_credential_of_which_nothing_was_recorded_at_all(self) -> None:
        (row,) = compared({}, line(500))
        assert (row.credential_id, row.unexplained_nanousd) == ("cred_1", 500 * TOKEN)

    def test_a_model_under_two_names_is_no_variance(self) -> None:
        row = of_cell(cell(1000), line(1000, model="gpt-x-2026-11-01"))
        assert (row.variance_nanousd, len(row.models)) == (0, 2)

    def test_an_api_key_that_is_no_credentials_is_others_business(self) -> None:
        own, other = compared({("cred_1", MODEL): cell(10)}, line(10), line(9_000_000, key="key_2"))
        assert (other.credential_id, other.api_key_ids) == (None, ("key_2",))
        assert (other.variance_nanousd, other.unexplained_nanousd) == (9_000_000 * TOKEN, 0)
        assert own.unexplained_nanousd == 0

    def test_other_days_are_left_out(self) -> None:
        assert compared({}, replace(line(5), day="2026-11-19")) == []


class TestExplanations:
    def test_of_a_day_that_is_not_final_a_lack_is_explained_and_a_surplus_is_not(self) -> None:
        lack = of_cell(cell(1000), line(100), final=False)
        assert (lack.explained, lack.unexplained_nanousd) == ({Explanation.NOT_FINAL: -900 * TOKEN}, 0)
        surplus = of_cell(cell(1000), line(9000), final=False)
        assert surplus.unexplained_nanousd == 8000 * TOKEN - 5 * TOKEN

    def test_of_a_final_day_a_lack_is_unexplained_and_below_zero(self) -> None:
        assert of_cell(cell(1000), line(100)).unexplained_nanousd == -900 * TOKEN + 5 * TOKEN

    @pytest.mark.parametrize(
        ("facts", "explanation"),
        [
            ({"under_way": 1}, Explanation.UNDER_WAY),
            ({"failed": 1}, Explanation.FAILED),
            ({"midnight_cost": 1000 * TOKEN}, Explanation.MIDNIGHT),
        ],
    )
    def test_attempts_whose_usage_nobody_knows_carry_at_most_what_others_cost(
        self, facts: dict[str, int], explanation: Explanation
    ) -> None:
        """One answered attempt cost 1000 tokens: one that failed may have cost as much, and no more."""
        row = of_cell(cell(1000, **facts), line(1900))
        assert (row.explained, row.unexplained_nanousd) == ({explanation: 900 * TOKEN}, 0)
        row = of_cell(cell(1000, **facts), line(5000))
        assert row.explained[explanation] == 1000 * TOKEN
        assert row.unexplained_nanousd == 3000 * TOKEN - 5 * TOKEN

    def test_an_estimate_may_be_off_either_way(self) -> None:
        estimated = cell(1000, estimated=1, estimated_cost=400 * TOKEN)
        assert of_cell(estimated, line(800)).explained == {Explanation.ESTIMATED: -200 * TOKEN}
        assert of_cell(estimated, line(1300)).explained == {Explanation.ESTIMATED: 300 * TOKEN}
        assert of_cell(estimated, line(100)).unexplained_nanousd < 0

    @given(
        tokens=st.integers(0, 10**6),
        reported=st.integers(0, 10**6),
        counts=st.tuples(*[st.integers(0, 3)] * 3),
        final=st.booleans(),
    )
    def test_the_parts_always_add_up(
        self, tokens: int, reported: int, counts: tuple[int, int, int], final: bool
    ) -> None:
        under_way, failed, estimated = counts
        recorded = cell(tokens, under_way=under_way, failed=failed, estimated=estimated)
        row = of_cell(recorded, line(reported), final=final)
        assert sum(row.explained.values()) + row.unexplained_nanousd == row.variance_nanousd
        assert all(amount * row.variance_nanousd > 0 for amount in row.explained.values())
        assert row.unexplained_nanousd * row.variance_nanousd >= 0


class TestBill:
    def charge(self, nanousd: int, key: str | None = "key_1") -> tuple[Charge, ...]:
        return (Charge(DAY, key, nanousd),)

    def billed(self, nanousd: int, recorded: Recorded | None = None, **more: bool) -> Row:
        cells = {("cred_1", MODEL): recorded or cell(1000)}
        (row,) = compared(cells, line(1000), charges=self.charge(nanousd), bill_by_key=True, **more)
        return row

    def test_the_same_bill_leaves_nothing(self) -> None:
        row = self.billed(1000 * TOKEN)
        assert (row.charged_nanousd, row.variance_nanousd, row.unexplained_nanousd) == (1000 * TOKEN, 0, 0)

    def test_a_little_more_is_the_price(self) -> None:
        row = self.billed(1040 * TOKEN)
        assert (row.explained, row.unexplained_nanousd) == ({Explanation.PRICE: 40 * TOKEN}, 0)

    def test_what_is_billed_without_tokens_is_unexplained(self) -> None:
        """Pictures that somebody makes with the key show in no report of tokens."""
        row = self.billed(9000 * TOKEN)
        assert row.unexplained_nanousd == 8000 * TOKEN - 50 * TOKEN

    def test_nothing_is_said_before_the_bill_is_final_or_of_models_without_a_price(self) -> None:
        assert self.billed(9000 * TOKEN, final=False).unexplained_nanousd == 0
        assert self.billed(9000 * TOKEN, cell(1000, unpriced=1)).unexplained_nanousd == 0

    def test_where_the_report_tells_no_keys_apart_there_is_one_sum(self) -> None:
        cells = {("cred_1", MODEL): cell(1000), ("cred_2", MODEL): cell(1)}
        (row,) = compared(cells, charges=self.charge(5000 * TOKEN, None), usage_by_key=False)
        assert (row.credential_id, row.recorded_nanousd, row.charged_nanousd) == (None, 1001 * TOKEN, 5000 * TOKEN)
        assert row.unexplained_nanousd == 0


class TestMatching:
    MASKS = {"cred_1": ["sk-…aB3d"], "cred_2": ["sk-…Zz99", "sk-…old1"]}  # noqa: RUF012

    def match(self, *keys: tuple[str, str], known: dict[str, str] | None = None) -> Matched:
        return matched([ProviderKey(key_id, hint) for key_id, hint in keys], self.MASKS, known or {})

    @pytest.mark.parametrize("hint", ["sk-abc...aB3d", "sk-...B3d", "sk-ab************aB3d", "sk-proj-…xaB3d"])
    def test_by_what_both_show(self, hint: str) -> None:
        assert self.match(("k", hint)).credentials == {"k": "cred_1"}

    @pytest.mark.parametrize("hint", ["sk-abc...aB3D", "gsk_...aB3d", "sk-...3d", "sk-abcaB3d", "", "..."])
    def test_what_differs_or_shows_too_little_is_not_matched(self, hint: str) -> None:
        assert self.match(("k", hint)) == Matched()

    def test_both_versions_of_a_rotation_are_the_same_credential(self) -> None:
        assert self.match(("a", "sk-...Zz99"), ("b", "sk-...old1")).credentials == {"a": "cred_2", "b": "cred_2"}

    def test_two_keys_for_one_mask_are_said_to_be_ambiguous(self) -> None:
        assert self.match(("a", "sk-1...aB3d"), ("b", "sk-2...aB3d")) == Matched({}, ("a", "b"))

    def test_one_key_for_two_credentials_is_ambiguous(self) -> None:
        twins = {"cred_1": ["sk-…same"], "cred_2": ["sk-…same"]}
        assert matched([ProviderKey("a", "sk-...same")], twins, {}) == Matched({}, ("a",))

    def test_what_was_known_before_stays_known(self) -> None:
        known = {"gone": "cred_deleted", "a": "cred_1"}
        assert self.match(("a", "sk-...other"), known=known).credentials == known


class TestLeaks:
    RUN = type("Run", (), {"id": "rec_1"})()

    def row(self, day: str, unexplained: int, *, unpriced: bool = False) -> Row:
        return Row(day, "cred_1", (), True, 0, None, unexplained, {}, unexplained, unpriced, ())

    def leak(self, *found: Row, threshold: int = 100) -> tuple[int, str, str] | None:
        leak = leak_of("cred_1", self.RUN, found, LeakSettings(threshold))
        return leak and (leak.amount_nanousd, leak.first, leak.last)

    def test_over_the_threshold_in_sum(self) -> None:
        days = [self.row("2026-11-18", 60), self.row("2026-11-20", 60)]
        assert self.leak(*days) == (120, "2026-11-18", "2026-11-20")
        assert self.leak(days[0]) is None

    def test_a_day_with_less_makes_up_for_nothing(self) -> None:
        assert self.leak(self.row("2026-11-18", -500), self.row("2026-11-19", 101)) is not None

    def test_usage_without_a_price_is_never_put_up_with(self) -> None:
        assert self.leak(self.row("2026-11-18", 0, unpriced=True), threshold=10**12) is not None

    def test_a_model_nobody_has_a_price_for_is_such_usage(self) -> None:
        (row,) = compared({}, line(5, model="unknown"))
        assert (row.unpriced_surplus, row.unexplained_nanousd) == (True, 0)


class TestSums:
    def end(self, **changes: object) -> AttemptEnd:
        facts: dict[str, object] = {
            "outcome": Outcome.SUCCEEDED,
            "ended_at": f"{DAY}T10:00:05.000000Z",
            "status": 200,
            "usage": Usage(input=10, output=5),
            "usage_source": UsageSource.PROVIDER,
            "cost_nanousd": 50,
            "charge_nanousd": 0,
            "response_model": "gpt-x-2026-11-01",
        }
        return AttemptEnd(**{**facts, **changes})  # type: ignore[arg-type]

    def summed(self, *ends: AttemptEnd | None) -> Recorded:
        cells: Cells = {}
        begun = {"started_at": f"{DAY}T10:00:00.000000Z", "model_id": "gpt-x", "estimated_cost_nanousd": 7}
        start = replace(attempt().start, **begun)  # type: ignore[arg-type]
        for end in ends:
            add(cells, AttemptRecord(start, end), DAY)
        (kept,) = Summed.from_json(Summed(cells).to_json()).cells.values()
        return kept

    def test_the_model_is_the_one_that_answered(self) -> None:
        cells: Cells = {}
        add(cells, AttemptRecord(attempt().start, self.end()), DAY)
        ((_, model),) = cells
        assert model == "gpt-x-2026-11-01"

    def test_each_kind_of_attempt_is_counted_for_what_it_explains(self) -> None:
        sums = self.summed(self.end(), self.end(usage_source=UsageSource.ESTIMATED))
        assert (sums.attempts, sums.usage, sums.cost) == (2, {"input": 20, "output": 10}, 100)
        assert (sums.mean_of, sums.estimated, sums.estimated_cost) == (1, 1, 50)
        sums = self.summed(None)
        assert (sums.under_way, sums.under_way_cost, sums.cost) == (1, 7, 0)
        nothing = {"usage": Usage(), "usage_source": UsageSource.NONE, "cost_nanousd": 0, "response_model": None}
        assert self.summed(self.end(outcome=Outcome.FAILED, **nothing)).failed_cost == 7
        assert self.summed(self.end(outcome=Outcome.REFUSED, **nothing)).failed == 0
        assert self.summed(self.end(ended_at="2026-11-21T00:00:01.000000Z")).midnight_cost == 50
