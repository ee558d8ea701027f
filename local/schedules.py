"""Schedules: `rate(...)` and `cron(...)`, in UTC, fired into functions as EventBridge does."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from local.deployment import Schedule
from local.functions import Functions
from local.intrinsics import TemplateError
from local.invocation import FunctionError, Throttled

_log = logging.getLogger(__name__)

_RATE = re.compile(r"^rate\((\d+) (minute|hour|day)s?\)$")
_CRON = re.compile(r"^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$")
_RANGE = re.compile(r"^(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?$")
_MONTH_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_DAY_NAMES = "SUN MON TUE WED THU FRI SAT"
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES.split(), 1)}
_DAYS = {name: n for n, name in enumerate(_DAY_NAMES.split(), 1)}
_CRON_FIELDS: Sequence[tuple[int, int, Mapping[str, int]]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (1, 7, _DAYS),
    (1970, 2199, {}),
)
_SEARCHED_DAYS = 367


def next_time(expression: str, after: datetime) -> datetime:
    """When the schedule fires next after `after` (UTC): a rate that long from then, a cron at the full minute.

    Raises:
        TemplateError: the expression is not one that is known here, or never comes true.
    """
    if rate := _RATE.match(expression):
        return after + timedelta(**{rate[2] + "s": int(rate[1])})
    cron = _CRON.match(expression)
    if cron is None:
        raise TemplateError(f"The local stack does not know the schedule {expression}.")
    minutes, hours, days, months, weekdays, years = (
        _values(field, *rule) for field, rule in zip(cron.groups(), _CRON_FIELDS, strict=True)
    )
    first_day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (first_day + timedelta(days=n) for n in range(_SEARCHED_DAYS)):
        weekday = day.isoweekday() % 7 + 1  # Sunday is 1.
        if day.day in days and day.month in months and weekday in weekdays and day.year in years:
            times = (day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes))
            if found := next((at for at in times if at > after), None):
                return found
    raise TemplateError(f"The schedule {expression} does not come true within a year.")


def _values(field: str, low: int, high: int, names: Mapping[str, int]) -> frozenset[int]:
    """The numbers that a cron field stands for: `*`, `?`, numbers or names, ranges, steps, lists of them."""

    def number(text: str) -> int:
        if text.upper() in names:
            return names[text.upper()]
        if not text.isdecimal():
            raise TemplateError(f"The local stack does not know {field} in a cron expression.")
        return int(text)

    if field in ("*", "?"):
        return frozenset(range(low, high + 1))
    values: set[int] = set()
    for part in field.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise TemplateError(f"The local stack does not know {field} in a cron expression.")
        first, last, step = match.groups()
        start = number(first) if first else low
        end = number(last) if last else start if first and not step else high
        values.update(range(start, end + 1, int(step or 1)))
    return frozenset(values)


class Scheduler:
    """Fires schedules. What a function makes of its event is logged only."""

    def __init__(self, functions: Functions, *, region: str, account_id: str) -> None:
        self._functions = functions
        self._region = region
        self._account_id = account_id

    async def run(self, schedule: Schedule) -> None:
        """Fires the schedule at its times until cancelled."""
        while True:
            now = datetime.now(UTC)
            await asyncio.sleep((next_time(schedule.expression, now) - now).total_seconds())
            try:
                await self.fire(schedule)
            except Throttled:
                _log.warning("%s: %s is throttled", schedule.id, schedule.function_id)

    async def fire(self, schedule: Schedule, payload: Any = None) -> bytes | FunctionError:
        """Fires the schedule now, with `payload` instead of its own if given; what the function answered."""
        event = payload if payload is not None else schedule.payload
        if event is None:
            event = self._event(schedule)
        result = await self._functions.invoke(schedule.function_id, json.dumps(event).encode())
        if isinstance(result, FunctionError):
            _log.warning("%s: %s failed: %s", schedule.id, schedule.function_id, result.type)
        return result

    def _event(self, schedule: Schedule) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._account_id,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [f"arn:aws:events:{self._region}:{self._account_id}:rule/{schedule.name}"],
            "detail": {},
        }
