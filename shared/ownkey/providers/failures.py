"""What providers say instead of an answer, in whatever shape, as errors of our own tree.

The shapes seen: OpenAI's and Anthropic's `error` object, a bare string under `error`, `message` (AWS: or `Message`) or
`detail`, FastAPI's list of `detail`s, a list of errors, plain text, a proxy's HTML page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ownkey.domain.errors import (
    FOR_CLIENTS,
    CredentialsExhausted,
    ProviderError,
    ProviderFailure,
    ProviderInvalidResponse,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
)
from ownkey.domain.faults import BAD_KEY, OUT_OF_FUNDS
from ownkey.domain.scrub import scrub

MAX_MESSAGE_CHARS = 1_000
_MAX_NAME_CHARS = 100
_WORD = re.compile(r"[a-z_]{1,64}")
_MAX_RETRY_AFTER_S = 86_400.0

_CLASSES: Mapping[int, type[ProviderFailure]] = {
    401: CredentialsExhausted,
    402: CredentialsExhausted,
    403: CredentialsExhausted,
    407: ProviderError,
    408: ProviderTimeout,
    409: ProviderError,
    425: ProviderError,
    429: ProviderRateLimited,
    499: ProviderError,  # Google's CANCELLED, by itself
    503: ProviderOverloaded,
    504: ProviderTimeout,
    522: ProviderTimeout,
    524: ProviderTimeout,
    529: ProviderOverloaded,
}
"""Status → error, where its hundred does not say enough. Other 4xx are `ProviderRefused`, other 5xx `ProviderError`."""

_MESSAGE_NAMES = ("message", "Message", "msg", "detail")
_STATUSES: Mapping[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "requests": 429,
    "tokens": 429,
    "overloaded_error": 529,
    "timeout_error": 504,
    "invalid_request_error": 400,
    "content_filter": 400,
    **dict.fromkeys(
        (
            "invalid_prompt",
            "bio_policy",
            "misalignment_policy_violation",
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "image_content_policy_violation",
            "invalid_image_mode",
            "image_file_too_large",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "image_file_not_found",
        ),
        400,
    ),
}
"""The status an error inside a stream would have had, by its code or type."""

_PIN = "or pin the key that they are from (`provider.order`, one credential)."
_FIXES: Mapping[str, str] = {
    "DeploymentNotFound": "Correct the credential's deployment, or deploy the model under that name: a new deployment "
    "answers after some minutes.",
    "invalid_encrypted_content": f"Leave the `reasoning` items of other accounts and providers out of `input`, {_PIN}",
    "previous_response_not_found": f"Send the whole conversation in `input` instead of the ids of responses, {_PIN}",
}
"""Of a refusal, by its code, where its message leaves the reader alone (domain.faults.UNDER_ANOTHER_KEY)."""
_OF_THE_MODEL = re.compile(r"model_?error|invalid_model|model_not_(?:found|supported)", re.IGNORECASE)
"""The code or type of a 401 that says nothing of the key: a model that is not there (OpenCode Zen has 401 for all it
refuses). Taken for the key's, one client's misspelt model would take the key out of service for all."""
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


def decode_failure(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """An error answer of any status but 2xx."""
    values = _parsed(body)
    error = _read_error(values) or {"message": None if isinstance(values, dict | list) else _plain(body)}
    if isinstance(values, dict) and (
        json_type := values.get("__type")
    ):  # AWS's JSON: `com.amazon…#AccessDeniedException`
        error = {**error, "type": error.get("type") or str(json_type).rpartition("#")[2]}
    if aws_type := headers.get("x-amzn-errortype"):  # `AccessDeniedException:http://…`: the body has the message alone
        error = {**error, "type": error.get("type") or aws_type.partition(":")[0]}
    retry_after_s = read_retry_after(headers)
    if status < 400:
        return ProviderInvalidResponse(
            f"The provider answered with status {status} instead of an answer.", details={"provider_status": status}
        )
    return _failure(status, error, retry_after_s)


def failure_in_answer(values: Mapping[str, Any]) -> ProviderFailure:
    """An error that came with a good status: inside a stream, or as the body of a 200."""
    error = _read_error(values) or {}
    return _failure(_status_of(error), error, None)


def came_to_nothing(finish: str) -> ProviderFailure:
    """The model went wrong, by the provider's word for why it ended, and what it said is no answer.

    Mostly it is empty, and an agent that is told of an end stops there, or asks the same for ever (litellm 16651,
    21744; Wei-Shaw/sub2api 7098). Another try may do better.
    """
    return ProviderInvalidResponse(
        f"The model's answer came to nothing: {finish}.", fix="Try again: it may not happen twice."
    )


def read_retry_after(
    headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """Seconds to wait, of `retry-after-ms` or `retry-after` (seconds or an HTTP date); None where none can be read."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / per_second
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now()).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)


def _failure(status: int, error: Mapping[str, Any], retry_after_s: float | None) -> ProviderFailure:
    code, kind = _name(error.get("code")), _name(error.get("type"))
    message = _text(error.get("message")) or f"The provider answered with status {status}."
    details: dict[str, Any] = {
        name: value
        for name, value in (("provider_status", status), ("provider_code", code), ("provider_type", kind))
        if value is not None
    }
    if (acted_upon := error.get("details")) is not None:
        details[FOR_CLIENTS] = acted_upon
    if OUT_OF_FUNDS.search(f"{code} {kind} {message}") or (status == 400 and BAD_KEY.match(message)):
        return CredentialsExhausted(message, details=details)
    if status == 401 and any(_OF_THE_MODEL.fullmatch(name) for name in (code, kind) if name):
        status = 404
    failure = _CLASSES.get(status, ProviderError if status >= 500 else ProviderRefused)
    if failure is ProviderRefused:
        if found := _content_filter(error):
            details["content_filter_results"] = found
        refused = ProviderRefused(message, status=status, code=code, param=_name(error.get("param")), details=details)
        refused.fix = _FIXES.get(code or "", refused.fix)
        return refused
    return failure(message, retry_after_s=retry_after_s, details=details)


def _content_filter(error: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What Azure's filter found, by category; empty where it says nothing."""
    inner = error.get("innererror") or error.get("inner_error")
    told = inner if isinstance(inner, Mapping) else {}
    results = told.get("content_filter_result") or told.get("content_filter_results")
    found = results.items() if isinstance(results, Mapping) else ()
    return {name: _finding(each) for name, each in found if isinstance(each, Mapping) and _WORD.fullmatch(name)}


def _finding(values: Mapping[str, Any]) -> dict[str, Any]:
    stated = {name: values[name] for name in ("filtered", "detected", "severity") if name in values}
    return {name: each for name, each in stated.items() if isinstance(each, bool) or _WORD.fullmatch(str(each))}


def _status_of(error: Mapping[str, Any]) -> int:
    for name in ("status", "code", "type"):
        value = error.get(name)
        status = _STATUSES.get(value) if isinstance(value, str) else value
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return 500


def _read_error(values: Any) -> dict[str, Any] | None:
    """The error's members, whatever holds them; None where there is nothing to read."""
    if isinstance(values, list) and values:
        return _read_error(values[0])
    if not isinstance(values, Mapping):
        return None
    error = values.get("error") or values.get("errors") or values
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, str):
        return {"message": error, "code": values.get("code"), "type": values.get("type")}
    if not isinstance(error, Mapping):
        return None
    message = next((error[name] for name in _MESSAGE_NAMES if error.get(name)), None) or values.get("message")
    if isinstance(message, list) and message:
        first = message[0]
        message = first.get("msg") if isinstance(first, Mapping) else first
    found = {name: error.get(name) for name in ("code", "type", "param", "status", "innererror", "inner_error")}
    if acted_upon := _acted_upon(error.get("details")):
        found["details"] = acted_upon
    return {**found, "message": message} if message or any(found.values()) else None


def _acted_upon(details: Any) -> dict[str, Any] | None:
    """What Anthropic's SDKs read of an error to go on by themselves (`anthropic.threads`)."""
    code = _name(details.get("error_code")) if isinstance(details, Mapping) else None
    return {"error_code": code} if code else None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _plain(body: bytes) -> str | None:
    text = body[: 4 * MAX_MESSAGE_CHARS].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f"The provider answered with a web page: {title[1].strip()}" if title else None
    return text


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return None
    printable = "".join(char if char.isprintable() else " " for char in value[: 2 * MAX_MESSAGE_CHARS])
    return scrub(printable)[:MAX_MESSAGE_CHARS].strip()


def _name(value: Any) -> str | None:
    """A code, type or parameter: a short text, or a number as one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value[:_MAX_NAME_CHARS]) if isinstance(value, str) else None
