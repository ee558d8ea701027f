"""How the catalog is shown: what a credential of each provider is made of, for forms and people; how old it is."""

from __future__ import annotations

from datetime import date
from typing import Any

from ownkey.catalog import Catalog, Form, Provider
from ownkey.catalog.forms import Field

Json = dict[str, Any]


def provider(each: Provider, *, keyless: bool) -> Json:
    """A provider. `keyless` says whether this deployment takes credentials without a secret."""
    return {
        "id": each.id,
        "name": each.display_name,
        "aliases": list(each.aliases),
        "kind": each.kind.value,
        "base_url": each.base_url,
        "key_url": each.key_url,
        "key_prefixes": list(each.key_hint.prefixes),
        "validation": each.validation.status.value,
        "surfaces": sorted(surface.value for surface in each.surfaces),
        "settings": sorted(each.credential_headers),
        "forms": [_form(form, keyless=keyless) for form in each.forms],
    }


def catalog_state(catalog: Catalog, today: date) -> Json:
    """Which prices a deployment has, and whether they are current."""
    return {
        "version": catalog.version,
        "as_of": catalog.as_of.isoformat(),
        "stale_after": catalog.stale_after.isoformat(),
        "stale": catalog.is_stale(today),
        "providers": len(catalog.provider_ids),
    }


def _form(form: Form, *, keyless: bool) -> Json:
    return {
        "id": form.id,
        "label": form.label,
        "keyless": form.keyless,
        "available": keyless or not form.keyless,
        "validation": form.validation.status.value,
        "takes_base_url": form.base_url is None and not form.keyless,
        "fields": [_field(each) for each in form.fields],
    }


def _field(each: Field) -> Json:
    return {
        "name": each.wire,
        "label": each.label,
        "secret": each.secret,
        "required": each.required and each.default is None,
        "default": each.default,
        "choices": list(each.choices) or None,
        "pattern": each.pattern,
        "example": each.example,
        "help": each.where or None,
    }
