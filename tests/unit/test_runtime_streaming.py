"""The streaming runtime, from an API Gateway event to what the Runtime API receives."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from ownkey.runtime.prelude import MAX_PRELUDE_BYTES
from tests.support.runtime_api import FUNCTION_ARN, proxy_event, serving

TEXT = [(b"content-type", b"text/plain")]


def start(status: int = 200, headers: Any = TEXT) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def answering(*messages: dict[str, Any]):
    """An app that sends these messages, whatever it is asked."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


class TestDelivery:
    async def test_each_chunk_arrives_before_the_next_is_made(self):
        go_on = asyncio.Event()

        async def app(scope, receive, send):
            await send(start())
            for number in range(3):
                await send(body(b"%d" % number, more=True))
                await go_on.wait()
                go_on.clear()
            await send(body())

        async with serving(app) as api:
            delivery = api.invoke(proxy_event())
            await delivery.prelude()
            for expected in (b"0", b"1", b"2"):
                assert await delivery.chunk() == expected
                go_on.set()
            assert await delivery.chunk() is None
            assert delivery.complete

    async def test_status_and_headers_arrive_before_there_is_a_body(self):
        go_on = asyncio.Event()

        async def app(scope, receive, send):
            await send(start(201))
            await go_on.wait()
            await send(body(b"late"))

        async with serving(app) as api:
            delivery = api.invoke(proxy_event())
            prelude = await delivery.prelude()
            assert (prelude["statusCode"], prelude["headers"]) == (201, {"content-type": "text/plain"})
            go_on.set()
            assert await delivery.rest() == [b"late"]

    async def test_the_response_is_marked_as_streaming_with_a_prelude(self):
        async with serving(answering(start(), body(b"x"))) as api:
            delivery = api.invoke(proxy_event())
            await delivery.whole()
        headers = delivery.response_headers
        assert headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        assert headers["lambda-runtime-function-response-mode"] == "streaming"
        assert headers["transfer-encoding"] == "chunked"
        assert headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"

    @pytest.mark.parametrize(
        ("method", "status", "sent"),
        [("GET", 200, b""), ("GET", 204, b""), ("GET", 304, b""), ("GET", 204, b"not allowed"), ("HEAD", 200, b"page")],
    )
    async def test_an_answer_without_a_body_is_a_prelude_and_an_end(self, method: str, status: int, sent: bytes):
        app = answering(start(status, [(b"content-length", b"4")]), body(sent[:2], more=True), body(sent[2:]))
        async with serving(app) as api:
            prelude, received = await api.invoke(proxy_event(method)).whole()
        assert (prelude["statusCode"], prelude["headers"], received) == (status, {"content-length": "4"}, b"")

    async def test_empty_chunks_do_not_end_the_response(self):
        app = answering(start(), body(b"", more=True), body(b"a", more=True), body(b"", more=True), body(b"b"))
        async with serving(app) as api:
            delivery = api.invoke(proxy_event())
            await delivery.prelude()
            assert await delivery.rest() == [b"a", b"b"]

    async def test_500_chunks_arrive_whole_and_in_order(self):
        chunks = [b"data: %d\n\n" % number for number in range(500)]
        async with serving(answering(start(), *(body(data, more=True) for data in chunks), body())) as api:
            delivery = api.invoke(proxy_event())
            await delivery.prelude()
            assert await delivery.rest() == chunks

    async def test_a_chunk_of_a_megabyte_arrives_whole(self):
        data = os.urandom(1 << 20)
        async with serving(answering(start(), body(data))) as api:
            _, received = await api.invoke(proxy_event()).whole()
        assert received == data

    async def test_binary_bodies_pass_as_they_are(self):
        data = bytes(range(256)) + b"\0" * 16
        async with serving(answering(start(), body(data))) as api:
            _, received = await api.invoke(proxy_event()).whole()
        assert received == data

    async def test_repeated_headers_stand_in_multi_value_headers_with_all_their_values(self):
        headers = [(b"Set-Cookie", b"a=1; HttpOnly"), (b"X-One", b"1"), (b"set-cookie", b"b=2")]
        async with serving(answering(start(200, headers), body())) as api:
            prelude, _ = await api.invoke(proxy_event()).whole()
        assert prelude == {
            "statusCode": 200,
            "headers": {"x-one": "1"},
            "multiValueHeaders": {"set-cookie": ["a=1; HttpOnly", "b=2"]},
        }


class TestRequest:
    async def test_the_event_becomes_an_asgi_request(self):
        seen: list[Any] = []

        async def app(scope, receive, send):
            seen.extend([scope, await receive()])
            await send(start())
            await send(body())

        event = proxy_event(
            "POST",
            "/v1/chat/completions",
            body='{"model":"é"}',
            multiValueQueryStringParameters={"a": ["1", "2"]},
            multiValueHeaders={"Authorization": ["Bearer x"], "Accept": ["a", "b"]},
        )
        async with serving(app, state={"pool": "kept"}) as api:
            await api.invoke(event, trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1").whole()
        scope, message = seen
        assert (scope["type"], scope["method"], scope["path"]) == ("http", "POST", "/v1/chat/completions")
        assert scope["query_string"] == b"a=1&a=2"
        assert {tuple(pair) for pair in scope["headers"]} >= {(b"authorization", b"Bearer x"), (b"accept", b"a, b")}
        assert scope["client"] == ("203.0.113.7", 0)
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
        assert scope["state"] == {"pool": "kept"}
        assert scope["aws.event"] == event
        assert message == {"type": "http.request", "body": '{"model":"é"}'.encode(), "more_body": False}
        assert os.environ["_X_AMZN_TRACE_ID"] == "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"

    async def test_the_context_tells_request_id_function_and_deadline(self):
        seen: list[Any] = []

        async def app(scope, receive, send):
            context = scope["aws.context"]
            left_ms = context.get_remaining_time_in_millis()
            seen.append((context.aws_request_id, context.invoked_function_arn, context.deadline_ms, left_ms))
            await send(start())
            await send(body())

        async with serving(app) as api:
            delivery = api.invoke(proxy_event(), deadline_in_s=30)
            await delivery.whole()
        [(request_id, arn, deadline_ms, left_ms)] = seen
        assert (request_id, arn) == ("request-1", FUNCTION_ARN)
        assert str(deadline_ms) == delivery.headers["Lambda-Runtime-Deadline-Ms"]
        assert 20_000 < left_ms <= 30_000

    async def test_a_base64_body_is_decoded(self):
        data = bytes(range(256))

        async def echo(scope, receive, send):
            await send(start())
            await send(body((await receive())["body"]))

        async with serving(echo) as api:
            _, received = await api.invoke(proxy_event("POST", base64_body=data)).whole()
        assert received == data

    async def test_the_body_comes_once_and_then_nothing_until_the_response_is_over(self):
        seen: list[Any] = []

        async def app(scope, receive, send):
            await receive()
            second = asyncio.ensure_future(receive())
            await send(start())
            await send(body(b"a", more=True))
            await asyncio.sleep(0.01)
            seen.append(second.done())
            await send(body())
            seen.append(await second)

        async with serving(app) as api:
            await api.invoke(proxy_event()).whole()
            await api.idle()
        assert seen == [False, {"type": "http.disconnect"}]

    async def test_one_request_cannot_change_the_state_of_the_next(self):
        seen: list[Any] = []

        async def app(scope, receive, send):
            seen.append(dict(scope["state"]))
            scope["state"]["mine"] = True
            await send(start())
            await send(body())

        async with serving(app, state={"pool": 1}) as api:
            for _ in range(2):
                await api.invoke(proxy_event()).whole()
        assert seen == [{"pool": 1}, {"pool": 1}]


class TestLoop:
    async def test_invocations_follow_each_other_on_one_connection_and_event_loop(self):
        loops: set[int] = set()

        async def app(scope, receive, send):
            loops.add(id(asyncio.get_running_loop()))
            await send(start())
            await send(body(scope["path"].encode()))

        async with serving(app) as api:
            deliveries = [api.invoke(proxy_event(path=f"/{number}")) for number in range(20)]
            assert [(await delivery.whole())[1] for delivery in deliveries] == [b"/%d" % n for n in range(20)]
            await api.idle()
        assert (len(loops), api.connections) == (1, 1)
        assert api.log[:4] == [
            "GET invocation/next",
            "POST invocation/request-1/response",
            "GET invocation/next",
            "POST invocation/request-2/response",
        ]

    async def test_work_after_the_last_byte_delays_the_next_event_but_not_the_end_of_the_response(self):
        write_record = asyncio.Event()
        written: list[str] = []

        async def app(scope, receive, send):
            await send(start())
            await send(body(b"all"))
            await write_record.wait()
            written.append(scope["path"])

        async with serving(app) as api:
            first, second = api.invoke(proxy_event(path="/first")), api.invoke(proxy_event(path="/second"))
            assert (await first.whole())[1] == b"all"
            assert (written, api.log[-1]) == ([], "POST invocation/request-1/response")
            write_record.set()
            await second.whole()
            assert written[0] == "/first"

    async def test_registered_tasks_are_waited_for_also_those_they_register(self):
        written: list[str] = []
        write_record = asyncio.Event()

        async def app(scope, receive, send):
            context = scope["aws.context"]

            async def record():
                await write_record.wait()
                written.append("record")
                context.register(asyncio.create_task(touch()))

            async def touch():
                await asyncio.sleep(0)
                written.append("last used")

            context.register(asyncio.create_task(record()))
            await send(start())
            await send(body(b"all"))

        async with serving(app) as api:
            await api.invoke(proxy_event()).whole()
            assert (written, api.log[-1]) == ([], "POST invocation/request-1/response")
            write_record.set()
            await api.idle()
        assert written == ["record", "last used"]

    async def test_a_registered_task_that_fails_is_logged_and_disturbs_nothing(self, caplog: pytest.LogCaptureFixture):
        async def record():
            raise OSError("table out of reach")

        async def app(scope, receive, send):
            scope["aws.context"].register(asyncio.create_task(record()))
            await send(start())
            await send(body(b"ok"))

        async with serving(app) as api:
            for _ in range(2):
                assert (await api.invoke(proxy_event()).whole())[1] == b"ok"
            await api.idle()
        assert [record.message for record in caplog.records] == ["a registered task failed"] * 2

    async def test_fastapi_streams_through_it_and_its_background_tasks_run(self):
        app = FastAPI()
        done: list[str] = []

        async def events():
            for number in range(3):
                yield f"data: {number}\n\n"

        async def after():
            done.append("record")

        @app.post("/v1/chat/completions")
        async def chat(request: dict[str, Any]) -> StreamingResponse:
            assert request == {"stream": True}
            return StreamingResponse(events(), media_type="text/event-stream", background=BackgroundTask(after))

        async with serving(app) as api:
            event = proxy_event("POST", "/v1/chat/completions", body='{"stream":true}')
            event["multiValueHeaders"]["Content-Type"] = ["application/json"]
            delivery = api.invoke(event)
            prelude = await delivery.prelude()
            assert prelude["headers"]["content-type"] == "text/event-stream; charset=utf-8"
            assert await delivery.rest() == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
            await api.idle()
        assert done == ["record"]


class TestFailures:
    SECRET = "sk-proj-4fJx0aQm7Lw2TbYc9VnZ"

    def failing(self, *messages: dict[str, Any]):
        async def app(scope, receive, send):
            for message in messages:
                await send(message)
            raise ValueError(f"key {self.SECRET} refused")

        return app

    async def test_before_the_response_the_client_gets_a_500_that_says_nothing_of_the_cause(self):
        async with serving(self.failing()) as api:
            prelude, received = await api.invoke(proxy_event()).whole()
        assert (prelude["statusCode"], prelude["headers"]["content-type"]) == (500, "application/json")
        error = json.loads(received)["error"]
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        assert self.SECRET[:8] not in received.decode()

    async def test_the_error_response_can_be_the_function_s_own(self):
        def hook(scope, error):
            return 503, [(b"x-path", scope["path"].encode())], type(error).__name__.encode()

        async with serving(self.failing(), error_response=hook) as api:
            prelude, received = await api.invoke(proxy_event(path="/v1/messages")).whole()
        assert (prelude["statusCode"], prelude["headers"], received) == (503, {"x-path": "/v1/messages"}, b"ValueError")

    async def test_an_error_response_that_fails_itself_gives_way_to_the_default(self):
        def hook(scope, error):
            raise KeyError("no dialect")

        async with serving(self.failing(), error_response=hook) as api:
            prelude, _ = await api.invoke(proxy_event()).whole()
        assert prelude["statusCode"] == 500

    async def test_after_the_response_began_the_error_stands_in_the_trailers(self):
        async with serving(self.failing(start(), body(b"half", more=True))) as api:
            delivery = api.invoke(proxy_event())
            prelude, received = await delivery.whole()
        assert (prelude["statusCode"], received) == (200, b"half")
        assert delivery.trailers["lambda-runtime-function-error-type"] == "Function.ResponseBroken"
        assert delivery.trailer_error()["errorMessage"] == "The response ended before it was complete."
        assert self.SECRET[:8] not in json.dumps(delivery.trailer_error())

    async def test_after_the_response_ended_nothing_is_added_to_it(self, caplog: pytest.LogCaptureFixture):
        async with serving(self.failing(start(), body(b"all"))) as api:
            delivery = api.invoke(proxy_event())
            assert (await delivery.whole())[1] == b"all"
            await api.idle()
        assert delivery.trailers == {}
        assert [record.message for record in caplog.records] == ["the app failed"]

    async def test_an_app_that_returns_without_answering_is_a_500(self):
        async with serving(answering()) as api:
            assert (await api.invoke(proxy_event()).whole())[0]["statusCode"] == 500

    async def test_an_app_that_returns_in_the_middle_breaks_the_response(self):
        async with serving(answering(start(), body(b"half", more=True))) as api:
            delivery = api.invoke(proxy_event())
            await delivery.whole()
        assert delivery.trailers["lambda-runtime-function-error-type"] == "Function.ResponseBroken"

    @pytest.mark.parametrize(
        "messages",
        [
            (body(b"early"),),
            ({"type": "http.response.pathsend", "path": "/etc/passwd"},),
            (start(200, [(b"x-large", b"x" * MAX_PRELUDE_BYTES)]),),
        ],
        ids=["body before start", "unknown message", "headers over 16 KB"],
    )
    async def test_what_cannot_be_sent_is_a_500(self, messages: tuple[dict[str, Any], ...]):
        async with serving(answering(*messages)) as api:
            assert (await api.invoke(proxy_event()).whole())[0]["statusCode"] == 500

    @pytest.mark.parametrize("extra", [start(), body(b"more")], ids=["second start", "body after the end"])
    async def test_what_comes_after_the_end_is_the_app_s_error_only(self, extra: dict[str, Any]):
        raised: list[BaseException] = []

        async def app(scope, receive, send):
            await send(start())
            await send(body(b"all"))
            try:
                await send(extra)
            except RuntimeError as error:
                raised.append(error)

        async with serving(app) as api:
            assert (await api.invoke(proxy_event()).whole())[1] == b"all"
            await api.idle()
        assert len(raised) == 1

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"warm": True},
            [],
            b"not json",
            {"resource": "/", "requestContext": {}},
            {"version": "2.0", "requestContext": {"http": {"sourceIp": "", "path": "/", "method": "GET"}}},
            {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/", "headers": {}},
            {"Records": [{"eventSource": "aws:dynamodb"}]},
            proxy_event("POST", body="no base64 at all!", isBase64Encoded=True),
        ],
        ids=["empty", "warm-up", "list", "not json", "no method", "http api", "load balancer", "stream", "broken body"],
    )
    async def test_other_events_are_answered_with_a_clear_error_and_the_loop_goes_on(self, event: Any):
        async with serving(answering(start(), body(b"ok"))) as api:
            other, request = api.invoke(event), api.invoke(proxy_event())
            assert (await request.whole())[1] == b"ok"
        assert other.error is not None
        assert other.error["errorType"] == "Function.UnsupportedEvent"
        assert other.error["errorMessage"].startswith("This function answers API Gateway only: ")
