"""Which rates a request is billed at."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from ownkey.catalog import NANOUSD_PER_UNIT, RATE_BUCKETS, OffPeak, PriceList, Rates, Step, Window
from ownkey.domain.money import NANOUSD_PER_USD
from ownkey.domain.usage import COUNTED, Usage

D = Decimal


def rates(input: str, output: str = "0", **others: str) -> Rates:
    return Rates(input=D(input), output=D(output), **{name: D(rate) for name, rate in others.items()})


LADDER = (Step(0, rates("3", "15")), Step(200_000, rates("6", "22.5")))


def test_every_token_bucket_of_usage_has_a_rate():
    assert set(RATE_BUCKETS) == {f.name for f in fields(Usage)} - set(COUNTED)


def test_the_unit_is_usd_per_million_tokens():
    assert NANOUSD_PER_UNIT == NANOUSD_PER_USD / 1_000_000


class TestContextLadder:
    prices = PriceList("v", LADDER)

    @pytest.mark.parametrize("input_tokens, expected", [(0, 3), (200_000, 3), (200_001, 6), (1_000_000, 6)])
    def test_a_prompt_above_the_rung_pays_it_for_all_its_tokens(self, input_tokens, expected):
        assert self.prices.rates(input_tokens=input_tokens).input == expected

    def test_base_is_the_lowest_rung_as_stated(self):
        assert self.prices.base == rates("3", "15")


class TestServiceTiers:
    prices = PriceList("v", LADDER, service_tiers={"flex": (Step(0, rates("1")),), "priority": (Step(0, rates("9")),)})

    @pytest.mark.parametrize(
        "tier, expected",
        [
            (None, 3),
            ("", 3),
            ("default", 3),
            ("standard", 3),
            ("auto", 3),
            ("flex", 1),
            ("priority", 9),
            ("fast", 9),
            ("scale", 3),
        ],
    )
    def test_by_the_name_in_the_response(self, tier, expected):
        assert self.prices.rates(service_tier=tier).input == expected

    def test_a_tier_has_its_own_ladder(self):
        assert self.prices.rates(service_tier="flex", input_tokens=1_000_000).input == 1


class TestOffPeak:
    prices = PriceList(
        "v",
        (Step(0, rates("2")),),
        service_tiers={"priority": (Step(0, rates("9")),)},
        off_peak=OffPeak(
            (Window(frozenset({1, 2, 3, 4, 5}), 10 * 60, 24 * 60), Window(frozenset({6, 7}), 0, 24 * 60)), rates("1")
        ),
    )
    friday = datetime(2026, 11, 20, tzinfo=UTC)

    @pytest.mark.parametrize(
        "after, expected",
        [
            (timedelta(hours=9, minutes=59, seconds=59), 2),
            (timedelta(hours=10), 1),
            (timedelta(hours=23, minutes=59, seconds=59), 1),
            (timedelta(days=1), 1),
            (timedelta(days=2, hours=23, minutes=59), 1),
            (timedelta(days=3), 2),
        ],
    )
    def test_while_a_window_is_open(self, after, expected):
        assert self.prices.rates(at=self.friday + after).input == expected

    def test_windows_are_in_utc_whatever_the_clock(self):
        shanghai = timezone(timedelta(hours=8))
        assert self.prices.rates(at=datetime(2026, 11, 20, 17, 59, tzinfo=shanghai)).input == 2
        assert self.prices.rates(at=datetime(2026, 11, 20, 18, 0, tzinfo=shanghai)).input == 1

    def test_without_a_moment_the_standard_hours_count(self):
        assert self.prices.rates().input == 2

    def test_other_tiers_know_no_hours(self):
        assert self.prices.rates(service_tier="priority", at=self.friday + timedelta(days=1)).input == 9


class TestUplifts:
    prices = PriceList("v", LADDER, uplifts={"geo:us": D("1.1"), "speed:fast": D(2)})

    def test_each_that_held_multiplies_every_rate(self):
        billed = self.prices.rates(uplifts=("geo:us", "speed:fast"))
        assert (billed.input, billed.output, billed.cache_read) == (D("6.6"), D(33), D("6.6"))

    def test_one_the_model_does_not_have_changes_nothing(self):
        assert self.prices.rates(uplifts=("region:eu",)) == self.prices.rates()


class TestBucketsWithoutAPrice:
    def test_pay_the_plain_rate_of_their_kind(self):
        filled = rates("3", "15").filled()
        assert {getattr(filled, b) for b in ("cache_read", "cache_write_5m", "audio_input", "image_input")} == {3}
        assert {getattr(filled, b) for b in ("reasoning", "audio_output", "image_output")} == {15}

    def test_a_long_cache_write_costs_no_less_than_a_short_one(self):
        assert rates("3", cache_write_5m="3.75").filled().cache_write_1h == D("3.75")

    def test_free_is_a_price(self):
        assert rates("3", cache_read="0").filled().cache_read == 0

    def test_what_cannot_be_priced_stays_unpriced(self):
        filled = Rates(input=D(1)).filled()
        assert filled.output is None
        assert filled.reasoning is None

    def test_a_model_with_fees_alone_has_no_rates(self):
        prices = PriceList("v", (Step(0, Rates()),), fees={"request": D("0.005")})
        assert prices.rates() == Rates()
