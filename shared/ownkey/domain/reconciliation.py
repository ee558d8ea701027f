"""Comparing what was recorded with what a provider says was used and charged: the nouns of it.

```
the provider's report          ReportLine (day, API key, model: usage, requests), Charge (day, API key: what was billed)
its list of API keys           ProviderKey (id, hint)          matched to credentials by their masks
what was recorded              Recorded (day, credential, model)
                                   │
                                   ▼  ledger.reconcile
a row a day and credential     Row: variance, what explains it, what nothing explains
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ownkey.domain.usage import Usage

LEAK_THRESHOLD_NANOUSD = 1_000_000_000
"""What may stay unexplained of one credential in one reconciliation before the alarm, unless the account says
otherwise."""
MAX_DAYS = 31
"""Of one reconciliation: the most that providers put into one answer."""
LIFE_DAYS = 400
"""How long results are kept."""
LEAK_LIFE_DAYS = 90
"""How long a credential's card shows what no record explained, where nobody rotates it before."""


@dataclass(frozen=True, slots=True)
class ReportLine:
    """What a provider says was used: one day (UTC), API key and model."""

    day: str
    api_key_id: str | None
    """The provider's. None: it does not say."""
    model: str | None
    usage: Usage
    calls: int = 0
    """Requests, where it counts them."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a provider says it charges for: one day, and the API key where it says."""

    day: str
    api_key_id: str | None
    amount_nanousd: int
    about: str | None = None
    """In the provider's words: a line of its bill."""


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """An API key as the provider lists it: never the key."""

    id: str
    hint: str
    """What it shows of it: `sk-ant-api03-R2D...igAA`."""
    name: str = ""


@dataclass(slots=True)
class Recorded:
    """What Ownkey recorded of one credential and model on one day. Amounts in nano-dollars."""

    attempts: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    cost: int = 0
    mean_of: int = 0
    """Attempts whose usage the provider reported, and that cost something."""
    estimated: int = 0
    """Attempts whose usage is an estimate, and what they were priced at."""
    estimated_cost: int = 0
    under_way: int = 0
    """Attempts without an end, and what they were expected to cost at least."""
    under_way_cost: int = 0
    failed: int = 0
    """Attempts without a usable answer: the provider may have counted them."""
    failed_cost: int = 0
    midnight_cost: int = 0
    """Of attempts that began and ended on two days."""
    unpriced: int = 0
    priced_as: str = ""
    """The model as it was asked for."""


class Explanation(StrEnum):
    """Why the two sides may differ without anything being wrong, in the order in which it is looked for."""

    NOT_FINAL = "not_final"
    """The provider's report of the day is not final yet: what it lacks may still come."""
    UNDER_WAY = "under_way"
    """Attempts that had no end when the records were read."""
    ESTIMATED = "estimated"
    """Attempts that the provider sent no usage for."""
    FAILED = "failed"
    """Requests that failed here, after the provider may have counted them."""
    MIDNIGHT = "midnight"
    """Requests that began on one day and ended on the next."""
    PRICE = "price"
    """The provider rounds or prices the same usage otherwise."""
    TOLERANCE = "tolerance"
    """Too little to look for."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model of a row: both sides valued at the same rates."""

    model: str
    recorded_nanousd: int
    reported_nanousd: int
    recorded_tokens: int
    reported_tokens: int
    recorded_requests: int
    reported_requests: int
    priced: bool = True
    """False: nobody knows its price; the amounts are 0 and say nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One day of one credential, or of an API key of the provider that is not known to Ownkey."""

    day: str
    credential_id: str | None
    """None: not known to Ownkey, or the provider does not say which key."""
    api_key_ids: tuple[str, ...]
    final: bool
    recorded_nanousd: int
    """What the attempts were priced at."""
    charged_nanousd: int | None
    """What the provider charges. None: it does not tell keys apart in its bill."""
    variance_nanousd: int
    """Reported minus recorded, at the same rates, and what was charged beyond both."""
    explained: Mapping[Explanation, int]
    unexplained_nanousd: int
    """Above 0: spend that no record explains. Below: recorded, and not reported."""
    unpriced_surplus: bool
    """Reported usage of a model without a price, of which nothing was recorded: an amount nobody can tell."""
    models: tuple[ModelRow, ...]


class RunState(StrEnum):
    """How far a reconciliation is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One comparison: a provider, some days (both included)."""

    id: str
    account_id: str
    provider_id: str
    first: str
    last: str
    started_by: str
    started_at: str
    updated_at: str
    state: RunState = RunState.RUNNING
    reason: str | None = None
    """Why it failed, or waits."""
    day: str = ""
    """The first day whose records are not summed yet."""
    tries: int = 0
    """How often in a row the provider could not be asked."""
    revision: int = 0
    recorded_nanousd: int = 0
    reported_nanousd: int = 0
    charged_nanousd: int | None = None
    """The provider's bill for these days, whoever spent it."""
    explained_nanousd: int = 0
    unexplained_nanousd: int = 0
    not_known_nanousd: int = 0
    """Of API keys that are not known to Ownkey: others' business, not part of the rest."""
    ambiguous: tuple[str, ...] = ()
    """API keys (ids) that fit several credentials, or several of which fit one: compared with none."""
    leaks: tuple[str, ...] = ()
    """Credentials with more unexplained spend than the threshold."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Spend that no record explains: shown on the credential's card until it is rotated."""

    credential_id: str
    version: int
    amount_nanousd: int
    """What is known of it."""
    first: str
    last: str
    """The days it is of."""
    reconciliation_id: str
    found_at: str
    disabled: bool = False
    """Whether the credential was disabled for it."""


@dataclass(frozen=True, slots=True)
class LeakSettings:
    """What an account wants done."""

    threshold_nanousd: int = LEAK_THRESHOLD_NANOUSD
    disable: bool = False
    """Whether the credential is disabled at once. Else a person decides."""
