"""Ids that sort by the time they were made: a prefix and a ULID (48 bits of milliseconds, 80 of chance).

https://github.com/ulid/spec: Crockford's base 32, 26 characters, here in lower case.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_TIME_CHARS = 10
_ULID_CHARS = 26

REQUEST = "req"
CREDENTIAL = "cred"
ADMIN_CREDENTIAL = "adm"
"""Of a provider's reports: the roles that serve requests are denied to open what is sealed for such an id."""
GATEWAY_KEY = "gk"
ACCOUNT = "acc"
DEPOSIT = "dep"
INVITATION = "inv"
AUDIT = "aud"
REWRAP = "rw"
LIMIT = "lim"
REWARD = "rwd"
RECONCILIATION = "rec"


def new_id(prefix: str, at_ms: int | None = None) -> str:
    """A fresh id such as `req_01jd4w…`; ids with one prefix sort by `at_ms` (default: now)."""
    at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return made_id(prefix, at_ms, int.from_bytes(os.urandom(10), "big"))


def made_id(prefix: str, at_ms: int, number: int) -> str:
    """The id of this time and these 80 bits: for what must get the same id whenever it is made."""
    whole = (at_ms << 80) | number
    chars = [_ALPHABET[(whole >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(chars)}"


def first_id(prefix: str, at_ms: int) -> str:
    """The lowest id that can be made at `at_ms`: a bound for ranges, never an id of anything."""
    return made_id(prefix, at_ms, 0)


def is_admin_credential(identifier: str) -> bool:
    """Whether a credential's id is an admin credential's."""
    return identifier.startswith(f"{ADMIN_CREDENTIAL}_")


def id_time_ms(identifier: str) -> int:
    """Milliseconds since the epoch at which the id was made.

    Raises:
        ValueError: not an id made by `new_id`.
    """
    _, _, ulid = identifier.rpartition("_")
    if len(ulid) != _ULID_CHARS or any(char not in _VALUES for char in ulid):
        raise ValueError("not an Ownkey id")
    at_ms = 0
    for char in ulid[:_TIME_CHARS]:
        at_ms = at_ms * 32 + _VALUES[char]
    return at_ms


def id_day(identifier: str) -> str:
    """The UTC day (`2026-11-21`) in which the id was made; it names the partition of its records."""
    return datetime.fromtimestamp(id_time_ms(identifier) / 1000, UTC).date().isoformat()
