"""How keys of compatible providers are presented: as their rows say."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.catalog import Auth, Catalog, Scheme
from ownkey.domain.surfaces import Dialect


def key_in(headers: Mapping[str, str], auth: Auth) -> str | None:
    """The key, as a row has it presented."""
    before, _, after = auth.template.partition("{key}")
    value = headers.get(auth.header, "")
    if not (value.startswith(before) and value.endswith(after)):
        return None
    return value.removeprefix(before).removesuffix(after).strip() or None


def own_headers() -> tuple[Auth, ...]:
    """Those of compatible providers that take no bearer's."""
    found = {
        form.auth: None
        for provider in Catalog.load().providers
        for form in provider.forms
        if provider.family is Dialect.OPENAI and form.scheme is Scheme.HEADER and form.auth.header != "Authorization"
    }
    return tuple(found)
