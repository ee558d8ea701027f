"""Schedules: when they fire, and with what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local.intrinsics import TemplateError
from local.schedules import next_time
from tests.local.conftest import Running

AT = datetime(2026, 2, 27, 10, 14, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", "2026-02-27T10:15:30"),
        ("rate(5 hours)", "2026-02-27T15:14:30"),
        ("rate(2 days)", "2026-03-01T10:14:30"),
        ("cron(* * * * ? *)", "2026-02-27T10:15:00"),
        ("cron(0/20 * * * ? *)", "2026-02-27T10:20:00"),
        ("cron(30 2 * * ? *)", "2026-02-28T02:30:00"),
        ("cron(0 8 ? * MON-FRI *)", "2026-03-02T08:00:00"),
        ("cron(0 8 ? * 1,7 *)", "2026-02-28T08:00:00"),
        ("cron(15 10 1 MAR,jun ? 2026-2030)", "2026-03-01T10:15:00"),
    ],
)
def test_the_next_time(expression: str, expected: str) -> None:
    assert next_time(expression, AT) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["every day", "rate(1 year)", "cron(1 2 3)", "cron(0 8 L * ? *)"])
def test_an_expression_that_is_unknown_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError):
        next_time(expression, AT)


def test_a_time_that_never_comes_is_refused() -> None:
    with pytest.raises(TemplateError, match="within a year"):
        next_time("cron(0 0 30 2 ? *)", AT)


@pytest.mark.asyncio(loop_scope="session")
async def test_firing_at_once(running: Running) -> None:
    await running.stack.fire("TimerFunctionEveryMinute")
    event: dict[str, Any] = running.notes("timer")[-1]
    assert (event["detail-type"], event["source"], event["detail"]) == ("Scheduled Event", "aws.events", {})
    assert event["resources"][0].endswith(":rule/ownkey-local-TimerFunctionEveryMinute")

    await running.stack.fire("TimerFunctionNightly")
    assert running.notes("timer")[-1] == {"nightly": True}

    await running.stack.fire("TimerFunctionNightly", {"now": 1})
    assert running.notes("timer")[-1] == {"now": 1}

    with pytest.raises(KeyError):
        await running.stack.fire("Nobody")
