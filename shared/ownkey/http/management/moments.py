"""Bounds of a range as queries name them: a day, or a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from ownkey.domain.times import parse_rfc3339

_DAY_CHARS = 10


def _checked(text: str) -> str:
    try:
        begin(text)
    except (ValueError, OverflowError):
        raise ValueError("must be a day such as 2027-01-31, or a time with its offset") from None
    return text


def begin(text: str) -> datetime:
    """The time itself; of a day (UTC) its first.

    Raises:
        ValueError: neither a day nor a time with its offset.
    """
    if len(text) == _DAY_CHARS:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    return parse_rfc3339(text)


def end(text: str) -> datetime:
    """The time itself; of a day (UTC) its last."""
    last = begin(text)
    return last + timedelta(days=1, milliseconds=-1) if len(text) == _DAY_CHARS else last


Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_checked)]
