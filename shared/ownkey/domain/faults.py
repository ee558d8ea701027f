"""What a failure says of its credential or its provider (pure). What follows from that is `domain.health`'s."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ownkey.domain.errors import (
    CredentialsExhausted,
    CredentialUndecryptable,
    OwnkeyError,
    ProviderError,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)

MAX_REASON_CHARS = 200

OUT_OF_FUNDS = re.compile(
    r"insufficient_quota|credit balance is too low|insufficient[_ ]balance|prepayment credits are depleted"
    r"|exceeded_current_quota_error|\bArrearage\b|AccountOverdueError|not[_ ]enough[_ ]balance"
    r"|CreditsError|(?:Monthly|User)LimitError",
    re.IGNORECASE,
)
"""In an error's code, type or message: the key's account has no money left, whatever the status (OpenAI and Google 429,
Anthropic 400; Moonshot 429, Alibaba 400, Volcengine and Novita 403, OpenCode Zen 401)."""
BAD_KEY = re.compile(r"(?:incorrect|invalid) api key|api key (?:is )?(?:not valid|invalid|expired)", re.IGNORECASE)
"""How the message of a 400 begins that says so of the key (xAI). Begins: within it a client's own words may stand, and
those must not take a key out of service."""
UNDER_ANOTHER_KEY = frozenset({"invalid_encrypted_content", "previous_response_not_found"})
"""Codes of a refusal (OpenAI, Azure): what the request gives back was encrypted, or is stored, for another account."""
_OF_THE_CONTENT = re.compile(r"\bflagged\b|moderation|content[_ ]polic|prompt injection", re.IGNORECASE)
"""In a 403: what is forbidden is this request's text, not the model (OpenRouter's moderation)."""


class FaultKind(StrEnum):
    """What went wrong, as far as health goes: a mark's `code`."""

    REFUSED = "refused"
    """The provider does not take the key."""
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a kind of fault
    """It does not take the token that was had for the key."""
    OUT_OF_FUNDS = "out_of_funds"
    FORBIDDEN = "forbidden"
    """The key may not use the model."""
    RATE_LIMITED = "rate_limited"
    UNDECRYPTABLE = "undecryptable"
    FAILING = "failing"
    """The provider itself fails, or is out of reach."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure, as far as it says something of a credential or a provider."""

    kind: FaultKind
    reason: str | None = None
    """In the provider's words, scrubbed."""
    wait_ms: int | None = None
    """What the provider says to wait."""


def fault_of(error: OwnkeyError, *, by_token: bool = False) -> Fault | None:
    """What a failure says of its credential or its provider; None: nothing.

    Args:
        by_token: What the provider saw was a token that the credential had been exchanged for.
    """
    status = error.details.get("provider_status")
    if isinstance(error, CredentialsExhausted):
        said = f"{error.details.get('provider_code')} {error.details.get('provider_type')} {error.message}"
        if status == 402 or OUT_OF_FUNDS.search(said):
            return _fault(FaultKind.OUT_OF_FUNDS, error)
        if status == 403:
            return None if _OF_THE_CONTENT.search(said) else _fault(FaultKind.FORBIDDEN, error)
        return _fault(FaultKind.TOKEN_REFUSED if by_token else FaultKind.REFUSED, error)
    if isinstance(error, ProviderError):
        failing = not isinstance(status, int) or status >= 500
        return _fault(FaultKind.FAILING, error) if failing else None
    kind = next((kind for cause, kind in _KINDS if isinstance(error, cause)), None)
    return None if kind is None else _fault(kind, error)


def shows_life(error: OwnkeyError) -> bool:
    """Whether the provider is well: it answered, if only to refuse."""
    return isinstance(error, CredentialsExhausted | ProviderRateLimited | ProviderRefused)


def _fault(kind: FaultKind, error: OwnkeyError) -> Fault:
    wait_ms = None if error.retry_after_s is None else round(error.retry_after_s * 1000)
    return Fault(kind, error.message[:MAX_REASON_CHARS], wait_ms)


_KINDS: tuple[tuple[type[OwnkeyError], FaultKind], ...] = (
    (ProviderRateLimited, FaultKind.RATE_LIMITED),
    (CredentialUndecryptable, FaultKind.UNDECRYPTABLE),
    (ProviderOverloaded, FaultKind.FAILING),
    (ProviderTimeout, FaultKind.FAILING),
    (ProviderUnreachable, FaultKind.FAILING),
)
