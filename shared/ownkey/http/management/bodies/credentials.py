"""Bodies of `/api/byok` and `PATCH /api/auth`."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field, StringConstraints

from ownkey.http.management.bodies.common import (
    ABSENT,
    Alias,
    BaseUrl,
    Body,
    GatewayKeyIds,
    HeaderValue,
    Key,
    Models,
    Priority,
    Weight,
)
from ownkey.http.management.credentials import Given

MAX_PROVIDERS = 20


class CredentialSettings(Body):
    """What may be changed of a credential without its secret. Absent is unchanged (or the default)."""

    alias: Alias = ABSENT
    priority: Priority = ABSENT
    weight: Weight = ABSENT
    disabled: bool = ABSENT
    always_use: bool = ABSENT
    allowed_models: Models | None = None
    gateway_keys: GatewayKeyIds | None = None
    organization: HeaderValue | None = None
    project: HeaderValue | None = None

    def given(self) -> Given:
        """The settings that the body names, by their names in the domain."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & _PLAIN}
        for name in self.model_fields_set & _LISTS:
            values = getattr(self, name)
            named[name] = values if values is None else tuple(values)
        if headers := {name: getattr(self, name) for name in self.model_fields_set & _HEADERS}:
            named["headers"] = headers
        return cast(Given, named)


_PLAIN = frozenset({"alias", "priority", "weight", "disabled", "always_use"})
_LISTS = frozenset({"allowed_models", "gateway_keys"})
_HEADERS = frozenset({"organization", "project"})


class CreateCredential(CredentialSettings):
    """`POST /api/byok`."""

    provider: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    key: Key
    base_url: BaseUrl | None = None


class UpdateCredential(CredentialSettings):
    """`PATCH /api/byok/{id}`. A new `base_url` (null: the provider's own) needs `key` beside it."""

    base_url: BaseUrl | None = None
    key: Key = ABSENT


class RotateCredential(Body):
    """`POST /api/byok/{id}/rotate`."""

    key: Key


class ProviderKeys(Body):
    """`PATCH /api/auth`: provider keys of one gateway key, by provider name as people type it.

    The field must be there: `{}` says nothing, `{"providerKeys": null}` clears all.
    """

    providerKeys: Annotated[dict[str, Key | None], Field(max_length=MAX_PROVIDERS)] | None  # noqa: N815 - the wire's

    def pasted(self) -> dict[str, str | None] | None:
        """The keys by name, in the clear; None or "" clears one, None all."""
        if self.providerKeys is None:
            return None
        return {name: key.get_secret_value() if key else None for name, key in self.providerKeys.items()}
