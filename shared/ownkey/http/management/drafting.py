"""What a request makes of a credential before anybody is asked: settings, destination, versions. Nothing is stored.

A key goes where it was saved for, and nowhere else: whatever changes the destination asks for the secret again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from ownkey.catalog import Catalog, Provider
from ownkey.domain.credentials import Credential, PreviousVersion
from ownkey.domain.errors import Conflict, InvalidParameter
from ownkey.domain.pricing import CredentialPricing
from ownkey.upstream import UrlPolicy

MAX_CREDENTIALS = 200
"""Of one account: what a snapshot holds is read and parsed by every new environment."""


class Given(TypedDict, total=False):
    """Settings of a credential that a request names, by their names in `Credential`; absent is unchanged."""

    alias: str
    priority: int
    weight: int
    disabled: bool
    always_use: bool
    allowed_models: tuple[str, ...] | None
    gateway_keys: tuple[str, ...] | None
    expires_at: str | None
    pricing: CredentialPricing | None
    headers: Mapping[str, str | None]
    """A header set to None is removed."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a request gives of the credential itself."""

    members: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of one of its provider's forms, `base_url` among them: secrets in the clear."""
    provider_base_url: bool = False
    """Whether it is to go (back) to the provider's own address."""


def find_provider(catalog: Catalog, name: str, *, param: str = "provider") -> Provider:
    """The provider that people mean by a name.

    Raises:
        InvalidParameter: there is none. The name is not repeated: it may be a key in the wrong place.
    """
    provider = catalog.find_provider(name)
    if provider is None:
        raise InvalidParameter(
            "There is no such provider in this deployment's catalog.",
            fix="Use a provider's name or id; `openai-compatible` takes any endpoint by its `base_url`.",
            param=param,
        )
    return provider


def draft(account_id: str, credential_id: str, provider: Provider, *, taken: Sequence[str], at: str) -> Credential:
    """A new credential, named after its provider; without a secret yet."""
    return Credential(
        id=credential_id,
        account_id=account_id,
        provider_id=provider.id,
        alias=_free_alias(provider.display_name, taken),
        mask="",
        version=1,
        destination=provider.base_url or "",
        created_at=at,
        updated_at=at,
    )


def next_version(credential: Credential) -> Credential:
    """The credential as it stands once its next secret has replaced all it has."""
    return replace(credential, version=credential.version + 1, previous=None, shared_version=None)


def beside_previous(credential: Credential, current: Credential, *, share_percent: int) -> Credential:
    """The next version with the current one kept beside it.

    Raises:
        InvalidParameter: the two are not for the same address in the same form, so they cannot be one credential.
    """
    if current.keyless or credential.keyless:
        raise InvalidParameter("A credential without a secret has no version to keep.", param="keep_previous")
    same = ("form", "fields", "destination", "custom_base_url")
    if any(getattr(credential, name) != getattr(current, name) for name in same):
        raise InvalidParameter(
            "The previous version cannot be kept beside one of another form, address, region or project.",
            fix="Save the new one as a credential of its own, or rotate without `keep_previous`.",
            param="keep_previous",
        )
    previous = PreviousVersion(
        current.version, current.mask, current.secret_created_at or current.created_at, share_percent
    )
    return replace(credential, previous=previous)


def at_destination(
    credential: Credential, provider: Provider, base_url: str | None, url_policy: UrlPolicy
) -> Credential:
    """The credential for another destination: the user's own, or (None) the provider's.

    Raises:
        UnsafeBaseUrl, InvalidParameter.
    """
    if base_url is not None:
        return replace(credential, destination=url_policy.check(base_url), custom_base_url=True)
    if provider.base_url is None:
        raise InvalidParameter(
            f"{provider.display_name} has no base URL of its own.",
            fix="Send the endpoint's `base_url` with the key.",
            param="base_url",
        )
    return replace(credential, destination=provider.base_url, custom_base_url=False)


def with_settings(credential: Credential, provider: Provider, given: Given) -> Credential:
    """The credential with the settings that were given.

    Raises:
        InvalidParameter: a header that the provider does not take.
    """
    merged = {**credential.headers, **given.get("headers", {})}
    headers = {name: value for name, value in merged.items() if value is not None}
    if unknown := headers.keys() - provider.credential_headers.keys():
        raise InvalidParameter(f"{provider.display_name} takes no {min(unknown)}.", param=min(unknown))
    changes: dict[str, Any] = {**given, "headers": headers}
    return replace(credential, **changes)


def with_share(credential: Credential, share_percent: int) -> Credential:
    """The credential with so much of its traffic on the previous version.

    Raises:
        InvalidParameter: there is none.
    """
    if credential.previous is None:
        raise InvalidParameter(
            "The credential has no previous version.",
            fix="Rotate it with `keep_previous` first.",
            param="previous_share_percent",
        )
    return replace(credential, previous=replace(credential.previous, share_percent=share_percent))


def check_room(existing: Sequence[Credential], more: int) -> None:
    """Whether the account may have more credentials.

    Raises:
        Conflict: a snapshot would hold too many.
    """
    if len(existing) + more > MAX_CREDENTIALS:
        raise Conflict(f"An account has at most {MAX_CREDENTIALS} provider keys.", fix="Remove some first.")


def _free_alias(name: str, taken: Sequence[str]) -> str:
    """The provider's name, numbered from the second credential on."""
    alias, number = name, 1
    while alias in taken:
        number += 1
        alias = f"{name} {number}"
    return alias
