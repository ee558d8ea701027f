"""The head of a streamed answer, as API Gateway (REST, Lambda proxy, response transfer mode STREAM) reads it.

One JSON object with `statusCode`, `headers` and `multiValueHeaders`, then 8 NUL bytes, then the body as it is.
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
MAX_PRELUDE_BYTES = 16 * 1024
"""API Gateway looks for the delimiter within the first 16 KB and answers 502 without it."""

_DELIMITER = b"\0" * 8


class PreludeTooLarge(ValueError):
    """The response's headers are larger than API Gateway takes in a streamed answer."""


def encode_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The prelude with its delimiter.

    A header that occurs once stands in `headers`, one that is repeated (several Set-Cookie) in `multiValueHeaders`
    with all its values: API Gateway merges the two. There is also a `cookies` list; using it as well would set each
    cookie twice.

    Raises:
        PreludeTooLarge: past 16 KB.
    """
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    single = {name: found[0] for name, found in values.items() if len(found) == 1}
    repeated = {name: found for name, found in values.items() if len(found) > 1}
    prelude = {"statusCode": status, "headers": single, "multiValueHeaders": repeated}
    encoded = json.dumps(prelude, separators=(",", ":")).encode() + _DELIMITER
    if len(encoded) > MAX_PRELUDE_BYTES:
        raise PreludeTooLarge(f"the response's headers take {len(encoded)} bytes of at most {MAX_PRELUDE_BYTES}")
    return encoded
