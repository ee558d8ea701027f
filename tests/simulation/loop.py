"""An event loop whose time is virtual: it jumps to the next timer, so a minute costs nothing and the order is fixed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

_MAX_STEPS = 400_000


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs one coroutine to its end, and all that it starts. No sockets, no threads, no real time."""

    def __init__(self, started: Callable[[asyncio.Task[Any]], None] = lambda _: None) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._started = started
        self.errors: list[dict[str, Any]] = []
        """What asyncio would have logged: exceptions that nobody looked at."""

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """The coroutine's result."""
        asyncio.events._set_running_loop(self)
        try:
            task = self.create_task(main)
            for _ in range(_MAX_STEPS):
                if task.done():
                    return task.result()
                self._step()
            raise AssertionError("the simulation does not come to an end")
        finally:
            asyncio.events._set_running_loop(None)

    def _step(self) -> None:
        if not self._ready:
            when, _, handle = heappop(self._timers)
            self._now = max(self._now, when)
            self._ready.append(handle)
        handle = self._ready.popleft()
        if not handle._cancelled:
            handle._run()

    # ── What asyncio's tasks and futures ask of a loop

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heappush(self._timers, (when, self._timers_made, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self._started(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False
