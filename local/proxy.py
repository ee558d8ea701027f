"""REST proxy events out, proxy answers in: API Gateway's side of a Lambda proxy integration. No I/O.

The format is version 1.0; which headers are dropped or renamed is API Gateway's own table:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from local.deployment import Api, Route
from local.http11 import RequestHead

Json = dict[str, Any]

_NEVER_REACHES_THE_FUNCTION = """
    connection content-length content-md5 expect max-forwards proxy-authenticate server te trailer transfer-encoding
    upgrade www-authenticate
"""
_NEVER_REACHES_THE_CLIENT = "expect host keep-alive proxy-authenticate te trailer transfer-encoding upgrade via"
_REACHES_THE_CLIENT_RENAMED = """
    authorization connection content-length content-md5 date max-forwards server user-agent www-authenticate
"""
_UNKNOWN_IDENTITY = """
    accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType cognitoIdentityId
    cognitoIdentityPoolId principalOrgId user userArn
"""
_DROPPED_FROM_REQUEST = frozenset(_NEVER_REACHES_THE_FUNCTION.split())
_DROPPED_FROM_ANSWER = frozenset(_NEVER_REACHES_THE_CLIENT.split())
_RENAMED_IN_ANSWER = frozenset(_REACHES_THE_CLIENT_RENAMED.split())
_NOBODY = dict.fromkeys(_UNKNOWN_IDENTITY.split())
_PRELUDE_END = b"\0" * 8
_MAX_PRELUDE = 64 * 1024
_TOP_LEVEL = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies"})


class MalformedAnswer(Exception):
    """The function's answer is not what API Gateway takes from a Lambda function."""


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """An answer as the client gets it: status, headers in order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Context:
    """What API Gateway knows of a request before it asks the function."""

    api: Api
    account_id: str
    request_id: str
    extended_request_id: str
    trace_id: str
    source_ip: str
    received_at_s: float


def proxy_event(
    context: Context, head: RequestHead, path: str, query: str, route: Route, parameters: Mapping[str, str], body: bytes
) -> bytes:
    """The event for the function, as JSON. `path` is without the stage, as the client sent it."""
    headers = list(_request_headers(context, head))
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    arguments: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        arguments.setdefault(name, []).append(value)
    binary = _is_binary(head.get("content-type"), context.api.binary_media_types)
    event = {
        "resource": route.path,
        "path": path,
        "httpMethod": head.method,
        "headers": {name: last[-1] for name, last in values.items()},
        "multiValueHeaders": values,
        "queryStringParameters": {name: last[-1] for name, last in arguments.items()} or None,
        "multiValueQueryStringParameters": arguments or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": _request_context(context, head, path, route),
        "body": _event_body(body, binary),
        "isBase64Encoded": bool(body) and binary,
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def read_answer(payload: bytes, binary_media_types: Iterable[str]) -> ProxyAnswer:
    """A buffered integration's answer.

    Raises:
        MalformedAnswer: it is not a proxy answer.
    """
    answer = _loaded(payload)
    if not answer.keys() <= _TOP_LEVEL:
        raise MalformedAnswer("fields that a proxy answer does not have")
    status, headers = _head(answer)
    text = answer.get("body")
    if text is not None and not isinstance(text, str):
        raise MalformedAnswer("body is not text")
    body = (text or "").encode()
    content_type = next((value for name, value in headers if name.lower() == "content-type"), None)
    if content_type is None:
        headers.append(("Content-Type", "application/json"))
    if answer.get("isBase64Encoded") and _is_binary(content_type or "application/json", binary_media_types):
        body = _from_base64(body)
    return ProxyAnswer(status, headers, body)


class PreludeReader:
    """Reads the beginning of a streamed answer: JSON, eight NUL bytes, then the body."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[ProxyAnswer, bytes] | None:
        """The head (its body empty) and what of the body is there already, once the prelude is complete.

        Raises:
            MalformedAnswer: what comes is not a prelude.
        """
        self._buffer += data
        end = self._buffer.find(_PRELUDE_END)
        if end < 0:
            if len(self._buffer) > _MAX_PRELUDE:
                raise MalformedAnswer("no prelude")
            return None
        status, headers = _head(_loaded(self._buffer[:end]))
        return ProxyAnswer(status, headers, b""), self._buffer[end + len(_PRELUDE_END) :]


def _request_headers(context: Context, head: RequestHead) -> Iterable[tuple[str, str]]:
    forwarded = []
    for name, value in head.headers:
        lower = name.lower()
        if lower == "x-forwarded-for":
            forwarded.append(value)
        elif lower not in _DROPPED_FROM_REQUEST and not lower.startswith("x-forwarded-p"):
            yield name, value
    yield "X-Amzn-Trace-Id", context.trace_id
    yield "X-Forwarded-For", ", ".join([*forwarded, context.source_ip])
    port = head.get("host").rpartition(":")[2]
    yield "X-Forwarded-Port", port if port.isdecimal() else "80"
    yield "X-Forwarded-Proto", "http"


def _request_context(context: Context, head: RequestHead, path: str, route: Route) -> Json:
    host = head.get("host")
    when = datetime.fromtimestamp(context.received_at_s, UTC)
    return {
        "accountId": context.account_id,
        "apiId": context.api.id,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "extendedRequestId": context.extended_request_id,
        "httpMethod": head.method,
        "identity": _NOBODY | {"sourceIp": context.source_ip, "userAgent": head.get("user-agent") or None},
        "path": f"/{context.api.stage}{path}",
        "protocol": "HTTP/1.0" if head.http_1_0 else "HTTP/1.1",
        "requestId": context.request_id,
        "requestTime": when.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(context.received_at_s * 1000),
        "resourceId": route.path,
        "resourcePath": route.path,
        "stage": context.api.stage,
    }


def _event_body(body: bytes, binary: bool) -> str | None:
    if not body:
        return None
    return base64.b64encode(body).decode() if binary else body.decode("utf-8", "replace")


def _is_binary(content_type: str, binary_media_types: Iterable[str]) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return any(_matches(media_type, kind.replace("~1", "/").lower()) for kind in binary_media_types)


def _matches(media_type: str, kind: str) -> bool:
    if kind == "*/*":
        return True
    return media_type.startswith(kind[:-1]) if kind.endswith("/*") else media_type == kind


def _loaded(payload: bytes) -> Json:
    try:
        answer = json.loads(payload)
    except ValueError:
        raise MalformedAnswer("not JSON") from None
    if not isinstance(answer, dict):
        raise MalformedAnswer("not an object")
    return answer


def _head(answer: Json) -> tuple[int, list[tuple[str, str]]]:
    try:
        status = int(answer.get("statusCode", 200))
        single: Mapping[str, Any] = answer.get("headers") or {}
        multiple: Mapping[str, list[Any]] = answer.get("multiValueHeaders") or {}
        fields = [(name, value) for name, value in single.items() if name not in multiple]
        fields += [(name, value) for name, values in multiple.items() for value in values]
    except (AttributeError, TypeError, ValueError):
        raise MalformedAnswer("status or headers are not as API Gateway takes them") from None
    if not 100 <= status <= 599:
        raise MalformedAnswer("no such status")
    return status, list(_answer_headers(fields))


def _answer_headers(fields: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    for name, value in fields:
        lower = name.lower()
        if lower in _DROPPED_FROM_ANSWER:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "\r" in text or "\n" in text:
            raise MalformedAnswer("a header with a line break")
        yield (f"x-amzn-Remapped-{name}" if lower in _RENAMED_IN_ANSWER else name), text


def _from_base64(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise MalformedAnswer("body is not base64") from None
