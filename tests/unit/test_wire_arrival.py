"""`Arrival`: whoever waits goes on in the wake-up that brings it, and is cancelled like any other waiter."""

from __future__ import annotations

import asyncio

import pytest

from ownkey.wire.arrival import Arrival


def make() -> Arrival[str]:
    return Arrival(asyncio.get_running_loop())


async def waiting(arrival: Arrival[str], log: list[object]) -> None:
    try:
        log.append(await arrival)
    except BaseException as e:
        log.append(type(e))
        raise


async def turn() -> None:
    await asyncio.sleep(0)


async def test_the_waiter_runs_before_bring_returns() -> None:
    arrival, log = make(), []
    task = asyncio.create_task(waiting(arrival, log))
    await turn()

    def protocol_method() -> None:
        arrival.bring("piece")
        log.append("returned")

    asyncio.get_running_loop().call_soon(protocol_method)
    await task
    assert log == ["piece", "returned"]


async def test_from_within_a_task_the_waiter_runs_in_the_loops_next_turn() -> None:
    arrival, log = make(), []
    task = asyncio.create_task(waiting(arrival, log))
    await turn()
    arrival.bring("piece")
    log.append("returned")
    await task
    assert log == ["returned", "piece"]


async def test_what_is_here_already_is_not_waited_for() -> None:
    arrival = make()
    arrival.bring("piece")
    assert await arrival == "piece"


async def test_a_failure_is_raised_where_it_is_awaited() -> None:
    arrival, log = make(), []
    task = asyncio.create_task(waiting(arrival, log))
    await turn()
    asyncio.get_running_loop().call_soon(arrival.fail, ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError, match="gone"):
        await task
    assert log == [ConnectionResetError]


async def test_only_the_first_word_counts() -> None:
    arrival = make()
    arrival.bring("first")
    arrival.bring("second")
    arrival.fail(OSError())
    assert not arrival.cancel()
    assert await arrival == "first"


async def test_a_cancelled_waiter_is_told_and_a_late_arrival_is_dropped() -> None:
    arrival, log = make(), []
    task = asyncio.create_task(waiting(arrival, log))
    await turn()
    task.cancel("enough")
    arrival.bring("too late")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == [asyncio.CancelledError]


async def test_a_cancellation_in_the_same_turn_as_the_arrival_is_not_lost() -> None:
    arrival, log = make(), []
    task = asyncio.create_task(waiting(arrival, log))
    await turn()
    arrival.bring("piece")  # from a task: the waiter's step is queued
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == [asyncio.CancelledError]


async def test_a_timeout_ends_the_wait() -> None:
    arrival = make()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await arrival
    assert asyncio.current_task().cancelling() == 0


async def test_it_wakes_its_waiter_in_the_waiters_own_context() -> None:
    from contextvars import ContextVar

    where: ContextVar[str] = ContextVar("where", default="loop")
    arrival, seen = make(), []

    async def waiter() -> None:
        where.set("task")
        await arrival
        seen.append(where.get())

    task = asyncio.create_task(waiter())
    await turn()
    asyncio.get_running_loop().call_soon(arrival.bring, "piece")
    await task
    assert seen == ["task"]
    assert where.get() == "loop"


async def test_a_waiter_may_wait_for_the_next_one_at_once() -> None:
    """A reader that takes what came and waits again, all within one call of the protocol's method."""
    arrivals = [make() for _ in range(3)]
    log: list[str] = []

    async def reader() -> None:
        for arrival in arrivals:
            log.append(await arrival)

    task = asyncio.create_task(reader())
    await turn()
    loop = asyncio.get_running_loop()
    for index, arrival in enumerate(arrivals):
        loop.call_soon(arrival.bring, str(index))
    await task
    assert log == ["0", "1", "2"]
