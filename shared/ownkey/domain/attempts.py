"""One use of one credential for one request: the record from which all money and all usage follow.

```
           intent                         end                       stream function
(none) ────────────▶ started ────────────────────────────▶ ended ──────────────────▶ ended, billed_at
                        │     inference, in `finally`        ▲
                        └──── upkeep, past `expires_at` ─────┘  outcome `abandoned`
```

The intent is written while the connection to the provider is being made, so a function that is killed leaves a trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from ownkey.domain.credentials import CredentialSource
from ownkey.domain.limits import Claim
from ownkey.domain.savings import NO_SAVINGS, Savings
from ownkey.domain.sharing import Donation
from ownkey.domain.usage import Terms, Usage, UsageSource

RECORD_SCHEMA = 1


class AttemptState(StrEnum):
    """`state` of the record's item. The stream function takes `ended` ones without `billed_at`."""

    STARTED = "started"
    ENDED = "ended"


class Outcome(StrEnum):
    """How an attempt ended. Each is recorded and priced once."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """The provider answered with an error: nothing was generated."""
    FAILED = "failed"
    """No usable answer: out of reach, timeout, invalid body."""
    BROKEN = "broken"
    """The stream ended before its end, after the first byte."""
    CANCELLED = "cancelled"
    """The client went away; the provider was read to its end for the real usage where possible."""
    ABANDONED = "abandoned"
    """The function died; closed by upkeep with estimated usage."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What all attempts of a request share."""

    request_id: str
    account_id: str
    gateway_key_id: str
    surface: str
    """`chat`, `messages`, … (`domain.surfaces`)."""
    requested_model: str
    streamed: bool
    app: str | None = None
    """`HTTP-Referer`, else `X-Title`."""
    app_title: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptStart:
    """The intent: everything known before the provider answers."""

    request: RequestFacts
    number: int
    """From 0, in the order tried."""
    provider_id: str
    model_id: str
    """As the provider names it."""
    source: CredentialSource
    credential_id: str
    credential_version: int
    credential_alias: str
    started_at: str
    expires_at_s: int
    """Epoch seconds: the function's own deadline. Later, no end can come from it."""
    estimated_usage: Usage = field(default_factory=Usage)
    """Input counted from the request: what an abandoned attempt is priced at."""
    estimated_cost_nanousd: int = 0
    estimated_charge_nanousd: int = 0
    """What an abandoned attempt is charged: 0 on BYOK."""
    price_version: str | None = None
    """None: the model has no known price; cost is then 0 and `unpriced` is said."""
    margin_percent: Decimal | None = None
    """The operator's, on the published price (platform only)."""
    hold_nanousd: int = 0
    """Credits held (platform only)."""
    hold_shard: int = 0
    """In which of the account's sub-balances."""
    claims: tuple[Claim, ...] = ()
    """What it has to do with the account's limits."""
    donation: Donation | None = None
    """Of the account whose shared credential serves. What the record says of the credential is then neutral."""
    dropped: tuple[str, ...] = ()
    """Members of the client's request, by its own names, that the provider's dialect could not express."""

    @property
    def attempt_id(self) -> str:
        """`<request id>#<number, two digits>`: unique, sorts in order."""
        return f"{self.request.request_id}#{self.number:02d}"


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """What became of it."""

    outcome: Outcome
    ended_at: str
    status: int | None
    """The provider's HTTP status; None where there was no answer."""
    usage: Usage
    usage_source: UsageSource
    cost_nanousd: int
    """The provider's cost by the price list."""
    charge_nanousd: int
    """What the account is charged: 0 on BYOK, cost + margin on platform."""
    terms: Terms | None = None
    """Under which the usage was priced, with the address's own; None: nobody knows, the function died."""
    error_code: str | None = None
    finish_reason: str | None = None
    upstream_id: str | None = None
    """The provider's own request id, for its support and for reconciliation."""
    response_model: str | None = None
    latency_ms: int = 0
    ttft_ms: int | None = None
    """To the first byte of the answer."""
    savings: Savings = NO_SAVINGS
    """Against the baseline, by the prices of its day; an attempt that did not succeed saves nothing."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """The whole record as read back: `end` is None while it is only an intent."""

    start: AttemptStart
    end: AttemptEnd | None
    billed_at: str | None = None
