"""How provider keys are shown: everything but the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.credentials import Credential
from ownkey.validation import Finding

Json = dict[str, Any]


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


def _provider_name(provider_id: str, catalog: Catalog) -> str:
    """Its display name; a provider that left the catalog keeps its id."""
    provider = catalog.find_provider(provider_id)
    return provider.display_name if provider else provider_id


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
