"""`scope["ownkey.put"]`: a piece in the middle of a stream, sent within the call."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.runtime_api import proxy_event, serving

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def body(data: bytes = b"", *, more: bool = False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_what_is_put_and_what_is_sent_arrive_in_the_order_of_the_calls() -> None:
    async def app(scope, receive, send):
        put = scope["ownkey.put"]
        await send(START)
        await send(body(b"a", more=True))
        assert put(b"b")
        assert put(b"c")
        await send(body(b"d", more=True))
        assert put(b"e")
        await send(body(b"f"))

    async with serving(app) as api:
        delivery = api.invoke(proxy_event())
        await delivery.prelude()
        assert await delivery.rest() == [b"a", b"b", b"c", b"d", b"e", b"f"]


async def test_what_is_put_arrives_without_another_turn_of_the_app() -> None:
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        await send(body(b"a", more=True))
        asyncio.get_running_loop().call_soon(scope["ownkey.put"], b"from outside of any task")
        await go_on.wait()
        await send(body())

    async with serving(app) as api:
        delivery = api.invoke(proxy_event())
        await delivery.prelude()
        assert [await delivery.chunk(), await delivery.chunk()] == [b"a", b"from outside of any task"]
        go_on.set()
        assert await delivery.rest() == []


async def test_put_behind_the_start_carries_the_prelude_along() -> None:
    async def app(scope, receive, send):
        await send(START)
        scope["ownkey.put"](b"first")
        await send(body())

    async with serving(app) as api:
        prelude, received = await api.invoke(proxy_event()).whole()
    assert (prelude["statusCode"], received) == (200, b"first")


async def test_an_empty_piece_does_not_end_the_response() -> None:
    async def app(scope, receive, send):
        await send(START)
        await send(body(b"a", more=True))
        scope["ownkey.put"](b"")
        await send(body(b"b"))

    async with serving(app) as api:
        _, received = await api.invoke(proxy_event()).whole()
    assert received == b"ab"


async def test_put_tells_of_a_reader_that_is_slow_and_loses_nothing() -> None:
    piece, refused = b"x" * 100_000, asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        await send(body(b"a", more=True))
        count = 1
        while scope["ownkey.put"](piece):
            count += 1
        refused.set()
        await send(body(b"", more=True))
        await send(body(b"%d" % count))

    async with serving(app) as api:
        delivery = api.invoke(proxy_event())
        delivery.reading.clear()
        await asyncio.wait_for(refused.wait(), 30)
        delivery.reading.set()
        _, received = await delivery.whole()
    count = received.removeprefix(b"a").lstrip(b"x")
    assert received == b"a" + piece * int(count) + count


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_what_has_no_body_gets_none_by_put_either(method: str, status: int) -> None:
    async def app(scope, receive, send):
        await send(START | {"status": status})
        assert scope["ownkey.put"](b"page")
        await send(body())

    async with serving(app) as api:
        _, received = await api.invoke(proxy_event(method)).whole()
    assert received == b""


@pytest.mark.parametrize("ended", [False, True])
async def test_put_before_the_start_or_after_the_end_is_the_apps_mistake(ended: bool) -> None:
    mistakes: list[RuntimeError] = []

    async def app(scope, receive, send):
        if ended:
            await send(START)
            await send(body(b"whole"))
        try:
            scope["ownkey.put"](b"late or early")
        except RuntimeError as e:
            mistakes.append(e)
        if not ended:
            await send(START)
            await send(body(b"whole"))

    async with serving(app) as api:
        _, received = await api.invoke(proxy_event()).whole()
    assert received == b"whole"
    assert len(mistakes) == 1


async def test_what_is_put_for_a_client_that_has_gone_is_dropped() -> None:
    gone, over = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(body(b"a", more=True))
        assert (await receive())["type"] == "http.disconnect"
        gone.set()
        for _ in range(20):
            assert scope["ownkey.put"](b"b" * 1_000)
        await send(body())
        over.set()

    async with serving(app) as api:
        delivery = api.invoke(proxy_event())
        await delivery.prelude()
        assert await delivery.chunk() == b"a"
        delivery.cut()
        await asyncio.wait_for(over.wait(), 30)
        assert gone.is_set()
