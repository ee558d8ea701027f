"""How balance, ledger, rollups and attempts are shown."""

from __future__ import annotations

from typing import Any

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.ledger import Balance, Entry
from ownkey.domain.money import usd_string
from ownkey.domain.usage import USAGE_BUCKETS, Usage
from ownkey.ledger.records import Deposit
from ownkey.ledger.rollups import RollupRow

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
    "latency_ms",
)
_AMOUNTS = ("cost_byok", "cost_platform", "charge")


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
    """Credits that the operator granted: asked for, until billing has carried it out."""
    return {
        "id": each.id,
        "amount_usd": usd_string(each.amount_nanousd),
        "note": each.note or None,
        "state": "billed" if each.billed_at else "requested",
        "requested_by": each.requested_by,
        "requested_at": each.requested_at,
        "billed_at": each.billed_at,
    }


def rollup(row: RollupRow) -> Json:
    """One aggregate."""
    tokens = Usage.from_item({name: row.counters[name] for name in USAGE_BUCKETS if name in row.counters})
    return {
        "time": row.time,
        "value": row.value,
        **{name: row.counters.get(name, 0) for name in _COUNTERS},
        **{f"{name}_usd": usd_string(row.counters.get(f"{name}_nanousd", 0)) for name in _AMOUNTS},
        "usage": usage(tokens),
        "last_at": row.last_at or None,
    }


def usage(each: Usage) -> Json:
    """Token buckets that are not zero, and their sums."""
    return {"input_tokens": each.input_tokens, "output_tokens": each.output_tokens, **each.to_item()}


def attempt(record: AttemptRecord) -> Json:
    """One attempt; what is known only at its end is null until then."""
    start, end, request = record.start, record.end, record.start.request
    return {
        "request_id": request.request_id,
        "attempt": start.number,
        "state": "ended" if end else "started",
        "surface": request.surface,
        "streamed": request.streamed,
        "requested_model": request.requested_model,
        "provider": start.provider_id,
        "model": start.model_id,
        "source": start.source.value,
        "credential_id": start.credential_id,
        "credential_version": start.credential_version,
        "credential_alias": start.credential_alias,
        "gateway_key_id": request.gateway_key_id,
        "app": request.app,
        "app_title": request.app_title,
        "user": request.user,
        "tags": list(request.tags),
        "started_at": start.started_at,
        "ended_at": end and end.ended_at,
        "outcome": end and end.outcome.value,
        "status": end and end.status,
        "error_code": end and end.error_code,
        "finish_reason": end and end.finish_reason,
        "upstream_id": end and end.upstream_id,
        "response_model": end and end.response_model,
        "latency_ms": end and end.latency_ms,
        "ttft_ms": end and end.ttft_ms,
        "usage": usage(end.usage) if end else None,
        "usage_source": end and end.usage_source.value,
        "price_version": start.price_version,
        "cost_usd": usd_string(end.cost_nanousd) if end else None,
        "charge_usd": usd_string(end.charge_nanousd) if end else None,
        "billed_at": record.billed_at,
    }
