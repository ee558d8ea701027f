"""What the vault costs a warm request: `python -m bench.vault` prints it alone.

CPU of one thread in this process. KMS is asked once, before anything counts, as a function asks it once in 300 s for
each version of a credential; so it is the first request's, and not in these figures.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping

from bench.figures import Measure
from bench.spread import Spread
from ownkey.domain.credentials import Binding
from ownkey.domain.scrub import register
from ownkey.domain.secrets import Secret
from ownkey.store.kms import DataKey, Kms
from ownkey.vault import Opener, Sealer, envelope
from ownkey.vault.opener import cache_key

TITLES = {
    Measure.VAULT_OPEN_US: "CPU of the vault for a warm request, µs",
    Measure.VAULT_DIGEST_US: "Of it: finding the cached data key (SHA-256 of identity and all that is stored), µs",
    Measure.VAULT_DECRYPT_US: "Of it: AES-256-GCM, and reading the fields, µs",
    Measure.VAULT_SCRUB_US: "Of it: keeping the key known to the scrubber, µs",
}
"""By measure, in the order in which they are told."""

_OPENS = 5_000
_BINDING = Binding("acc_01kaexample", "openai", "cred_01kaexample", 3, "https://api.openai.com/v1")
_KEY_CHARACTERS = 164
"""As long as a project key of OpenAI's."""


class _OneDataKey(Kms):
    """Stands for KMS: what it wraps is the one key it has."""

    def __init__(self) -> None:
        self._data_key = os.urandom(32)

    async def generate_data_key(self, key_id: str, context: Mapping[str, str], *, own: bool = False) -> DataKey:
        # About as long as KMS's own wrapping of 32 bytes.
        return DataKey(self._data_key, os.urandom(184), key_id)

    async def decrypt(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return self._data_key


async def warm_open_us() -> Mapping[Measure, float]:
    """One round: µs of CPU for one open, and for each of its parts by itself."""
    kms, secret = _OneDataKey(), Secret(secrets.token_hex(_KEY_CHARACTERS // 2))
    key_id = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    sealed = await Sealer(kms, key_id).seal(_BINDING, {"key": secret}, now="2026-11-21T08:00:00Z")
    encryption_key = envelope.derive(await kms.decrypt(key_id, sealed.wrapped_key, {})).encryption
    opener = Opener(kms)
    await opener.open(_BINDING, sealed)
    begun = time.thread_time_ns()
    for _ in range(_OPENS):
        await opener.open(_BINDING, sealed)
    took = time.thread_time_ns() - begun
    return {
        Measure.VAULT_OPEN_US: took / _OPENS / 1000,
        Measure.VAULT_DIGEST_US: _each_us(lambda: cache_key(_BINDING, sealed)),
        Measure.VAULT_DECRYPT_US: _each_us(
            lambda: envelope.decrypt(encryption_key, _BINDING, sealed.nonce, sealed.ciphertext)
        ),
        Measure.VAULT_SCRUB_US: _each_us(lambda: register(secret)),
    }


def _each_us(part: Callable[[], object]) -> float:
    begun = time.thread_time_ns()
    for _ in range(_OPENS):
        part()
    return (time.thread_time_ns() - begun) / _OPENS / 1000


async def _print(rounds: int) -> None:
    measured = [await warm_open_us() for _ in range(rounds)]
    print("| | |", "|---|---|", sep="\n")
    for measure, title in TITLES.items():
        spread = Spread.of([each[measure] for each in measured])
        print(f"| {title} | {spread.median:.1f} [{spread.low:.1f}–{spread.high:.1f}] |")


if __name__ == "__main__":
    asyncio.run(_print(rounds=7))
