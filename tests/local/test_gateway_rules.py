"""API Gateway's rules that need no connection: routes, proxy answers, its own answers, IAM on Invoke."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local import gateway_responses
from local.deployment import GatewayResponse, Route, Statement, function_name
from local.iam import allows
from local.proxy import MalformedAnswer, PreludeReader, read_answer
from local.routes import Router


def route(path: str, method: str = "ANY") -> Route:
    return Route(path, method, "Function", streamed=False, timeout_s=29)


ROUTES = [
    route("/v1/{proxy+}"),
    route("/v1/models", "GET"),
    route("/v1/models/{id}", "GET"),
    route("/v1/models/{id}/parts"),
    route("/v1/{kind}/list"),
    route("/", "GET"),
]


@pytest.mark.parametrize(
    ("method", "path", "expected", "parameters"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/v1/models", "/v1/models", {}),
        ("GET", "/v1/models/", "/v1/models", {}),
        ("GET", "/v1/models/gpt%2F4", "/v1/models/{id}", {"id": "gpt/4"}),
        ("PUT", "/v1/models/x/parts", "/v1/models/{id}/parts", {"id": "x"}),
        ("PUT", "/v1/models/x/other", "/v1/{proxy+}", {"proxy": "models/x/other"}),
        ("PUT", "/v1/files/list", "/v1/{kind}/list", {"kind": "files"}),
        ("PUT", "/v1/chat/completions", "/v1/{proxy+}", {"proxy": "chat/completions"}),
    ],
)
def test_routes(method: str, path: str, expected: str, parameters: dict[str, str]) -> None:
    found = Router(ROUTES).find(method, path)
    assert found is not None
    assert (found[0].path, found[1]) == (expected, parameters)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/models"), ("GET", "/v1"), ("GET", "/v2/x"), ("POST", "/")])
def test_no_route(method: str, path: str) -> None:
    assert Router(ROUTES).find(method, path) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b'{"statusCode": "many"}',
        b'{"statusCode": 99}',
        b'{"statusCode": 200, "headers": ["A"]}',
        b'{"statusCode": 200, "headers": {"A": "1\\r\\nB: 2"}}',
        b'{"statusCode": 200, "body": {"a": 1}}',
        b'{"statusCode": 200, "unknown": 1}',
        b'{"statusCode": 200, "body": "%", "isBase64Encoded": true}',
    ],
)
def test_an_answer_that_is_no_proxy_answer(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read_answer(answer, ["*/*"])


def test_an_answer_may_leave_everything_out() -> None:
    answer = read_answer(b"{}", [])
    assert (answer.status, answer.headers, answer.body) == (200, [("Content-Type", "application/json")], b"")


def test_values_of_headers_become_text() -> None:
    answer = read_answer(b'{"headers": {"content-type": "text/plain", "A": 1, "B": true, "Te": "x", "Via": "y"}}', [])
    assert answer.headers == [("content-type", "text/plain"), ("A", "1"), ("B", "true")]


@pytest.mark.parametrize(
    ("kinds", "decoded"),
    [(["image~1png"], True), (["image/*"], True), (["*/*"], True), (["text/plain"], False), ([], False)],
)
def test_when_a_body_in_base64_is_decoded(kinds: list[str], decoded: bool) -> None:
    payload: dict[str, Any] = {"headers": {"Content-Type": "image/png; q=1"}, "body": "aGk=", "isBase64Encoded": True}
    assert read_answer(json.dumps(payload).encode(), kinds).body == (b"hi" if decoded else b"aGk=")


def test_a_prelude_without_end() -> None:
    reader = PreludeReader()
    assert reader.feed(b"x" * 60_000) is None
    with pytest.raises(MalformedAnswer):
        reader.feed(b"x" * 60_000)


def test_a_prelude_that_is_not_json() -> None:
    with pytest.raises(MalformedAnswer):
        PreludeReader().feed(b"<html>" + b"\0" * 8)


def test_api_gateways_own_words() -> None:
    status, headers, body = gateway_responses.render(gateway_responses.TIMED_OUT, {}, {})
    assert (status, json.loads(body)) == (504, {"message": "Endpoint request timed out"})
    assert headers == [("Content-Type", "application/json")]


def test_the_templates_words_for_a_kind_before_those_for_its_class() -> None:
    kind = GatewayResponse(418, {"X-A": "'fixed'", "X-B": "context.requestId"}, '{"id":"$context.requestId"}')
    default = GatewayResponse(None, {}, '{"default":$context.error.messageString,"kind":"$context.error.responseType"}')
    responses = {"REQUEST_TOO_LARGE": kind, "DEFAULT_4XX": default}

    status, headers, body = gateway_responses.render(gateway_responses.TOO_LARGE, responses, {"requestId": "r-1"})
    assert (status, body) == (418, b'{"id":"r-1"}')
    assert headers[1:] == [("X-A", "fixed"), ("X-B", "r-1")]

    status, _, body = gateway_responses.render(gateway_responses.NO_ROUTE, responses, {})
    assert status == 403
    assert json.loads(body) == {"default": "Missing Authentication Token", "kind": "MISSING_AUTHENTICATION_TOKEN"}

    status, _, body = gateway_responses.render(gateway_responses.FUNCTION_FAILED, responses, {})
    assert (status, json.loads(body)) == (502, {"message": "Internal server error"})


def statement(effect: str, action: str, resource: str) -> Statement:
    return Statement(effect, (action,), (resource,), {})


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([statement("Allow", "lambda:InvokeFunction", "arn:f")], True),
        ([statement("Allow", "lambda:*", "*")], True),
        ([statement("Allow", "lambda:InvokeFunction", "arn:g")], False),
        ([statement("Allow", "dynamodb:*", "*")], False),
        ([statement("Allow", "*", "*"), statement("Deny", "lambda:invokefunction", "arn:f")], False),
    ],
)
def test_who_may_invoke(statements: list[Statement], allowed: bool) -> None:
    assert allows(statements, "lambda:InvokeFunction", "arn:f") is allowed


@pytest.mark.parametrize(
    "name",
    ["f", "f:live", "arn:aws:lambda:us-east-1:1:function:f", "arn:aws:lambda:us-east-1:1:function:f:live"],
)
def test_the_name_in_what_stands_for_a_function(name: str) -> None:
    assert function_name(name) == "f"
