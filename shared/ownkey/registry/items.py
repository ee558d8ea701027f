"""Dataclasses to items and back. Attribute names are the dataclasses' field names; absent means None or the default."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ownkey.domain.accounts import AccountHead, Member, OnDisconnect, Role
from ownkey.domain.credentials import Credential, PreviousVersion, SealedSecret
from ownkey.domain.gateway_keys import GatewayKey, PreviousSecret
from ownkey.domain.limits import Limit, LimitScope, Measure, Window
from ownkey.domain.pricing import CredentialPricing
from ownkey.domain.sharing import Consent
from ownkey.store.dynamodb import Item


def from_account(head: AccountHead) -> Item:
    """An account's head."""
    return asdict(head) | {"on_disconnect": head.on_disconnect.value}


def to_account(item: Item) -> AccountHead:
    """The inverse of `from_account`."""
    values: dict[str, Any] = _without_key(item)
    if "on_disconnect" in values:
        values["on_disconnect"] = OnDisconnect(values["on_disconnect"])
    if "sharing_consent" in values:
        values["sharing_consent"] = Consent(**values["sharing_consent"])
    return AccountHead(**values)


def from_member(member: Member) -> Item:
    """A member, as it stands in the account's and in the user's partition alike."""
    return asdict(member) | {"role": member.role.value}


def to_member(item: Item) -> Member:
    """The inverse of `from_member`."""
    return Member(**_without_key(item) | {"role": Role(item["role"])})


def from_gateway_key(key: GatewayKey) -> Item:
    """A gateway key: everything but the key."""
    return asdict(key)


def to_gateway_key(item: Item) -> GatewayKey:
    """The inverse of `from_gateway_key`."""
    values: dict[str, Any] = _without_key(item)
    for name in _SCOPES & values.keys():
        values[name] = tuple(values[name])
    if "previous" in values:
        values["previous"] = PreviousSecret(**values["previous"])
    return GatewayKey(**values)


def from_credential(credential: Credential) -> Item:
    """The public part of a credential."""
    return {
        name: _plain(name, value) for name in Credential.__slots__ if (value := getattr(credential, name)) is not None
    }


def to_credential(item: Item) -> Credential:
    """The inverse of `from_credential`."""
    values: dict[str, Any] = _without_key(item)
    for name in _TUPLES:
        if name in values:
            values[name] = tuple(values[name])
    if "previous" in values:
        values["previous"] = PreviousVersion(**values["previous"])
    if "pricing" in values:
        values["pricing"] = CredentialPricing.from_item(values["pricing"])
    return Credential(**values)


def from_limit(limit: Limit) -> Item:
    """A limit."""
    plain = {name: getattr(limit, name).value for name in _KINDS_OF_A_LIMIT}
    return {name: getattr(limit, name) for name in Limit.__slots__} | plain | {"alerts": list(limit.alerts)}


def to_limit(item: Item) -> Limit:
    """The inverse of `from_limit`."""
    values = _without_key(item)
    kinds = {name: kind(values[name]) for name, kind in _KINDS_OF_A_LIMIT.items()}
    return Limit(**values | kinds | {"alerts": tuple(values["alerts"])})


def from_sealed(sealed: SealedSecret) -> Item:
    """One version's sealed secret."""
    return asdict(sealed)


def to_sealed(item: Item) -> SealedSecret:
    """The inverse of `from_sealed`."""
    return SealedSecret(**_without_key(item))


_KINDS_OF_A_LIMIT = {"scope": LimitScope, "measure": Measure, "window": Window}
_TUPLES = ("allowed_models", "gateway_keys")
_SCOPES = frozenset({"models", "providers", "surfaces", "addresses", "origins"})
_MAPPINGS = ("headers", "fields")


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, PreviousVersion):
        return asdict(value)
    if isinstance(value, CredentialPricing):
        return value.to_item()
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if name in _MAPPINGS else value


def _without_key(item: Item) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("pk", "sk")}
