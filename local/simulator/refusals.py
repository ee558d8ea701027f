"""How each vendor says no: status, type, code and message by kind.

The kinds that this program itself uses are in both tables. The words that clients are known to look for are the
vendors'; what surrounds them is ours. Messages take `{key}`, `{model}`, `{method}` and `{path}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

SHOWN_AT_START = 8
SHOWN_AT_END = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer. `code` and `param` exist in OpenAI's dialect only; a `page` is HTML from a proxy in front."""

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    page: bool = False

    def about(self, **facts: str) -> Refusal:
        """The refusal with the facts put into its message."""
        return replace(self, message=self.message.format_map(facts))


class Refused(Exception):
    """A request is answered with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


_INVALID = "invalid_request_error"

OPENAI: dict[str, Refusal] = {
    "bad_request": Refusal(400, _INVALID, "The request is not valid."),
    "invalid_json": Refusal(400, _INVALID, "We could not parse the JSON body of your request."),
    "context_length": Refusal(
        400,
        _INVALID,
        "This model's maximum context length is 128000 tokens, and the messages are longer.",
        "context_length_exceeded",
        "messages",
    ),
    "content_policy": Refusal(400, _INVALID, "Refused by the content policy.", "content_policy_violation"),
    "invalid_key": Refusal(
        401, _INVALID, "Incorrect API key provided: {key}. See the account's list of keys.", "invalid_api_key"
    ),
    "missing_key": Refusal(401, _INVALID, "You didn't provide an API key (Authorization: Bearer YOUR_KEY)."),
    "deactivated": Refusal(401, _INVALID, "The account of this key is deactivated.", "account_deactivated"),
    "payment_required": Refusal(402, "unknown_error", "Insufficient Balance", _INVALID),
    "forbidden": Refusal(403, _INVALID, "The project does not have access to model `{model}`.", "model_not_found"),
    "restricted": Refusal(
        403, _INVALID, "You have insufficient permissions for this operation. Missing scopes: api.model.read."
    ),
    "region": Refusal(
        403,
        "request_forbidden",
        "Country, region, or territory not supported",
        "unsupported_country_region_territory",
    ),
    "unknown_model": Refusal(
        404,
        _INVALID,
        "The model `{model}` does not exist or you do not have access to it.",
        "model_not_found",
    ),
    "unknown_path": Refusal(404, _INVALID, "Invalid URL ({method} {path})"),
    "method": Refusal(405, _INVALID, "Not allowed to {method} on {path}.", "method_not_supported"),
    "timeout": Refusal(408, "server_error", "The request took too long to arrive."),
    "conflict": Refusal(409, _INVALID, "The request conflicts with another one."),
    "too_large": Refusal(413, _INVALID, "The request body is too large.", "request_too_large"),
    "rate_limit": Refusal(
        429, "requests", "Rate limit reached for {model} on requests per min (RPM).", "rate_limit_exceeded"
    ),
    "token_rate_limit": Refusal(
        429, "tokens", "Rate limit reached for {model} on tokens per min (TPM).", "rate_limit_exceeded"
    ),
    "no_quota": Refusal(
        429,
        "insufficient_quota",
        "You exceeded your current quota: check the plan and its billing details.",
        "insufficient_quota",
    ),
    "server_error": Refusal(500, "server_error", "The server had an error while processing your request."),
    "bad_gateway": Refusal(502, "server_error", "Bad gateway", page=True),
    "overloaded": Refusal(503, "server_error", "The model is currently overloaded with other requests."),
    "gateway_timeout": Refusal(504, "server_error", "Gateway time-out", page=True),
    "site_overloaded": Refusal(529, "server_error", "Overloaded"),
}

ANTHROPIC: dict[str, Refusal] = {
    "bad_request": Refusal(400, _INVALID, "The request is not valid."),
    "invalid_json": Refusal(400, _INVALID, "The request body is not valid JSON."),
    "context_length": Refusal(400, _INVALID, "prompt is too long: 200001 tokens > 200000 maximum"),
    "content_policy": Refusal(400, _INVALID, "Output blocked by content filtering policy"),
    "no_quota": Refusal(400, _INVALID, "Your credit balance is too low to access the Anthropic API."),
    "missing_version": Refusal(400, _INVALID, "anthropic-version: header is required"),
    "unknown_version": Refusal(400, _INVALID, "anthropic-version: not a version of this API"),
    "invalid_key": Refusal(401, "authentication_error", "invalid x-api-key"),
    "invalid_bearer": Refusal(401, "authentication_error", "Invalid bearer token"),
    "missing_key": Refusal(401, "authentication_error", "x-api-key header is required"),
    "payment_required": Refusal(402, "billing_error", "The organization's billing needs attention."),
    "forbidden": Refusal(403, "permission_error", "The API key has no permission to use {model}."),
    "restricted": Refusal(403, "permission_error", "The API key has no permission to use this resource."),
    "unknown_model": Refusal(404, "not_found_error", "model: {model}"),
    "unknown_path": Refusal(404, "not_found_error", "Not Found"),
    "method": Refusal(405, _INVALID, "Method Not Allowed"),
    "timeout": Refusal(408, "timeout_error", "The request took too long to arrive."),
    "conflict": Refusal(409, "conflict_error", "The request conflicts with another one."),
    "too_large": Refusal(413, "request_too_large", "Request exceeds the maximum size"),
    "rate_limit": Refusal(429, "rate_limit_error", "The organization's rate limit would be exceeded."),
    "server_error": Refusal(500, "api_error", "Internal server error"),
    "bad_gateway": Refusal(502, "api_error", "Bad gateway", page=True),
    "unavailable": Refusal(503, "api_error", "Service unavailable"),
    "gateway_timeout": Refusal(504, "timeout_error", "The request timed out."),
    "overloaded": Refusal(529, "overloaded_error", "Overloaded"),
}


def is_known(wanted: str) -> bool:
    """Whether `wanted` is a kind of either vendor's refusals, or the status of an error."""
    return wanted in OPENAI or wanted in ANTHROPIC or (wanted.isdigit() and 400 <= int(wanted) <= 599)


def find(table: Mapping[str, Refusal], wanted: str) -> Refusal:
    """The refusal of a known kind (`no_quota`) or status (`429`: the first kind that has it, or a plain one).

    A kind that only the other vendor has is answered by this one's refusal of the same status.
    """
    if wanted in table:
        return table[wanted]
    status = int(wanted) if wanted.isdigit() else (OPENAI | ANTHROPIC)[wanted].status
    plain = Refusal(status, "api_error", _phrase(status))
    return next((each for each in table.values() if each.status == status), plain)


def masked(key: str) -> str:
    """A key as OpenAI repeats it in an error: its first eight characters, stars, its last four."""
    stars = "*" * max(1, len(key) - SHOWN_AT_START - SHOWN_AT_END)
    return f"{key[:SHOWN_AT_START]}{stars}{key[-SHOWN_AT_END:]}"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else f"Status {status}"
