"""How balance, ledger, rollups and attempts are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ownkey.domain.ledger import Balance, DepositKind, Entry
from ownkey.domain.money import usd_string
from ownkey.domain.savings import SAVINGS_PARTS, Savings
from ownkey.domain.usage import USAGE_BUCKETS, Usage
from ownkey.http.attempt_rows import SAVINGS_COLUMNS, savings_row
from ownkey.http.attempt_rows import attempt_row as attempt
from ownkey.http.attempt_rows import usage_row as usage
from ownkey.ledger.records import Deposit
from ownkey.ledger.rollups import RollupRow, saved_counter

__all__ = ["attempt", "balance", "deposit", "entry", "rollup", "rollup_totals", "usage"]

Json = dict[str, Any]

_COUNTERS = (
    "requests",
    "attempts",
    "succeeded",
    "failed",
    "byok_attempts",
    "platform_attempts",
    "unpriced_attempts",
    "estimated_attempts",
    "late_attempts",
    "latency_ms",
)
_AMOUNTS = ("cost_byok", "cost_platform", "charge", "late_charge")
_PAID = ("cost_byok", "charge")
"""What a use comes to for the account: the provider's bill on its own keys, the credits on the platform's."""


def balance(each: Balance) -> Json:
    """Credits, in dollars."""
    return {
        "available_usd": usd_string(each.available_nanousd),
        "held_usd": usd_string(each.held_nanousd),
        "total_usd": usd_string(each.total_nanousd),
    }


def entry(each: Entry) -> Json:
    """One movement of the balance, and what moved it."""
    posting, movement = each.posting, each.movement
    return {
        "id": each.id,
        "kind": movement.kind.value,
        "amount_usd": usd_string(movement.amount_nanousd),
        "available_usd": usd_string(movement.available_nanousd),
        "held_usd": usd_string(movement.held_nanousd),
        "overrun_usd": usd_string(each.overrun_nanousd),
        "cause": posting.cause.value,
        "cause_id": posting.cause_id,
        "at": posting.at,
    }


def deposit(each: Deposit) -> Json:
    """Credits that an account is given, or that are taken back: asked for, until billing has carried it out."""
    moved = each.amount_nanousd if each.moved_nanousd is None else each.moved_nanousd
    payment = {name: getattr(each, name) for name in ("provider", "payment_id", "payment_intent", "event_id")}
    return {
        "id": each.id,
        "kind": each.kind.value,
        "amount_usd": usd_string(each.amount_nanousd),
        "moved_usd": usd_string(moved) if each.billed_at else None,
        "note": each.note or None,
        "payment": payment if each.kind is DepositKind.PAYMENT else None,
        "state": "refused" if each.refused else "billed" if each.billed_at else "requested",
        "requested_by": each.requested_by,
        "requested_at": each.requested_at,
        "billed_at": each.billed_at,
    }


def rollup(row: RollupRow) -> Json:
    """One aggregate."""
    return {"time": row.time, "value": row.value, **_sums(row.counters), "last_at": row.last_at or None}


def rollup_totals(rows: Iterable[RollupRow]) -> Json:
    """The sum of aggregates."""
    counts = Counter[str]()
    for row in rows:
        counts.update(row.counters)
    return _sums(counts)


def usage_cells(row: RollupRow) -> Json:
    """One line of a table of aggregates: every bucket has a column."""
    shown = rollup(row)
    return {**dict.fromkeys(USAGE_BUCKETS, 0), **shown, **shown["usage"]}


USAGE_COLUMNS = (
    "time",
    "value",
    *_COUNTERS,
    *(f"{name}_usd" for name in _AMOUNTS),
    *SAVINGS_COLUMNS,
    "input_tokens",
    "output_tokens",
    *USAGE_BUCKETS,
    "last_at",
)


def _sums(counters: Mapping[str, int]) -> Json:
    tokens = Usage.from_item({name: counters[name] for name in USAGE_BUCKETS if name in counters})
    saved = Savings(**{part: counters.get(saved_counter(part), 0) for part in SAVINGS_PARTS})
    paid = sum(counters.get(f"{name}_nanousd", 0) for name in _PAID)
    return {
        **{name: counters.get(name, 0) for name in _COUNTERS},
        **{f"{name}_usd": usd_string(counters.get(f"{name}_nanousd", 0)) for name in _AMOUNTS},
        **savings_row(saved, paid),
        "usage": usage(tokens),
    }
