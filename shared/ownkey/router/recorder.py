"""The record of one attempt: one intent, one end, both written beside the work and never in its way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from ownkey.domain.attempts import AttemptEnd, AttemptStart
from ownkey.router.ports import AttemptLog

logger = logging.getLogger(__name__)


class Recorder:
    """Belongs to one attempt and one event loop."""

    def __init__(self, attempts: AttemptLog, start: AttemptStart) -> None:
        self.start = start
        self.end: AttemptEnd | None = None
        self._attempts = attempts
        self._intent: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether there is an intent and no end."""
        return self._intent is not None and self.end is None

    def write_intent(self) -> None:
        """Begins to write it."""
        self._intent = asyncio.create_task(self._logged("start", self._attempts.start(self.start)))

    def write_end(self, end: AttemptEnd) -> None:
        """Begins to write it, after the intent. The first end counts."""
        if self.open:
            self.end = end
            self._writing = asyncio.create_task(self._write_end(end))

    async def written(self) -> None:
        """Waits for what was begun. Cancelling the wait does not cancel the writing."""
        for task in (self._intent, self._writing):
            if task is not None:
                await asyncio.shield(task)

    async def _write_end(self, end: AttemptEnd) -> None:
        if self._intent is not None:
            await self._intent
        await self._logged("end", self._attempts.end(self.start, end))

    async def _logged(self, what: str, writing: Awaitable[object]) -> None:
        try:
            await writing
        except Exception:  # the answer must not suffer; what could not be written is in the log, upkeep ends the intent
            logger.exception(
                "an attempt's %s could not be written", what, extra={"attempt": repr(self.start), "end": repr(self.end)}
            )
