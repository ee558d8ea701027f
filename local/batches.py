"""What becomes of a batch of stream records: the rules of an event source mapping. No I/O.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html,
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """Records to hand to the function together, and how often that was tried."""

    records: tuple[Record, ...]
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Discarded:
    """Records given up on: `condition` is Lambda's word for why."""

    work: Work
    condition: str


class Batch:
    """The work that is left of a batch, in the order of the stream.

    Take `next`, invoke, and say how it went with `succeeded` or `failed`, until `next` is None.
    """

    def __init__(
        self,
        records: tuple[Record, ...],
        *,
        max_retries: int | None,
        max_age_s: float | None,
        bisects: bool,
        reports_item_failures: bool,
    ) -> None:
        self._left = [Work(records)]
        self._max_retries = max_retries
        self._max_age_s = max_age_s
        self._bisects = bisects
        self._reports = reports_item_failures

    @property
    def next(self) -> Work | None:
        """What the function gets next."""
        return self._left[-1] if self._left else None

    def succeeded(self, payload: bytes, now_s: float) -> Discarded | None:
        """The function returned `payload`: done with the records before the first that it reports as failed."""
        work = self._left.pop()
        if not self._reports:
            return None
        try:
            failed_at = _first_failure(payload, work.records)
        except ValueError:
            self._left.append(work)
            return self.failed(now_s)
        if failed_at is None:
            return None
        rest = work.records[failed_at:]
        if failed_at and self._bisects:
            # The batch is cut at the record; that takes nothing from its retries.
            self._left.append(Work(rest, work.tries))
            return None
        return self._again(Work(rest, work.tries), now_s)

    def failed(self, now_s: float) -> Discarded | None:
        """The function raised, timed out or died."""
        work = self._left.pop()
        if self._bisects and len(work.records) > 1:
            middle = len(work.records) // 2
            self._left += [Work(work.records[middle:], work.tries), Work(work.records[:middle], work.tries)]
            return None
        return self._again(work, now_s)

    def repeat(self, work: Work) -> None:
        """Hands over once more what was done, as a stream may do at any time."""
        self._left.append(Work(work.records))

    def _again(self, work: Work, now_s: float) -> Discarded | None:
        tried = Work(work.records, work.tries + 1)
        if self._max_retries is not None and tried.tries > self._max_retries:
            return Discarded(tried, "RetryAttemptsExhausted")
        if self._max_age_s is not None and now_s - created_at_s(work.records[0]) > self._max_age_s:
            return Discarded(tried, "RecordAgeExceeded")
        self._left.append(tried)
        return None


def created_at_s(record: Record) -> float:
    """When the record was written, in seconds since the epoch."""
    return float(record["dynamodb"]["ApproximateCreationDateTime"])


def _first_failure(payload: bytes, records: tuple[Record, ...]) -> int | None:
    """The index of the first record reported as failed; None if none is.

    Raises:
        ValueError: the report is not one, which Lambda takes as the failure of the whole batch.
    """
    answer = json.loads(payload) if payload else None
    if not answer:
        return None
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else ()
    if not failures:
        return None
    positions = {record["dynamodb"]["SequenceNumber"]: index for index, record in enumerate(records)}
    try:
        return min(positions[failure["itemIdentifier"]] for failure in failures)
    except (KeyError, TypeError):
        raise ValueError("an item identifier that is not in the batch") from None
