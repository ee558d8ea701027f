"""Vendors' own reports of what was used and charged, made of what the simulator served. Pure.

Usage is that of the journal. What is billed is what tests put on the bill: prices are nobody's business here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from local.simulator.journal import Entry

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BillLine:
    """A line of a provider's bill: `key_sha256` where it says whose key."""

    provider: str
    day: str
    amount_usd: str
    about: str
    key_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """One day."""

    day: date

    @property
    def start(self) -> datetime:
        """Its midnight."""
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The next one's."""
        return self.start + timedelta(days=1)


def buckets(start: datetime, end: datetime | None, limit: int, page: str | None) -> tuple[list[Bucket], str | None]:
    """A page of days, and the next page's name: the day it begins with."""
    first = date.fromisoformat(page.removeprefix("page_")) if page else start.date()
    last = (end or start + timedelta(days=limit)) - timedelta(microseconds=1)
    days = [first + timedelta(days=n) for n in range(max(0, (last.date() - first).days + 1))]
    following = f"page_{days[limit].isoformat()}" if len(days) > limit else None
    return [Bucket(day) for day in days[:limit]], following


def used_on(entries: Iterable[Entry], bucket: Bucket) -> dict[tuple[str, str], dict[str, int]]:
    """By key (its digest) and model: sums, and the number of requests."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for entry in entries:
        at = datetime.fromtimestamp(entry.received_ms / 1000, UTC)
        if entry.used is None or entry.served is None or entry.key_sha256 is None or at.date() != bucket.day:
            continue
        total = sums.setdefault((entry.key_sha256, entry.served), {"requests": 0})
        total["requests"] += 1
        for name, count in entry.used.items():
            total[name] = total.get(name, 0) + count
    return sums


def keys_seen(entries: Iterable[Entry]) -> dict[str, str]:
    """The digests of the keys that requests were served on, with their last characters."""
    served = [each for each in entries if each.used is not None and each.key_sha256 and each.key_last4]
    return {str(each.key_sha256): str(each.key_last4) for each in served}


def key_id(prefix: str, key_sha256: str) -> str:
    """The vendor's id of a key."""
    return f"{prefix}_{hashlib.sha256(key_sha256.encode()).hexdigest()[:24]}"


# ── OpenAI


def openai_usage(entries: Iterable[Entry], bucket: Bucket, *, embeddings: bool) -> Json:
    """A bucket of completions; of embeddings an empty one: there are none here."""
    used = {} if embeddings else used_on(entries, bucket)
    results = [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": total["input"],
            "output_tokens": total["output"],
            "input_cached_tokens": total["cached"],
            "input_cache_write_tokens": total["written_5m"] + total["written_1h"],
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": total["requests"],
            "project_id": None,
            "user_id": None,
            "api_key_id": key_id("key", key),
            "model": model,
            "batch": None,
            "service_tier": None,
        }
        for (key, model), total in used.items()
    ]
    return _openai_bucket(bucket, results)


def openai_costs(bill: Iterable[BillLine], bucket: Bucket) -> Json:
    """A bucket of the bill."""
    results = [
        {
            "object": "organization.costs.result",
            "amount": {"value": float(line.amount_usd), "currency": "usd"},
            "line_item": line.about,
            "project_id": None,
            "api_key_id": key_id("key", line.key_sha256) if line.key_sha256 else None,
        }
        for line in bill
        if line.provider == "openai" and line.day == bucket.day.isoformat()
    ]
    return _openai_bucket(bucket, results)


def openai_key(key_sha256: str, last4: str) -> Json:
    """A key of the one project."""
    owner = {"type": "service_account", "service_account": {"id": "svc", "name": "sim", "role": "member"}}
    owner["service_account"]["created_at"] = 1_700_000_000  # type: ignore[index]
    return {
        "object": "organization.project.api_key",
        "redacted_value": f"sk-...{last4}",
        "name": "simulated",
        "created_at": 1_700_000_000,
        "last_used_at": None,
        "id": key_id("key", key_sha256),
        "owner": owner,
        "owner_project_access": "active",
    }


def _openai_bucket(bucket: Bucket, results: list[Json]) -> Json:
    return {
        "object": "bucket",
        "start_time": int(bucket.start.timestamp()),
        "end_time": int(bucket.end.timestamp()),
        "results": results,
    }


# ── Anthropic


def anthropic_usage(entries: Iterable[Entry], bucket: Bucket) -> Json:
    """A bucket of messages."""
    results = [
        {
            "uncached_input_tokens": total["input"] - total["cached"] - total["written_5m"] - total["written_1h"],
            "cache_creation": {
                "ephemeral_1h_input_tokens": total["written_1h"],
                "ephemeral_5m_input_tokens": total["written_5m"],
            },
            "cache_read_input_tokens": total["cached"],
            "output_tokens": total["output"],
            "server_tool_use": {"web_search_requests": 0},
            "api_key_id": key_id("apikey", key),
            "workspace_id": None,
            "model": model,
            "service_tier": None,
            "context_window": None,
        }
        for (key, model), total in used_on(entries, bucket).items()
    ]
    return _anthropic_bucket(bucket, results)


def anthropic_costs(bill: Iterable[BillLine], bucket: Bucket) -> Json:
    """A bucket of the bill: cents, as decimal strings."""
    results = [
        {
            "currency": "USD",
            "amount": str(Decimal(line.amount_usd) * 100),
            "workspace_id": None,
            "description": line.about,
            "cost_type": "tokens",
            "context_window": "0-200k",
            "model": None,
            "service_tier": "standard",
            "token_type": "uncached_input_tokens",
        }
        for line in bill
        if line.provider == "anthropic" and line.day == bucket.day.isoformat()
    ]
    return _anthropic_bucket(bucket, results)


def anthropic_key(key_sha256: str, last4: str) -> Json:
    """A key of the organization."""
    return {
        "id": key_id("apikey", key_sha256),
        "type": "api_key",
        "name": "simulated",
        "workspace_id": None,
        "created_at": "2026-01-01T00:00:00Z",
        "created_by": {"id": "user_sim", "type": "user"},
        "partial_key_hint": f"sk-ant-...{last4}",
        "status": "active",
    }


def _anthropic_bucket(bucket: Bucket, results: list[Json]) -> Json:
    at = "%Y-%m-%dT%H:%M:%SZ"
    return {"starting_at": f"{bucket.start:{at}}", "ending_at": f"{bucket.end:{at}}", "results": results}


# ── AWS


def cost_and_usage(bill: Iterable[BillLine], first: str, end: str) -> Json:
    """GetCostAndUsage by day, service and kind of usage; `about` is `<service>, <usage type>`."""
    days, _ = buckets(datetime.fromisoformat(first), datetime.fromisoformat(end), 400, None)
    lines = [line for line in bill if line.provider == "bedrock"]
    return {
        "GroupDefinitions": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
        "ResultsByTime": [
            {
                "TimePeriod": {"Start": bucket.day.isoformat(), "End": bucket.end.date().isoformat()},
                "Total": {},
                "Groups": [
                    {
                        "Keys": line.about.split(", ", 1),
                        "Metrics": {"UnblendedCost": {"Amount": line.amount_usd, "Unit": "USD"}},
                    }
                    for line in lines
                    if line.day == bucket.day.isoformat()
                ],
                "Estimated": False,
            }
            for bucket in days
        ],
        "DimensionValueAttributes": [],
    }
