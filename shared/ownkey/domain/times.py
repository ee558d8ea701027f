"""Times on the wire and in items: RFC 3339, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(time: datetime) -> str:
    """`2026-11-21T08:00:00.000000Z`: sorts as text, and two changes never share one."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The inverse; any offset.

    Raises:
        ValueError: not a time, or one without an offset.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no offset from UTC")
    return time.astimezone(UTC)
