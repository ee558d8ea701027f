"""Bodies of `/api/byok` and `PATCH /api/auth`."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from ownkey.domain.pricing import CredentialPricing, PricingMode, read_pricing
from ownkey.http.management.bodies.common import (
    ABSENT,
    Alias,
    BaseUrl,
    Body,
    Expiry,
    GatewayKeyIds,
    HeaderValue,
    Key,
    Models,
    Priority,
    Weight,
)
from ownkey.http.management.drafting import Given, Pasted

MAX_PROVIDERS = 20
_MAX_MEMBERS = 20

Pricing = Annotated[dict[str, Any], AfterValidator(read_pricing)]
"""A price list of the credential's own, as `domain.pricing` reads it."""
Percent = Annotated[int, Field(ge=0, le=100)]
ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MemberName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
FormMember = Key | Annotated[dict[MemberName, Key], Field(max_length=_MAX_MEMBERS)] | None
"""A field of a provider's form, or a group of them. Which there are is data: all are taken for secrets here."""


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
    expires_at: Expiry | None = None
    pricing: Pricing | None = None

    def given(self) -> Given:
        """The settings that the body names, by their names in the domain."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & _PLAIN}
        for name in self.model_fields_set & _LISTS:
            values = getattr(self, name)
            named[name] = values if values is None else tuple(values)
        if "pricing" in self.model_fields_set:
            named["pricing"] = self._pricing()
        if headers := {name: getattr(self, name) for name in self.model_fields_set & _HEADERS}:
            named["headers"] = headers
        return cast(Given, named)

    def _pricing(self) -> CredentialPricing | None:
        """None: the published prices, which is the same as saying so."""
        pricing = cast("CredentialPricing | None", self.pricing)
        return None if pricing is None or pricing.mode is PricingMode.CATALOG else pricing


_PLAIN = frozenset({"alias", "priority", "weight", "disabled", "always_use", "expires_at"})
_LISTS = frozenset({"allowed_models", "gateway_keys"})
_HEADERS = frozenset({"organization", "project"})


class FormBody(Body):
    """A credential in one of its provider's forms: `key`, or the members that the form names.

    What no form of the provider names is refused where the provider is known.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FormMember]

    key: Key = ABSENT

    def members(self) -> dict[str, Any]:
        """The form's members in the clear; null is one that is taken away."""
        given = {"key": self.key} if "key" in self.model_fields_set else {}
        return {name: _plain(value) for name, value in {**given, **self.__pydantic_extra__}.items()}


class CreateCredential(CredentialSettings, FormBody):
    """`POST /api/byok`. `provider_name` is another name of `provider`."""

    provider: ProviderName
    base_url: BaseUrl | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_provider(cls, body: Any) -> Any:
        if not isinstance(body, dict) or "provider_name" not in body:
            return body
        if "provider" in body:
            raise ValueError("`provider` and `provider_name` are both given")
        return {"provider" if name == "provider_name" else name: value for name, value in body.items()}

    def pasted(self) -> Pasted:
        """The credential itself."""
        return Pasted(self.members() | ({} if self.base_url is None else {"base_url": self.base_url}))


class UpdateCredential(CredentialSettings, FormBody):
    """`PATCH /api/byok/{id}`. A new `base_url` (null: the provider's own) needs the secret beside it."""

    base_url: BaseUrl | None = None
    previous_share_percent: Percent = ABSENT

    def pasted(self) -> Pasted:
        """What is new of the credential itself."""
        given = self.members() | ({} if self.base_url is None else {"base_url": self.base_url})
        return Pasted(given, provider_base_url="base_url" in self.model_fields_set and self.base_url is None)

    def share(self) -> int | None:
        """What the previous version is to keep of the traffic; None: as it is."""
        return self.previous_share_percent if "previous_share_percent" in self.model_fields_set else None


class RotateCredential(FormBody):
    """`POST /api/byok/{id}/rotate`."""

    expires_at: Expiry | None = None
    keep_previous: bool = False
    share_percent: Percent = ABSENT
    """Of the traffic, what stays on the previous version."""

    @model_validator(mode="after")
    def _share_of_a_kept_version(self) -> RotateCredential:
        if "share_percent" in self.model_fields_set and not self.keep_previous:
            raise ValueError("`share_percent` needs `keep_previous`")
        return self

    def pasted(self) -> Pasted:
        """The new secret."""
        return Pasted(self.members())

    def share(self) -> int | None:
        """What the previous version keeps of the traffic; None: it goes."""
        return (self.share_percent or 0) if self.keep_previous else None


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


def _plain(member: SecretStr | dict[str, SecretStr] | None) -> Any:
    if member is None:
        return None
    if isinstance(member, dict):
        return {name: value.get_secret_value() for name, value in member.items()}
    return member.get_secret_value()
