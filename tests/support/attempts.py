"""Attempts as tests need them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ownkey.domain.attempts import AttemptEnd, AttemptRecord, AttemptStart, Outcome, RequestFacts
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ids import REQUEST, new_id
from ownkey.domain.usage import Usage, UsageSource

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def attempt(
    account_id: str = "acme",
    *,
    cost: int = 1_000,
    charge: int = 0,
    hold: int = 0,
    number: int = 0,
    usage: Usage | None = None,
    outcome: Outcome = Outcome.SUCCEEDED,
    at: datetime = AT,
    request: dict[str, Any] | None = None,
    **start: Any,
) -> AttemptRecord:
    """An ended attempt; a charge or a hold makes it a platform one."""
    facts = RequestFacts(
        **{
            "request_id": new_id(REQUEST, int(at.timestamp() * 1000)),
            "account_id": account_id,
            "gateway_key_id": "gk_1",
            "surface": "chat",
            "requested_model": "gpt-4o-mini",
            "streamed": False,
        }
        | (request or {})
    )
    platform = bool(charge or hold)
    started = AttemptStart(
        request=facts,
        number=number,
        provider_id="openai",
        model_id="gpt-4o-mini",
        source=CredentialSource.PLATFORM if platform else CredentialSource.BYOK,
        credential_id="cred_1",
        credential_version=1,
        credential_alias="main",
        started_at=at.isoformat(),
        expires_at_s=int(at.timestamp()) + 900,
        estimated_usage=Usage(input=10),
        estimated_cost_nanousd=500,
        estimated_charge_nanousd=525 if platform else 0,
        price_version="test",
        hold_nanousd=hold,
    )
    end = AttemptEnd(
        outcome=outcome,
        ended_at=at.isoformat(),
        status=200,
        usage=usage or Usage(input=10, output=20),
        usage_source=UsageSource.PROVIDER,
        cost_nanousd=cost,
        charge_nanousd=charge,
        latency_ms=7,
    )
    return AttemptRecord(replace(started, **start), end)
