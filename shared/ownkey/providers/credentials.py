"""A credential's share of a request: the header that carries the key, and those that go with it."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.catalog import Auth, Provider
from ownkey.domain.secrets import Secret

KEY_FIELD = "key"
"""The field of a plain key's secret."""


def auth_headers(auth: Auth, fields: Mapping[str, Secret]) -> dict[str, str]:
    """The header with the key in it: the one place where a provider key becomes plain text."""
    return {name.lower(): value for name, value in auth.headers(fields[KEY_FIELD].reveal()).items()}


def credential_headers(provider: Provider, headers: Mapping[str, str]) -> dict[str, str]:
    """A credential's further headers (`organization`) under the provider's names for them."""
    names = provider.credential_headers
    return {names[name].lower(): value for name, value in headers.items() if name in names}
