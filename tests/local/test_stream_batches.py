"""What becomes of a batch: retries, bisection, partial failures, and what is given up on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.batches import Batch, Discarded, Record, Work

NOW_S = 1_000.0


def records(*names: int, created_at_s: float = NOW_S) -> tuple[Record, ...]:
    return tuple(
        {"dynamodb": {"SequenceNumber": str(name), "ApproximateCreationDateTime": created_at_s}} for name in names
    )


def batch(*names: int, **more: Any) -> Batch:
    rules: dict[str, Any] = {"max_retries": 2, "max_age_s": None, "bisects": False, "reports_item_failures": False}
    created_at_s = more.pop("created_at_s", NOW_S)
    return Batch(records(*names, created_at_s=created_at_s), **(rules | more))


def numbers(work: Work | Discarded | None) -> list[int]:
    assert work is not None
    held = work.work.records if isinstance(work, Discarded) else work.records
    return [int(record["dynamodb"]["SequenceNumber"]) for record in held]


def failures(*names: Any) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": str(name)} for name in names]}).encode()


def run(work: Batch, fails: set[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Plays a function that raises on any batch with one of `fails` in it: what it got, what was given up on."""
    got, given_up = [], []
    for _ in range(100):
        if work.next is None:
            return got, given_up
        got.append(numbers(work.next))
        discarded = work.failed(NOW_S) if fails & set(got[-1]) else work.succeeded(b"null", NOW_S)
        if discarded:
            given_up.append(numbers(discarded))
    raise AssertionError("does not end")


def test_a_batch_that_succeeds_is_done() -> None:
    assert run(batch(1, 2, 3), fails=set()) == ([[1, 2, 3]], [])


def test_a_batch_that_fails_is_tried_again_and_given_up_on_whole() -> None:
    got, given_up = run(batch(1, 2), fails={2})
    assert got == [[1, 2]] * 3, "once and two retries"
    assert given_up == [[1, 2]]


def test_bisection_isolates_the_bad_record_in_the_order_of_the_stream() -> None:
    got, given_up = run(batch(1, 2, 3, 4, bisects=True), fails={3})
    assert got == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [3], [4]], "splitting takes nothing from the retries"
    assert given_up == [[3]]


def test_without_bound_a_batch_is_tried_again_and_again() -> None:
    work = batch(1, max_retries=None)
    for _ in range(50):
        assert work.failed(NOW_S) is None
    assert numbers(work.next) == [1]


def test_a_record_that_is_too_old_is_not_tried_again() -> None:
    work = batch(1, max_retries=None, max_age_s=60, created_at_s=NOW_S - 61)
    discarded = work.failed(NOW_S)
    assert discarded is not None
    assert (discarded.condition, discarded.work.tries) == ("RecordAgeExceeded", 1)


def test_the_lowest_failure_reported_is_where_the_batch_begins_again() -> None:
    work = batch(1, 2, 3, 4, reports_item_failures=True)
    assert work.succeeded(failures(4, 2), NOW_S) is None
    assert numbers(work.next) == [2, 3, 4]
    assert work.succeeded(b'{"batchItemFailures": []}', NOW_S) is None
    assert work.next is None


def test_reported_failures_use_up_the_retries() -> None:
    work = batch(1, 2, reports_item_failures=True, max_retries=1)
    assert work.succeeded(failures(2), NOW_S) is None
    discarded = work.succeeded(failures(2), NOW_S)
    assert numbers(discarded) == [2]
    assert discarded is not None
    assert (discarded.condition, discarded.work.tries) == ("RetryAttemptsExhausted", 2)
    assert work.next is None


def test_with_bisection_the_cut_at_the_record_takes_nothing_from_the_retries() -> None:
    work = batch(1, 2, reports_item_failures=True, bisects=True, max_retries=0)
    assert work.succeeded(failures(2), NOW_S) is None
    assert numbers(work.succeeded(failures(2), NOW_S)) == [2]


@pytest.mark.parametrize("report", [b"null", b"", b"{}", b'{"batchItemFailures": null}', b'"text"'])
def test_answers_that_report_no_failure(report: bytes) -> None:
    work = batch(1, reports_item_failures=True)
    assert work.succeeded(report, NOW_S) is None
    assert work.next is None


@pytest.mark.parametrize(
    "report", [failures(99), b'{"batchItemFailures": [{}]}', b'{"batchItemFailures": [{"itemIdentifier": ""}]}']
)
def test_a_report_that_makes_no_sense_fails_the_whole_batch(report: bytes) -> None:
    work = batch(1, 2, reports_item_failures=True)
    assert work.succeeded(report, NOW_S) is None
    assert (numbers(work.next), work.next.tries if work.next else None) == ([1, 2], 1)


def test_a_report_means_nothing_where_the_mapping_does_not_ask_for_it() -> None:
    work = batch(1, 2)
    assert work.succeeded(failures(1), NOW_S) is None
    assert work.next is None
