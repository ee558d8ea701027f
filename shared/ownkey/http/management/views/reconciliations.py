"""How admin credentials and reconciliations are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.credentials import Credential
from ownkey.domain.money import usd_string
from ownkey.domain.reconciliation import Leak, LeakSettings, Reconciliation, Row

Json = dict[str, Any]

RECONCILIATION_COLUMNS = (
    "day",
    "credential_id",
    "api_key_ids",
    "model",
    "final",
    "recorded_usd",
    "reported_usd",
    "recorded_tokens",
    "reported_tokens",
    "recorded_requests",
    "reported_requests",
    "variance_usd",
    "unexplained_usd",
)
"""Of a file: a line a model, and one without a model for the day and credential as a whole."""


def admin_credential(each: Credential, catalog: Catalog) -> Json:
    """Everything but the secret."""
    provider = catalog.find_provider(each.provider_id)
    return {
        "id": each.id,
        "provider": each.provider_id,
        "provider_name": provider.display_name if provider else each.provider_id,
        "mask": each.mask,
        "version": each.version,
        "form": each.form,
        "fields": dict(each.fields),
        "base_url": each.destination,
        "created_at": each.created_at,
        "updated_at": each.updated_at,
        "validated_at": each.validated_at,
    }


def reconciliation(run: Reconciliation) -> Json:
    """One comparison, and how far it is. The amounts are of all its days."""
    return {
        "id": run.id,
        "provider": run.provider_id,
        "from": run.first,
        "to": run.last,
        "state": run.state.value,
        "reason": run.reason,
        "recorded_usd": usd_string(run.recorded_nanousd),
        "reported_usd": usd_string(run.reported_nanousd),
        "charged_usd": _usd(run.charged_nanousd),
        "explained_usd": usd_string(run.explained_nanousd),
        "unexplained_usd": usd_string(run.unexplained_nanousd),
        "not_known_to_ownkey_usd": usd_string(run.not_known_nanousd),
        "ambiguous_api_keys": list(run.ambiguous),
        "leaks": [{"credential_id": credential_id, "disable": disabling(credential_id)} for credential_id in run.leaks],
        "started_by": run.started_by,
        "started_at": run.started_at,
        "updated_at": run.updated_at,
    }


def reconciliation_row(row: Row, run: Reconciliation) -> Json:
    """One day of one credential, or of an API key that is not known to Ownkey."""
    return {
        "day": row.day,
        "credential_id": row.credential_id,
        "api_key_ids": list(row.api_key_ids),
        "known_to_ownkey": row.credential_id is not None,
        "ambiguous": any(key_id in run.ambiguous for key_id in row.api_key_ids),
        "final": row.final,
        "recorded_usd": usd_string(row.recorded_nanousd),
        "charged_usd": _usd(row.charged_nanousd),
        "variance_usd": usd_string(row.variance_nanousd),
        "explained": {each.value: usd_string(amount) for each, amount in row.explained.items()},
        "unexplained_usd": usd_string(row.unexplained_nanousd),
        "unpriced_surplus": row.unpriced_surplus,
        "models": [
            {
                "model": each.model or None,
                "recorded_usd": usd_string(each.recorded_nanousd),
                "reported_usd": usd_string(each.reported_nanousd),
                "recorded_tokens": each.recorded_tokens,
                "reported_tokens": each.reported_tokens,
                "recorded_requests": each.recorded_requests,
                "reported_requests": each.reported_requests,
                "priced": each.priced,
            }
            for each in row.models
        ],
    }


def reconciliation_cells(row: Row) -> Iterator[Json]:
    """A row as lines of a table."""
    head = {
        "day": row.day,
        "credential_id": row.credential_id or "not known to Ownkey",
        "api_key_ids": " ".join(row.api_key_ids),
        "final": row.final,
    }
    yield {
        **head,
        "recorded_usd": usd_string(row.recorded_nanousd),
        "reported_usd": usd_string(sum(each.reported_nanousd for each in row.models)),
        "variance_usd": usd_string(row.variance_nanousd),
        "unexplained_usd": usd_string(row.unexplained_nanousd),
    }
    for each in row.models:
        yield {
            **head,
            "model": each.model,
            "recorded_usd": usd_string(each.recorded_nanousd),
            "reported_usd": usd_string(each.reported_nanousd),
            "recorded_tokens": each.recorded_tokens,
            "reported_tokens": each.reported_tokens,
            "recorded_requests": each.recorded_requests,
            "reported_requests": each.reported_requests,
            "variance_usd": usd_string(each.reported_nanousd - each.recorded_nanousd),
        }


def leak_settings(settings: LeakSettings) -> Json:
    """What the account wants done about spend that no record explains."""
    return {"leak_threshold_usd": usd_string(settings.threshold_nanousd), "disable_credential": settings.disable}


def unexplained_spend(leak: Leak | None, credential: Credential) -> Json | None:
    """On a credential's card: spend that no record explains. None after the credential was rotated."""
    if leak is None or leak.version != credential.version:
        return None
    return {
        "amount_usd": usd_string(leak.amount_nanousd),
        "from": leak.first,
        "to": leak.last,
        "reconciliation_id": leak.reconciliation_id,
        "found_at": leak.found_at,
        "disable": disabling(credential.id),
    }


def disabling(credential_id: str) -> Json:
    """The request that disables a credential."""
    return {"method": "PATCH", "path": f"/api/byok/{credential_id}", "body": {"disabled": True}}


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else usd_string(nanousd)
