"""`PATCH /api/auth`: the provider keys of one gateway key, one for each provider, set and cleared together.

```
named provider     this gateway key's credentials for it      afterwards
───────────────    ──────────────────────────────────────     ──────────────────────────────────────────────────────
a key              none                                        a new one, for this gateway key alone
                   one of its own                              that one, rotated in place, at the provider's own host
                   shared with other gateway keys              theirs alone; a new one for this gateway key
null or ""         one of its own                              deleted
                   shared with other gateway keys              theirs alone
```

A credential that is account-wide is never touched, and none ever becomes account-wide: taking away the last gateway key
deletes. Every key is proven before anything is stored, and all of it is stored in one transaction. (Two requests that
create at the same moment may both succeed; the next one leaves one credential.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ownkey.catalog import Provider
from ownkey.catalog.intake import read_secret
from ownkey.domain import ids
from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import (
    CredentialRejected,
    InvalidParameter,
    OwnkeyError,
    ProviderUnreachable,
)
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.secrets import Secret
from ownkey.http.management.credentials import CredentialDesk
from ownkey.http.management.drafting import check_room, draft, next_version
from ownkey.http.management.proving import Proven
from ownkey.http.management.shaping import shape_key
from ownkey.registry import (
    CreateCredential,
    CredentialChange,
    DeleteCredential,
    Registry,
    RotateCredential,
    UpdateCredential,
)
from ownkey.registry.changes import MAX_CHANGES

Wishes = Mapping[str, Secret | None]
"""Provider id → its key for the gateway key; None clears it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What one provider's wish means for the credentials that stand there."""

    provider_id: str
    rotate: Credential | None
    """The gateway key's own, to be given a new secret."""
    detach: tuple[Credential, ...]
    """Those that stop serving the gateway key."""


def slot(credentials: Sequence[Credential], gateway_key_id: str, provider_id: str, key: Secret | None) -> Slot:
    """Decides for one provider; pure."""
    serving = [c for c in credentials if c.provider_id == provider_id and gateway_key_id in (c.gateway_keys or ())]
    own = [c for c in serving if c.gateway_keys == (gateway_key_id,)] if key is not None else []
    rotate = min(own, key=lambda c: (c.priority, c.id), default=None)
    return Slot(provider_id, rotate, tuple(c for c in serving if c is not rotate))


def detached(credential: Credential, gateway_key_id: str, *, now: str) -> CredentialChange:
    """The credential without this gateway key; where that was its last, it is deleted, never widened."""
    rest = tuple(each for each in credential.gateway_keys or () if each != gateway_key_id)
    if not rest:
        return DeleteCredential(credential)
    return UpdateCredential(replace(credential, gateway_keys=rest, updated_at=now), credential.updated_at)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a request did: the credentials it touched, and what their owner should know."""

    credential_ids: tuple[str, ...]
    warnings: tuple[str, ...]


class ProviderKeysDesk:
    """The use case of `PATCH /api/auth`."""

    def __init__(self, registry: Registry, credentials: CredentialDesk) -> None:
        self._registry = registry
        self._desk = credentials

    async def change(self, gateway_key: GatewayKey, pasted: Mapping[str, str | None] | None) -> Changed:
        """Sets and clears provider keys (by provider name) for a gateway key; None clears all.

        Raises:
            BadRequest: a name or a key is wrong; no provider was asked.
            CredentialRejected, ProviderUnreachable: by one of them at least; nothing was stored.
            Conflict: somebody changed one of the credentials meanwhile; nothing was stored.
        """
        credentials = await self._registry.credentials(gateway_key.account_id)
        wishes = self._all_cleared(credentials, gateway_key.id) if pasted is None else self._wishes(pasted)
        if gateway_key.revoked_at is not None and any(key is not None for key in wishes.values()):
            raise InvalidParameter("The gateway key was revoked: it serves no more requests.", param="keyId")
        slots = [slot(credentials, gateway_key.id, provider_id, key) for provider_id, key in wishes.items()]
        at = self._desk.timestamp()
        changes = [detached(each, gateway_key.id, now=at) for each_slot in slots for each in each_slot.detach]
        if len(changes) + len(slots) > MAX_CHANGES:
            raise InvalidParameter("These are too many changes for one request.", fix="Name fewer providers at once.")
        check_room(credentials, sum(wishes[each.provider_id] is not None and each.rotate is None for each in slots))
        head = await self._desk.head(gateway_key.account_id)
        proven = await self._prove_all(gateway_key, credentials, slots, wishes, head)
        replaced = {each.rotate.id: each.rotate for each in slots if each.rotate is not None}
        changes += [_stored(each, replaced.get(each.credential.id)) for each in proven]
        await self._desk.store(gateway_key.account_id, changes, head)
        return Changed(
            tuple(each.credential.id for each in changes),
            tuple(warning for each in proven for warning in each.warnings),
        )

    def _wishes(self, pasted: Mapping[str, str | None]) -> Wishes:
        wishes: dict[str, Secret | None] = {}
        for name, text in pasted.items():
            provider = self._desk.provider(name)
            param = f"providerKeys.{provider.display_name}"
            if provider.id in wishes:
                raise InvalidParameter(f"{provider.display_name} is named twice.", param=param)
            wishes[provider.id] = read_secret(text, param=param) if text else None
            if text and provider.base_url is None:
                raise InvalidParameter(
                    f"{provider.display_name} has no base URL of its own.",
                    fix="Save it by POST /api/byok, with its `base_url` and this gateway key in `gateway_keys`.",
                    param=param,
                )
        return wishes

    def _all_cleared(self, credentials: Sequence[Credential], gateway_key_id: str) -> Wishes:
        return {c.provider_id: None for c in credentials if gateway_key_id in (c.gateway_keys or ())}

    async def _prove_all(
        self,
        gateway_key: GatewayKey,
        credentials: Sequence[Credential],
        slots: Sequence[Slot],
        wishes: Wishes,
        head: AccountHead,
    ) -> list[Proven]:
        """Asks all providers at the same time; each outcome counts before any is acted on."""
        taken = [each.alias for each in credentials]
        asked: list[tuple[Provider, Credential, Secret]] = []
        for each in slots:
            if (key := wishes[each.provider_id]) is not None:
                provider = self._desk.provider(each.provider_id)
                asked.append((provider, self._next(gateway_key, provider, each.rotate, taken), key))
        outcomes = await asyncio.gather(
            *(self._desk.prove(shape_key(credential, key), head) for _, credential, key in asked),
            return_exceptions=True,
        )
        failed = [(asked[n][0], outcome) for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
        if failed:
            raise _joined(failed)
        return [outcome for outcome in outcomes if isinstance(outcome, Proven)]

    def _next(
        self, gateway_key: GatewayKey, provider: Provider, current: Credential | None, taken: list[str]
    ) -> Credential:
        if current is None:
            fresh = ids.new_id(ids.CREDENTIAL)
            drafted = draft(gateway_key.account_id, fresh, provider, taken=taken, at=self._desk.timestamp())
            return replace(drafted, gateway_keys=(gateway_key.id,))
        # The request names a provider and no address: the key goes to the provider's own, and is meant to be used.
        return replace(
            next_version(current),
            destination=provider.base_url or current.destination,
            custom_base_url=False,
            disabled=False,
            expires_at=None,
        )


def _stored(proven: Proven, replaced: Credential | None) -> CredentialChange:
    if replaced is None:
        return CreateCredential(proven.credential, proven.sealed)
    return RotateCredential(proven.credential, proven.sealed, replaced)


def _joined(failed: Sequence[tuple[Provider, BaseException]]) -> BaseException:
    """One error for all that failed: a rejection says more than a provider out of reach, which says more than ours."""
    ranked = sorted(failed, key=lambda pair: _rank(pair[1]))
    provider, worst = ranked[0]
    if isinstance(worst, CredentialRejected | ProviderUnreachable):
        worst.param = f"providerKeys.{provider.display_name}"
        worst.details["providers"] = {
            each.id: error.message for each, error in ranked if isinstance(error, OwnkeyError)
        }
    return worst


def _rank(error: BaseException) -> int:
    return next((n for n, kind in enumerate(_WORST_FIRST) if isinstance(error, kind)), len(_WORST_FIRST))


_WORST_FIRST = (CredentialRejected, ProviderUnreachable, OwnkeyError)
