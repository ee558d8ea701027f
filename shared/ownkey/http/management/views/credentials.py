"""How provider keys are shown: everything but the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ownkey.catalog import Catalog, ValidationStatus
from ownkey.domain.cards import CardState, CardStatus, card
from ownkey.domain.credentials import Credential, StoredCredential
from ownkey.domain.health import HEALTHY, Health
from ownkey.domain.pricing import PricingMode
from ownkey.domain.reconciliation import Leak
from ownkey.http.management.views.reconciliations import unexplained_spend
from ownkey.validation import Finding

Json = dict[str, Any]

_SHREDDED = CardState(CardStatus.UNDECRYPTABLE, reason="Shredded: its data key is deleted. Rotate it, or delete it.")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of a credential besides itself."""

    catalog: Catalog
    last_used: Mapping[str, str] = field(default_factory=dict)
    """When each version last served, by `<credential>@<version>`."""
    health: Health = HEALTHY
    """What the fleet knows of the account's credentials, as of `now_ms`."""
    now_ms: int = 0
    leaks: Mapping[str, Leak] = field(default_factory=dict)
    """Spend that no record explains, by credential."""


def credential(versions: Sequence[StoredCredential], shown: Shown) -> Json:
    """A provider key, by its versions, the current one first: everything but the key."""
    each = versions[0].credential
    listed = [_version(stored, shown) for stored in versions]
    state = _state(versions[0], shown)
    return {
        "id": each.id,
        "provider": each.provider_id,
        "provider_name": provider_name(each.provider_id, shown.catalog),
        "alias": each.alias,
        "mask": each.mask,
        **_status(state),
        "status_models": list(state.models) or None,
        "provider_failing_until": state.provider_failing_until,
        "unexplained_spend": unexplained_spend(shown.leaks.get(each.id), each),
        "validation": _validation(each, shown.catalog).value,
        "version": each.version,
        "versions": listed,
        "form": each.form,
        "keyless": each.keyless,
        "fields": dict(each.fields),
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
        "shared": each.shared,
        "pricing": each.pricing.to_body() if each.pricing else {"mode": PricingMode.CATALOG.value},
        "created_at": each.created_at,
        "updated_at": each.updated_at,
        "validated_at": each.validated_at,
        "expires_at": each.expires_at,
        "last_used_at": max((used for version in listed if (used := version["last_used_at"])), default=None),
    }


def _version(stored: StoredCredential, shown: Shown) -> Json:
    each, previous = stored.credential, stored.credential.previous
    share = 0 if previous is None else previous.share_percent
    created_at = each.secret_created_at or each.created_at
    return {
        "version": each.version,
        "mask": each.mask,
        **_status(_state(stored, shown)),
        "created_at": previous.created_at if previous and stored.is_previous else created_at,
        "share_percent": share if stored.is_previous else 100 - share,
        "last_used_at": shown.last_used.get(f"{each.id}@{each.version}"),
    }


def _state(stored: StoredCredential, shown: Shown) -> CardState:
    if stored.sealed is not None and not stored.sealed.wrapped_key:
        return _SHREDDED
    return card(stored.credential, shown.health, shown.now_ms)


def _status(state: CardState) -> Json:
    return {
        "status": state.status.value,
        "status_until": state.until,
        "status_code": state.code and state.code.value,
        "status_reason": state.reason,
    }


def _validation(each: Credential, catalog: Catalog) -> ValidationStatus:
    """How sure an acceptance is; of a provider or form that left the catalog nobody can tell."""
    provider = catalog.find_provider(each.provider_id)
    forms = provider.forms if provider else ()
    return next((form.validation.status for form in forms if form.id == each.form), ValidationStatus.UNVERIFIED)


def finding(each: Finding) -> Json:
    """What a validation found."""
    return {
        "verdict": each.verdict.value,
        "reason": each.reason,
        "fix": each.fix,
        "provider_status": each.status,
    }


def provider_keys(gateway_key_id: str, credentials: Sequence[Credential], catalog: Catalog) -> dict[str, str]:
    """The masks of a gateway key's own provider keys, by the provider's name; the first one counts."""
    serving = [c for c in credentials if gateway_key_id in (c.gateway_keys or ())]
    ranked = sorted(serving, key=lambda c: (c.priority, c.id), reverse=True)
    return {provider_name(c.provider_id, catalog): c.mask for c in ranked}


def provider_name(provider_id: str, catalog: Catalog) -> str:
    """Its display name; a provider that left the catalog keeps its id."""
    provider = catalog.find_provider(provider_id)
    return provider.display_name if provider else provider_id


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
