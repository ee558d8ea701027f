"""`Arrival`: what a protocol waits for. Its waiter goes on in the very wake-up of the loop that brought it.

A future of asyncio's puts its waiter into the loop's next turn, with one more look at every socket in between; for a
chunk of a stream that is as much work as the chunk itself. So this is a future of our own: asyncio's tasks await
anything that has `_asyncio_future_blocking`, `get_loop`, `add_done_callback`, `result` and `cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Arrival(Generic[T]):
    """Awaited by one task. The first of `bring`, `fail` and the task's cancellation counts."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_error", "_loop", "_value", "done")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done = False
        self._asyncio_future_blocking = False
        self._loop = loop
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._value: T

    def bring(self, value: T) -> None:
        """It is here. Called by the loop (a protocol's method, a timer), the waiter runs before this returns."""
        if not self.done:
            self.done, self._value = True, value
            self._wake()

    def fail(self, error: BaseException) -> None:
        """It will not come."""
        if not self.done:
            self.done, self._error = True, error
            self._wake()

    def _wake(self) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        if asyncio.current_task(self._loop) is None:
            assert self._context is not None
            self._context.run(callback, self)
        else:
            # One task cannot run inside another.
            self._loop.call_soon(callback, self, context=self._context)

    # ── What a task asks of a future

    def __await__(self) -> Generator[Arrival[T], None, T]:
        if not self.done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def result(self) -> T:
        """What arrived; raises what it failed with."""
        if self._error is not None:
            raise self._error
        return self._value

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of its task."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """For the task that awaits it."""
        assert self._callback is None, "an arrival has one waiter"
        if self.done:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._callback, self._context = callback, context

    def cancel(self, msg: object = None) -> bool:
        """The task is being cancelled; it goes on in the loop's next turn."""
        if self.done:
            return False
        self.done, self._error = True, asyncio.CancelledError(*(() if msg is None else (msg,)))
        if self._callback is not None:
            self._loop.call_soon(self._callback, self, context=self._context)
            self._callback = None
        return True
