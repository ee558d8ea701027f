"""What API Gateway answers by itself, in the template's words where it has any. No I/O.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.deployment import GatewayResponse

_VARIABLE = re.compile(r"\$context\.([A-Za-z.]+)")
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason for API Gateway to answer by itself. `status` and `message` are its own, `kind` the response type."""

    kind: str
    status: int
    message: str


NO_ROUTE = Failure("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")
# An unknown stage is refused before there is an API whose responses could be used.
NO_STAGE = Failure("FORBIDDEN", 403, "Forbidden")
TOO_LARGE = Failure("REQUEST_TOO_LARGE", 413, "Request Too Long")
TOO_MANY = Failure("THROTTLED", 429, "Too Many Requests")
FUNCTION_FAILED = Failure("DEFAULT_5XX", 502, "Internal server error")
FUNCTION_THROTTLED = Failure("DEFAULT_5XX", 500, "Internal server error")
TIMED_OUT = Failure("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out")


def render(
    failure: Failure, responses: Mapping[str, GatewayResponse], context: Mapping[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body. `context` holds the values of `$context` variables that the template may use."""
    default = "DEFAULT_4XX" if failure.status < 500 else "DEFAULT_5XX"
    response = responses.get(failure.kind) or responses.get(default) or GatewayResponse(None, {}, None)
    if failure is NO_STAGE:
        response = GatewayResponse(None, {}, None)
    known = {
        **context,
        "error.message": failure.message,
        "error.messageString": json.dumps(failure.message),
        "error.responseType": failure.kind,
    }
    headers = [("Content-Type", "application/json")]
    headers += [(name, _value(value, known)) for name, value in response.headers.items()]
    template = response.template or _DEFAULT_TEMPLATE
    body = _VARIABLE.sub(lambda match: known.get(match[1], ""), template)
    return response.status or failure.status, headers, body.encode()


def _value(value: str, known: Mapping[str, str]) -> str:
    if value.startswith("'"):
        return value.strip("'")
    return known.get(value.removeprefix("context."), "")
