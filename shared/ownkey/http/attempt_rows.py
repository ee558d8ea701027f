"""An attempt as both APIs show it: to the account's members, and to the holder of the gateway key that made it."""

from __future__ import annotations

from typing import Any

from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.money import usd_string
from ownkey.domain.savings import SAVINGS_PARTS, Savings
from ownkey.domain.usage import Usage

Json = dict[str, Any]


def attempt_row(record: AttemptRecord) -> Json:
    """One attempt; what is known only at its end is null until then."""
    start, end, request = record.start, record.end, record.start.request
    platform = start.source is CredentialSource.PLATFORM
    return {
        "request_id": request.request_id,
        "attempt": start.number,
        "state": "ended" if end else "started",
        "surface": request.surface,
        "streamed": request.streamed,
        "dropped": list(start.dropped),
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
        "usage": usage_row(end.usage) if end else None,
        "usage_source": end and end.usage_source.value,
        "price_version": start.price_version,
        "cost_usd": usd_string(end.cost_nanousd) if end else None,
        "charge_usd": usd_string(end.charge_nanousd) if end else None,
        "savings": savings_row(end.savings, end.charge_nanousd if platform else end.cost_nanousd) if end else None,
        "billed_at": record.billed_at,
    }


SAVINGS_COLUMNS = ("baseline_usd", "saved_usd", *(f"saved_{part}_usd" for part in SAVINGS_PARTS))


def savings_row(saved: Savings, paid_nanousd: int) -> Json:
    """What it would have been on the baseline, and what saved how much of that."""
    amounts = (paid_nanousd + saved.total, saved.total, *(getattr(saved, part) for part in SAVINGS_PARTS))
    return dict(zip(SAVINGS_COLUMNS, map(usd_string, amounts), strict=True))


def usage_row(each: Usage) -> Json:
    """Token buckets that are not zero, and their sums."""
    return {"input_tokens": each.input_tokens, "output_tokens": each.output_tokens, **each.to_item()}
