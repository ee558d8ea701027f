"""What a token endpoint answers: a token, or why there is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import CredentialsExhausted, ProviderFailure, ProviderInvalidResponse, ProviderRefused
from ownkey.domain.scrub import scrub
from ownkey.domain.secrets import Secret
from ownkey.providers.exchanges.grant import AccessToken
from ownkey.providers.failures import decode_failure

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750: what may follow `Bearer` in a header."""
_MAX_LIFETIME_S = 86_400.0
_MAX_SAID_CHARS = 500


def read_token(vendor: str, status: int, headers: Mapping[str, str], body: bytes) -> AccessToken:
    """The token of an answer.

    Raises:
        CredentialsExhausted: the endpoint refused this credential: its words, scrubbed.
        ProviderFailure: it says nothing of the credential: a rate limit, a failure, an answer that cannot be read.
    """
    members = _members(body)
    if not 200 <= status < 300:
        raise _refusal(vendor, members, decode_failure(status, headers, body))
    token, lifetime_s = members.get("access_token"), _lifetime_s(members.get("expires_in"))
    kind = members.get("token_type", "Bearer")
    if not isinstance(token, str) or not _BEARER.fullmatch(token) or lifetime_s is None:
        raise ProviderInvalidResponse(f"{vendor}'s token endpoint answered without a token that can be used.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderInvalidResponse(f"{vendor}'s token endpoint gave a token of a kind that is not known.")
    return AccessToken(Secret(token), lifetime_s)


def _members(body: bytes) -> Mapping[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _lifetime_s(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(float(value), _MAX_LIFETIME_S) if math.isfinite(value) and value > 0 else None


def _refusal(vendor: str, members: Mapping[str, Any], failure: ProviderFailure) -> ProviderFailure:
    """Whatever 4xx it is, it refuses the credential: there is nothing else in such a request."""
    if not isinstance(failure, CredentialsExhausted | ProviderRefused):
        return failure
    said = _said(members) or failure.message
    return CredentialsExhausted(
        f"{vendor}'s token endpoint refused: {said}",
        fix="Check what the credential names (ids, audience, key) and the vendor's rule for it.",
        details=failure.details,
    )


def _said(members: Mapping[str, Any]) -> str | None:
    """OAuth's error code and description (RFC 6749, 5.2); None where the error has another shape."""
    code, text = members.get("error"), members.get("error_description")
    if not isinstance(code, str):
        return None
    said = f"{code}: {text}" if isinstance(text, str) and text else code
    printable = "".join(char if char.isprintable() else " " for char in said[: 2 * _MAX_SAID_CHARS])
    return scrub(printable)[:_MAX_SAID_CHARS]
