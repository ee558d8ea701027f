"""What answers say of money: attempts, aggregates, statements, the ledger, limits, reconciliations."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.ledger import Cause, DepositKind, MovementKind
from ownkey.domain.limits import LimitScope, Measure, Window
from ownkey.domain.reconciliation import Explanation, RunState
from ownkey.domain.savings import SAVINGS_PARTS
from ownkey.domain.usage import USAGE_BUCKETS, UsageSource
from ownkey.ledger.exports import LINES
from ownkey.ledger.rollups import Dimension
from tools.openapi.schemas.forms import (
    BOOLEAN,
    COUNT,
    DATE,
    INTEGER,
    REQUEST,
    STRING,
    STRINGS,
    TIME,
    USD,
    Schema,
    nullable,
    one_of,
    page,
    record,
    several,
)

_AMOUNT: Schema = {"type": ["integer", "string"]}
_SIDES = {
    "recorded_usd": USD,
    "reported_usd": USD,
    "recorded_tokens": COUNT,
    "reported_tokens": COUNT,
    "recorded_requests": COUNT,
    "reported_requests": COUNT,
}
_USAGE = {"input_tokens": COUNT, "output_tokens": COUNT, **dict.fromkeys(USAGE_BUCKETS, COUNT)}
_USAGE_SCHEMA = record("Tokens: the sums, and every bucket that is not zero.", _USAGE, sometimes=USAGE_BUCKETS)
_SAVINGS: dict[str, Schema] = {
    "baseline_usd": {**USD, "description": "What was paid and what was saved: docs/savings.md."},
    "saved_usd": {**USD, "description": "The sum of what saved it."},
    **dict.fromkeys((f"saved_{part}_usd" for part in SAVINGS_PARTS), USD),
}
_AGGREGATE = {
    "requests": COUNT,
    "attempts": COUNT,
    "succeeded": COUNT,
    "failed": COUNT,
    "byok_attempts": COUNT,
    "platform_attempts": COUNT,
    "unpriced_attempts": COUNT,
    "estimated_attempts": COUNT,
    "late_attempts": {**COUNT, "description": "Of an earlier month, billed in this one."},
    "latency_ms": COUNT,
    "cost_byok_usd": USD,
    "cost_platform_usd": USD,
    "charge_usd": USD,
    "late_charge_usd": USD,
    **_SAVINGS,
    "usage": _USAGE_SCHEMA,
}
USAGE = page(
    "UsageRow",
    totals=record("The sum of the rows of this page.", _AGGREGATE),
    dimension=one_of(each.value for each in Dimension),
    granularity=one_of(("month", "day", "hour")),
    **{"from": DATE, "to": DATE},
)
_STATEMENT_MONTH = {
    "month": {**STRING, "description": "`2026-11`, UTC."},
    "status": {**one_of(("open", "closed")), "description": "`closed`: it can no longer change."},
    "closes_at": TIME,
    "opening_usd": USD,
    "closing_usd": USD,
}
STATEMENT = page(
    "StatementLine",
    totals=record("All that was used in the month.", _AGGREGATE),
    movements=several(
        record(
            "All movements of one kind.",
            {
                "kind": one_of(each.value for each in MovementKind),
                "count": COUNT,
                "amount_usd": USD,
                "available_usd": USD,
                "held_usd": USD,
            },
        )
    ),
    overrun_usd=USD,
    **_STATEMENT_MONTH,
)

SCHEMAS: Mapping[str, Schema] = {
    "Limit": record(
        "A budget or a rate limit. Amounts of spend are decimal strings of dollars, all others numbers.",
        {
            "id": STRING,
            "scope": one_of(LimitScope),
            "value": nullable(STRING),
            "measure": one_of(Measure),
            "window": one_of(Window),
            "amount": _AMOUNT,
            "include_byok": BOOLEAN,
            "hard": BOOLEAN,
            "alerts": several(INTEGER),
            "created_at": TIME,
            "created_by": STRING,
            "updated_at": TIME,
            "current": record(
                "The period under way.",
                {"used": _AMOUNT, "reserved": _AMOUNT, "remaining": _AMOUNT, "resets_at": nullable(TIME)},
            ),
        },
    ),
    "Reconciliation": record(
        "What was recorded against what the provider reports, summed over its days.",
        {
            "id": STRING,
            "provider": STRING,
            "from": DATE,
            "to": DATE,
            "state": one_of(each.value for each in RunState),
            "reason": {**nullable(STRING), "description": "Why it waits, or failed."},
            "recorded_usd": USD,
            "reported_usd": USD,
            "charged_usd": {**nullable(USD), "description": "The provider's bill for these days, whoever spent it."},
            "explained_usd": USD,
            "unexplained_usd": USD,
            "not_known_to_ownkey_usd": {**USD, "description": "Of API keys that no credential is matched to."},
            "ambiguous_api_keys": {
                **STRINGS,
                "description": "They may be more than one credential: compared with none.",
            },
            "leaks": several(
                record(
                    "A credential with more than the account puts up with.",
                    {"credential_id": STRING, "disable": REQUEST},
                )
            ),
            "started_by": STRING,
            "started_at": TIME,
            "updated_at": TIME,
        },
    ),
    "ReconciliationRow": record(
        "One day of one credential, or of an API key of the provider that is not known to Ownkey.",
        {
            "day": DATE,
            "credential_id": nullable(STRING),
            "api_key_ids": STRINGS,
            "known_to_ownkey": BOOLEAN,
            "ambiguous": BOOLEAN,
            "final": {**BOOLEAN, "description": "Whether the provider's report of the day changes no more."},
            "recorded_usd": USD,
            "charged_usd": nullable(USD),
            "variance_usd": USD,
            "explained": record(
                "How much of the variance each reason carries.",
                {each.value: USD for each in Explanation},
                sometimes=tuple(each.value for each in Explanation),
            ),
            "unexplained_usd": {**USD, "description": "Above 0: spend that no record explains."},
            "unpriced_surplus": BOOLEAN,
            "models": several(record("", {"model": nullable(STRING), **_SIDES, "priced": BOOLEAN})),
        },
    ),
    "LeakSettings": record(
        "What is done about spend that no record explains.",
        {"leak_threshold_usd": USD, "disable_credential": BOOLEAN},
    ),
    "Deposit": record(
        "Credits that are given, or taken back by a correction.",
        {
            "id": STRING,
            "kind": one_of(each.value for each in DepositKind),
            "amount_usd": USD,
            "moved_usd": nullable(USD),
            "note": nullable(STRING),
            "payment": nullable(
                record(
                    "Of a payment.",
                    dict.fromkeys(("provider", "payment_id", "payment_intent", "event_id"), nullable(STRING)),
                )
            ),
            "state": one_of(("requested", "billed", "refused")),
            "requested_by": STRING,
            "requested_at": TIME,
            "billed_at": nullable(TIME),
        },
    ),
    "Balance": record("Credits.", {"available_usd": USD, "held_usd": USD, "total_usd": USD}),
    "LedgerEntry": record(
        "A movement of the balance.",
        {
            "id": STRING,
            "kind": one_of(each.value for each in MovementKind),
            "amount_usd": USD,
            "available_usd": USD,
            "held_usd": USD,
            "overrun_usd": USD,
            "cause": one_of(each.value for each in Cause),
            "cause_id": STRING,
            "at": STRING,
        },
    ),
    "UsageRow": record("An aggregate.", {"time": STRING, "value": STRING, **_AGGREGATE, "last_at": nullable(STRING)}),
    "StatementMonth": record("A month.", _STATEMENT_MONTH),
    "StatementLine": record(
        "What was used under one value of a dimension.",
        {"dimension": one_of(LINES), "value": STRING, **_AGGREGATE, "last_at": nullable(STRING)},
    ),
    "Attempt": record(
        "One use of one credential; what is known only at its end is null until then.",
        {
            "request_id": STRING,
            "attempt": COUNT,
            "state": one_of(("started", "ended")),
            "surface": STRING,
            "streamed": BOOLEAN,
            "dropped": several(STRING),
            "requested_model": STRING,
            "provider": STRING,
            "model": STRING,
            "source": one_of(("byok", "platform")),
            "credential_id": STRING,
            "credential_version": INTEGER,
            "credential_alias": STRING,
            "gateway_key_id": STRING,
            "app": nullable(STRING),
            "app_title": nullable(STRING),
            "user": nullable(STRING),
            "tags": STRINGS,
            "started_at": STRING,
            "ended_at": nullable(STRING),
            "outcome": nullable(STRING),
            "status": nullable(INTEGER),
            "error_code": nullable(STRING),
            "finish_reason": nullable(STRING),
            "upstream_id": nullable(STRING),
            "response_model": nullable(STRING),
            "latency_ms": nullable(COUNT),
            "ttft_ms": nullable(COUNT),
            "usage": nullable(_USAGE_SCHEMA),
            "usage_source": nullable(one_of(each.value for each in UsageSource)),
            "price_version": nullable(STRING),
            "cost_usd": nullable(USD),
            "charge_usd": nullable(USD),
            "savings": nullable(record("Against the baseline; null until it has ended.", _SAVINGS)),
            "billed_at": nullable(STRING),
        },
    ),
}
