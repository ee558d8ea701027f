"""When something counts, so that a month that is over never changes.

What is billed in the month in which it happened counts when it happened. What is billed later counts when it is billed;
its day and month are then those of the billing, and it is said to be late. So the aggregates' days, the postings of the
ledger and the statements have one time, a month's days add up to the month, and nothing is ever added to a month that
is over.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOSES_AFTER = timedelta(minutes=15)
"""A run of billing takes its time at its start and ends within 120 s; clocks differ."""


def booked_at(happened_at: str, billed_at: str | None) -> str:
    """The time (RFC 3339, UTC) under which something is counted; None: not billed yet, so as if it were now."""
    if billed_at is None or happened_at[:7] == billed_at[:7]:
        return happened_at
    return billed_at


def hour_of(at: str) -> str:
    """The hour in which a time (RFC 3339, UTC) lies, as a time: for what is not to tell more."""
    return f"{at[:13]}:00:00Z"


def is_late(happened_at: str, billed_at: str | None) -> bool:
    """Whether it is billed in a later month than it happened in."""
    return billed_at is not None and happened_at[:7] < billed_at[:7]


def closes_at(month: str) -> datetime:
    """When a month (`2026-11`) can no longer change."""
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    return (first + timedelta(days=32)).replace(day=1) + CLOSES_AFTER
