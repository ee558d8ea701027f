"""Google's errors: `{error: {code, message, status, details}}`, of which `details` has what decides.

`google.rpc.ErrorInfo` says why (a bad key is a 400 with the reason API_KEY_INVALID), `google.rpc.RetryInfo` how long to
wait. Streams that are no event streams have the object in a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure
from ownkey.providers import failures
from ownkey.providers.counts import member, string

_BAD_KEY = ("API_KEY_INVALID", "API_KEY_EXPIRED")
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_OF_THE_ACCOUNT = re.compile(
    r"location is not supported|enable billing|not allowed to use Publisher Model", re.IGNORECASE
)
"""In a FAILED_PRECONDITION: what the request asks is well, and another key or provider may serve it."""
_DURATION = re.compile(r"(\d{1,7}(?:\.\d{1,9})?)s")


def decode_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """An error answer of any status but 2xx."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    error = _error_in(values)
    return _restated(status, headers, error) if error else failures.decode_failure(status, headers, body)


def failure_in_answer(values: Mapping[str, Any]) -> ProviderFailure:
    """An error that came with a good status."""
    error = _error_in(values)
    code = error.get("code")
    if not isinstance(code, int) or not 400 <= code <= 599:
        return failures.failure_in_answer(values)
    return _restated(code, {}, error)


def _error_in(values: Any) -> Mapping[str, Any]:
    if isinstance(values, list) and values:
        values = values[0]
    return member(values, "error") if isinstance(values, dict) else {}


def _restated(status: int, headers: Mapping[str, str], error: Mapping[str, Any]) -> ProviderFailure:
    """The same with the reason as its code and the status' word as its type: what `failures` reads."""
    reason = next(_details(error, "reason"), None)
    message = string(error.get("message"))
    said = {
        "message": message,
        "code": reason or string(error.get("code")),
        "type": string(error.get("status")) or string(error.get("type")),  # at Vertex AI a maker's own, too
    }
    wait = next(filter(None, map(_DURATION.fullmatch, _details(error, "retryDelay"))), None)
    if wait and failures.read_retry_after(headers) is None:
        headers = {**headers, "retry-after": wait[1]}
    told = _UNAUTHORIZED if reason in _BAD_KEY else status
    if error.get("status") == "FAILED_PRECONDITION" and _OF_THE_ACCOUNT.search(message or ""):
        told = _FORBIDDEN
    failure = failures.decode_failure(told, headers, json.dumps({"error": said}).encode())
    failure.details["provider_status"] = status
    return failure


def _details(error: Mapping[str, Any], name: str) -> Iterator[str]:
    details = error.get("details")
    objects = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    return filter(None, (string(each.get(name)) for each in objects))
