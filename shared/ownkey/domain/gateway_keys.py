"""The key an app presents: `ok-<account>-<43 base62 characters><6 of checksum>`.

The account's id stands inside, so that one round trip brings the key's item and the account's. The secret part has
256 bits, so a plain SHA-256 is a sound digest; the CRC-32 refuses typing errors and noise before any database call.
Scheme after GitHub's tokens: https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
"""

from __future__ import annotations

import re
import secrets
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from ownkey.domain.secrets import Secret

PREFIX = "ok-"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_CHARS = 43
_CRC_CHARS = 6
_FORMAT = re.compile(r"^ok-(?P<account>[A-Za-z0-9_-]{1,48})-(?P<body>[0-9A-Za-z]{43})(?P<crc>[0-9A-Za-z]{6})$")
_FOREIGN = re.compile(r"^[\x21-\x7e]{16,256}$")


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """What can be said of a presented key without asking anybody.

    `account_id` is None for an imported key of a foreign format.
    """

    digest: str
    """SHA-256 of the whole key, hexadecimal: the item's partition key."""
    account_id: str | None


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A gateway key as stored: everything but the key."""

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

    def expired(self, now: datetime) -> bool:
        """Whether `expires_at` (RFC 3339, None: never) has come."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now.astimezone(UTC)


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


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    chars = []
    for _ in range(_CRC_CHARS):
        number, digit = divmod(number, 62)
        chars.append(_BASE62[digit])
    return "".join(reversed(chars))
