"""What a billed request takes of DynamoDB: the counting itself, and that docs/costs.md says what is counted today."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from bench.costs.__main__ import PAGE
from bench.costs.counted import Counted, count_all
from bench.costs.page import render
from bench.costs.units import item_bytes, read_units, write_units


@pytest.fixture(scope="module")
def counted() -> Mapping[str, Counted]:
    return asyncio.run(count_all())


def test_the_page_says_what_is_counted(counted: Mapping[str, Counted]) -> None:
    assert PAGE.read_text() == render(counted), "run `python -m bench.costs`"


@pytest.mark.parametrize("name", ["byok", "byok_named"])
def test_a_request_on_an_own_key_costs_two_writes(counted: Mapping[str, Counted], name: str) -> None:
    assert counted[name].inference.writes == 2


def test_what_is_asked_for_costs_its_own_writes_and_no_more(counted: Mapping[str, Counted]) -> None:
    assert counted["byok_repeatable"].inference.writes == 2 + 3  # its note, twice, and the answer
    hold, reservation = 2, 3  # the hold and its balance; the reservation and two counters
    assert counted["platform"].inference.writes == 2 + hold
    assert counted["byok_limits"].inference.writes == 2 + reservation
    assert counted["platform_limits"].inference.writes == 2 + hold + reservation


def test_a_batch_shares_its_aggregates(counted: Mapping[str, Counted]) -> None:
    for each in counted.values():
        assert each.busy.month_units * 10 < each.alone.month_units
        assert each.busy.write_units < each.alone.write_units


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({}, 0),
        ({"pk": {"S": "añb"}}, 6),
        ({"n": {"N": "0"}}, 3),
        ({"n": {"N": "-12345"}}, 6),
        ({"n": {"N": "1200"}}, 3),
        ({"b": {"B": "AAAA"}}, 4),
        ({"t": {"BOOL": True}}, 2),
        ({"s": {"SS": ["ab", "c"]}}, 7),
        ({"l": {"L": [{"S": "ab"}, {"N": "1"}]}}, 10),
        ({"m": {"M": {"k": {"S": "v"}}}}, 7),
    ],
)
def test_an_item_is_as_large_as_dynamodb_says(attributes: Mapping[str, Any], size: int) -> None:
    assert item_bytes(attributes) == size


@pytest.mark.parametrize(
    ("before", "after", "units"), [(0, 1, 1), (0, 1024, 1), (0, 1025, 2), (3000, 10, 3), (0, 0, 1)]
)
def test_a_write_counts_the_larger_item_in_kilobytes(before: int, after: int, units: int) -> None:
    assert write_units(before, after) == units
    assert write_units(before, after, transaction=True) == 2 * units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4096, 1), (4097, 2)])
def test_a_read_counts_four_kilobytes(size: int, units: int) -> None:
    assert read_units(size) == units
    assert read_units(size, consistent=False) == Decimal(units) / 2
    assert read_units(size, transaction=True) == 2 * units
