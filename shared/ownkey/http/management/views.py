"""What responses show. Each view is written out field by field: what is not named here never leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.accounts import AccountHead, Member, Role
from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.credentials import Credential
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.ledger import Balance, Entry
from ownkey.domain.money import usd_string
from ownkey.domain.usage import USAGE_BUCKETS, Usage
from ownkey.ledger.rollups import RollupRow
from ownkey.validation import Finding

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


def credential(each: Credential, catalog: Catalog, last_used: Mapping[str, str]) -> Json:
    """A provider key: everything but the key. `last_used` is by credential id."""
    return {
        "id": each.id,
        "provider": each.provider_id,
        "provider_name": _provider_name(each.provider_id, catalog),
        "alias": each.alias,
        "mask": each.mask,
        "status": "disabled" if each.disabled else "active",
        "version": each.version,
        "base_url": each.destination,
        "custom_base_url": each.custom_base_url,
        "organization": each.headers.get("organization"),
        "project": each.headers.get("project"),
        "priority": each.priority,
        "weight": each.weight,
        "allowed_models": _list(each.allowed_models),
        "gateway_keys": _list(each.gateway_keys),
        "disabled": each.disabled,
        "always_use": each.always_use,
        "created_at": each.created_at,
        "updated_at": each.updated_at,
        "validated_at": each.validated_at,
        "last_used_at": last_used.get(each.id),
    }


def finding(each: Finding) -> Json:
    """What a validation found."""
    return {"verdict": each.verdict.value, "reason": each.reason, "provider_status": each.status}


def provider_keys(gateway_key_id: str, credentials: list[Credential], catalog: Catalog) -> dict[str, str]:
    """The masks of a gateway key's own provider keys, by the provider's name; the first one counts."""
    serving = [c for c in credentials if gateway_key_id in (c.gateway_keys or ())]
    ranked = sorted(serving, key=lambda c: (c.priority, c.id), reverse=True)
    return {_provider_name(c.provider_id, catalog): c.mask for c in ranked}


def gateway_key(each: GatewayKey, now: datetime) -> Json:
    """A gateway key: everything but the key."""
    return {
        "id": each.id,
        "alias": each.alias,
        "mask": each.mask,
        "status": "revoked" if each.revoked_at else "expired" if each.expired(now) else "active",
        "created_at": each.created_at,
        "created_by": each.created_by,
        "expires_at": each.expires_at,
        "revoked_at": each.revoked_at,
        "usage_cost_mode": each.usage_cost_mode,
    }


def account(head: AccountHead, role: Role | None) -> Json:
    """An account as the caller sees it; role null: as the operator."""
    return {
        "id": head.id,
        "name": head.name,
        "role": role.value if role else None,
        "created_at": head.created_at,
        "disabled": head.disabled,
        "platform_allowed": head.platform_allowed,
    }


def member(each: Member) -> Json:
    """A person in an account."""
    return {"user_id": each.user_id, "email": each.email, "role": each.role.value, "added_at": each.added_at}


def balance(each: Balance) -> Json:
    """Credits, in dollars."""
    return {
        "available_usd": usd_string(each.available_nanousd),
        "held_usd": usd_string(each.held_nanousd),
        "total_usd": usd_string(each.total_nanousd),
    }


def entry(each: Entry) -> Json:
    """One movement of the balance."""
    return {
        "id": each.id,
        "kind": each.kind.value,
        "amount_usd": usd_string(each.amount_nanousd),
        "overrun_usd": usd_string(each.overrun_nanousd),
        "cause": each.cause,
        "at": each.at,
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


def _provider_name(provider_id: str, catalog: Catalog) -> str:
    """Its display name; a provider that left the catalog keeps its id."""
    provider = catalog.find_provider(provider_id)
    return provider.display_name if provider else provider_id


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
