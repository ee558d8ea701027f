"""The streaming runtime when clients leave, connections break and time runs out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ownkey.runtime.api import RuntimeApi, RuntimeApiError
from ownkey.runtime.loop import Loop
from tests.support.runtime_api import fake_runtime_api, proxy_event, serving

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"", "more_body": False}


def part(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


async def ok(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": b"ok"})


class TestClientGone:
    async def test_the_app_hears_of_it_reads_its_source_to_the_end_and_writes_its_record(self):
        records: list[Any] = []

        async def app(scope, receive, send):
            if scope["path"] == "/next":
                await ok(scope, receive, send)
                return
            await receive()
            await send(START)
            await send(part(b"first"))
            left = await receive()
            for _ in range(200):
                await send(part(b"x" * 1000))
            await send(END)
            records.append((left["type"], 201))

        async with serving(app) as api:
            gone, following = api.invoke(proxy_event()), api.invoke(proxy_event(path="/next"))
            await gone.prelude()
            assert await gone.chunk() == b"first"
            gone.cut()
            assert (await following.whole())[1] == b"ok"
        assert records == [("http.disconnect", 201)]
        assert not gone.complete

    async def test_an_app_that_never_looks_runs_to_its_end_all_the_same(self):
        records: list[str] = []
        cut = asyncio.Event()

        async def app(scope, receive, send):
            try:
                await send(START)
                await send(part(b"first"))
                await cut.wait()
                for _ in range(50):
                    await send(part(b"x" * 100_000))
                    await asyncio.sleep(0)
                await send(END)
            finally:
                records.append("written")

        async with serving(app) as api:
            delivery = api.invoke(proxy_event())
            await delivery.prelude()
            assert await delivery.chunk() == b"first"
            delivery.cut()
            cut.set()
            await api.idle()
            assert records == ["written"]
            assert (await api.invoke(proxy_event(path="/again")).prelude())["statusCode"] == 200

    @pytest.mark.parametrize("status", [400, 413, 500])
    async def test_a_response_that_is_refused_in_mid_stream_counts_as_a_client_gone(
        self, status: int, caplog: pytest.LogCaptureFixture
    ):
        heard: list[str] = []

        async def app(scope, receive, send):
            if scope["path"] == "/next":
                await ok(scope, receive, send)
                return
            await receive()
            await send(START)
            heard.append((await receive())["type"])
            await send(part(b"into the void"))
            await send(END)

        async with serving(app) as api:
            api.invoke(proxy_event(), refuse_with=status)
            following = api.invoke(proxy_event(path="/next"))
            assert (await following.whole())[1] == b"ok"
        assert heard == ["http.disconnect"]
        assert api.connections == 2
        # The rest of the refused body, or the next request behind it, would be no HTTP to the server.
        assert [record for record in caplog.records if record.name == "asyncio"] == []


class TestConnection:
    async def test_one_closed_while_idle_is_replaced(self):
        async with serving(ok) as api:
            await api.invoke(proxy_event()).whole()
            await api.idle()
            api.drop_connections()
            await api.idle()
            assert (await api.invoke(proxy_event()).whole())[1] == b"ok"
        assert api.connections == 2

    async def test_one_closed_while_the_app_works_is_replaced(self):
        async def app(scope, receive, send):
            api.drop_connections()
            await asyncio.sleep(0.05)
            await ok(scope, receive, send)

        async with serving(app) as api:
            assert (await api.invoke(proxy_event()).whole())[1] == b"ok"

    async def test_a_server_that_closes_after_each_answer_is_served_too(self):
        async with serving(ok, options={"close_after_answer": True}) as api:
            for _ in range(3):
                assert (await api.invoke(proxy_event()).whole())[1] == b"ok"

    @pytest.mark.parametrize("split_bytes", [1, 7, None])
    @pytest.mark.parametrize("chunked_answers", [False, True])
    async def test_answers_are_read_however_they_are_cut(self, split_bytes: int | None, chunked_answers: bool):
        async def echo(scope, receive, send):
            await send(START)
            await send({"type": "http.response.body", "body": (await receive())["body"]})

        async with serving(echo, options={"split_bytes": split_bytes, "chunked_answers": chunked_answers}) as api:
            for text in ("short", "é" * 500):
                assert (await api.invoke(proxy_event("POST", body=text)).whole())[1] == text.encode()

    async def test_an_event_of_six_megabytes_is_read(self):
        async def length(scope, receive, send):
            await send(START)
            await send({"type": "http.response.body", "body": b"%d" % len((await receive())["body"])})

        async with serving(length) as api:
            assert (await api.invoke(proxy_event("POST", body="x" * 6_000_000)).whole())[1] == b"6000000"

    async def test_a_runtime_api_that_is_gone_ends_the_loop(self):
        async with fake_runtime_api() as api:
            address = api.address
        client = RuntimeApi(address)
        with pytest.raises(RuntimeApiError, match="out of reach"):
            await Loop(ok, client).run()

    async def test_a_runtime_api_that_refuses_events_ends_the_loop(self):
        async with fake_runtime_api(next_status=403) as api:
            api.invoke(proxy_event())
            client = RuntimeApi(api.address)
            with pytest.raises(RuntimeApiError, match="403"):
                await Loop(ok, client).run()
            client.close()


class TestBackPressure:
    async def test_an_app_is_held_back_by_a_reader_that_is_slow(self):
        sent = 0

        async def app(scope, receive, send):
            nonlocal sent
            await send(START)
            for _ in range(64):
                await send(part(b"x" * (1 << 20)))
                sent += 1
            await send(END)

        async with serving(app) as api:
            delivery = api.invoke(proxy_event())
            delivery.reading.clear()
            await asyncio.sleep(0.2)
            assert sent < 32
            delivery.reading.set()
            assert len((await delivery.whole())[1]) == 64 << 20


class TestDeadline:
    async def test_before_the_response_the_client_gets_a_504_and_the_app_its_time_to_clean_up(self):
        records: list[str] = []

        async def app(scope, receive, send):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                records.append("written")

        async with serving(app) as api:
            prelude, received = await api.invoke(proxy_event(), deadline_in_s=1.05).whole()
            assert records == ["written"]
        assert prelude["statusCode"] == 504
        assert b'"code": "timeout"' in received

    async def test_after_the_response_began_it_is_marked_as_broken(self):
        async def app(scope, receive, send):
            await send(START)
            await send(part(b"half"))
            await asyncio.Event().wait()

        async with serving(app) as api:
            delivery = api.invoke(proxy_event(), deadline_in_s=1.05)
            assert (await delivery.whole())[1] == b"half"
        assert delivery.trailers["lambda-runtime-function-error-type"] == "Function.DeadlineExceeded"

    async def test_an_app_that_ends_its_response_when_cancelled_has_the_last_word(self):
        async def app(scope, receive, send):
            await send(START)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await send({"type": "http.response.body", "body": b"data: timeout\n\n"})
                raise

        async with serving(app) as api:
            delivery = api.invoke(proxy_event(), deadline_in_s=1.05)
            assert (await delivery.whole())[1] == b"data: timeout\n\n"
        assert delivery.trailers == {}

    async def test_neither_a_stubborn_app_nor_an_endless_task_holds_the_next_event(
        self, caplog: pytest.LogCaptureFixture
    ):
        stop = asyncio.Event()

        async def endless():
            while not stop.is_set():
                try:
                    await stop.wait()
                except asyncio.CancelledError:
                    continue

        async def app(scope, receive, send):
            if scope["path"] == "/next":
                await ok(scope, receive, send)
                return
            scope["aws.context"].register(asyncio.create_task(asyncio.Event().wait()))
            await endless()

        async with serving(app) as api:
            stuck = api.invoke(proxy_event(), deadline_in_s=1.05)
            following = api.invoke(proxy_event(path="/next"))
            assert (await stuck.whole())[0]["statusCode"] == 504
            assert (await following.whole())[1] == b"ok"
            stop.set()
        assert "work was cut off at the deadline" in caplog.messages
