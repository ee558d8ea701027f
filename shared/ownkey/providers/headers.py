"""Which of a provider's response headers reach the client, by allow-list; a key that one of them repeats does not."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.scrub import scrub

_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
_NAMES = frozenset({"openai-processing-ms", "openai-version"})
_OWNER_NAMES = frozenset({"openai-organization", "openai-project", "anthropic-organization-id"})
"""Who owns the key: told to its owner, not to those whom the operator's key serves."""
_REQUEST_IDS = ("x-request-id", "request-id", "x-generation-id", "x-amzn-requestid")
_MAX_CHARS = 200


def forwarded_headers(headers: Mapping[str, str], *, owner: bool) -> dict[str, str]:
    """Rate limits and timings; with `owner` also whose key it was. Names in lower case."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        if name in _NAMES or name.startswith(_PREFIXES) or (owner and name in _OWNER_NAMES):
            found[name] = value[:_MAX_CHARS]
    together = "\n".join(found.values())
    if scrub(together) == together:  # one look at all of them is the usual end of it
        return found
    return {name: scrub(value) for name, value in found.items()}


def upstream_request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's own id of the request: what its support asks for."""
    return next((scrub(headers[name][:_MAX_CHARS]) for name in _REQUEST_IDS if name in headers), None)
