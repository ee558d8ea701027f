"""The key an app presents: `ok-<account>-<43 base62 characters><6 of checksum>`.

The account's id stands inside, so that one round trip brings the key's item and the account's. The secret part has
256 bits, so a plain SHA-256 is a sound digest; the CRC-32 refuses typing errors and noise before any database call.
Scheme after GitHub's tokens: https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ownkey.domain.secrets import Secret

PREFIX = "ok-"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_CHARS = 43
_CRC_CHARS = 6
_FORMAT = re.compile(r"^ok-(?P<account>[A-Za-z0-9_-]{1,48})-(?P<body>[0-9A-Za-z]{43})(?P<crc>[0-9A-Za-z]{6})$")
_FOREIGN = re.compile(r"^[\x21-\x7e]{16,256}$")


RESTRICTIONS = frozenset({"models", "providers", "surfaces", "addresses", "origins", "expires_at"})
"""Fields of a gateway key that say where it ends."""


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """What can be said of a presented key without asking anybody.

    `account_id` is None for an imported key of a foreign format.
    """

    digest: str
    """SHA-256 of the whole key, hexadecimal: the item's partition key."""
    account_id: str | None


@dataclass(frozen=True, slots=True)
class PreviousSecret:
    """The secret before the current one, which a rotation lets count until `retires_at`."""

    digest: str
    mask: str
    retires_at: str
    created_at: str | None = None
    """As `GatewayKey.secret_created_at`."""


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A gateway key as stored: everything but the key.

    Through a rotation's overlap there are two items of one id, alike but for the secret and when it ends: what is said
    of the key holds for both secrets.
    """

    id: str
    account_id: str
    alias: str
    digest: str
    mask: str
    created_at: str
    created_by: str
    expires_at: str | None = None
    revoked_at: str | None = None
    usage_cost_mode: str = "charge"
    """`charge`: `usage.cost` is what is charged here (0 on BYOK); `provider`: the provider's cost."""
    updated_at: str | None = None
    """None: never changed."""
    models: tuple[str, ...] | None = None
    """Patterns of the models it may use. This and the rest of its scope: None is all, never empty (`domain.scopes`)."""
    providers: tuple[str, ...] | None = None
    """Ids in the catalog."""
    surfaces: tuple[str, ...] | None = None
    """Values of `Surface`."""
    addresses: tuple[str, ...] | None = None
    """Networks that it may be used from."""
    origins: tuple[str, ...] | None = None
    """Web pages that it may be used from. None: a browser may send it, but no page may read the answer."""
    restricted_by: str | None = None
    """Who else than its creator set its scope or its end: the creator alone may not loosen them any more."""
    secret_created_at: str | None = None
    """Of this secret; None: as old as the key."""
    previous: PreviousSecret | None = None
    """The secret before this one, whether or not its time is over by now."""
    retires_at: str | None = None
    """Of a previous secret: when it ends, though the key goes on. None: this is the current one."""

    @property
    def changed_at(self) -> str:
        """When it was made or last changed: what a change was decided on."""
        return self.updated_at or self.created_at

    @property
    def ends_at(self) -> str | None:
        """When this secret ends: with the key, or before it where it is a previous one. None: never."""
        return min(
            (each for each in (self.expires_at, self.retires_at) if each), key=datetime.fromisoformat, default=None
        )

    def expired(self, now: datetime) -> bool:
        """Whether `expires_at` (RFC 3339, None: never) has come."""
        return _past(self.expires_at, now)

    def retired(self, now: datetime) -> bool:
        """Whether this is a secret that a rotation replaced, and whose overlap is over."""
        return _past(self.retires_at, now)

    def overlapping(self, now: datetime) -> PreviousSecret | None:
        """The secret before this one, as long as it still counts."""
        ended = self.previous is None or _past(self.previous.retires_at, now)
        return None if ended or self.revoked_at or self.expired(now) else self.previous

    def changed(self, given: Mapping[str, Any], *, by: str, at: str) -> GatewayKey:
        """The key with other settings, and who is to be asked from now on before it is loosened."""
        changed = replace(self, **given, updated_at=at)
        if all(getattr(changed, name) is None for name in RESTRICTIONS):
            return replace(changed, restricted_by=None)
        restricts = by != self.created_by and not RESTRICTIONS.isdisjoint(given)
        return replace(changed, restricted_by=by) if restricts else changed

    def as_previous(self) -> GatewayKey:
        """The item of the previous secret: the same key, as that secret presents it.

        Raises:
            ValueError: there is no previous secret.
        """
        if self.previous is None:
            raise ValueError(f"{self.id} has no previous secret")
        secret = self.previous
        return replace(
            self,
            digest=secret.digest,
            mask=secret.mask,
            secret_created_at=secret.created_at,
            retires_at=secret.retires_at,
            previous=None,
        )

    def rotated(self, *, digest: str, mask: str, at: str, overlap_ends_at: str) -> GatewayKey:
        """The key with a new secret, and its present one as the previous."""
        previous = PreviousSecret(self.digest, self.mask, overlap_ends_at, self.secret_created_at)
        return replace(self, digest=digest, mask=mask, updated_at=at, secret_created_at=at, previous=previous)


def mint(account_id: str) -> Secret:
    """A new gateway key of the account: to be shown once and never stored."""
    body = "".join(secrets.choice(_BASE62) for _ in range(_BODY_CHARS))
    text = f"{PREFIX}{account_id}-{body}"
    return Secret(text + _checksum(text))


def present(key: str, *, allow_foreign: bool = False) -> PresentedKey | None:
    """Reads a presented key; None where it cannot be a gateway key (format or checksum).

    `allow_foreign` accepts printable keys of 16 to 256 characters in other formats: keys that were imported.
    """
    match = _FORMAT.match(key)
    if match and _checksum(key[:-_CRC_CHARS]) == match["crc"]:
        return PresentedKey(digest_of(key), match["account"])
    if allow_foreign and not match and _FOREIGN.match(key):
        return PresentedKey(digest_of(key), None)
    return None


def digest_of(key: str) -> str:
    """The full digest under which a key is stored: never a prefix (CVE-2026-35030 keyed on one)."""
    return sha256(key.encode()).hexdigest()


def _past(time: str | None, now: datetime) -> bool:
    return time is not None and datetime.fromisoformat(time) <= now.astimezone(UTC)


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    chars = []
    for _ in range(_CRC_CHARS):
        number, digit = divmod(number, 62)
        chars.append(_BASE62[digit])
    return "".join(reversed(chars))
