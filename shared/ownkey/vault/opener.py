"""The decrypting half of the vault: one KMS call for a credential's version, then none for five minutes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.scrub import register
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import envelope

CACHE_S = 300.0
"""How long a data key is kept: also how long a disabled KMS key goes unnoticed by a warm function."""
CACHED_KEYS = 512

_CacheKey = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True)
class _CachedKey:
    encryption_key: bytes = field(repr=False)
    expires_at_s: float


class Opener:
    """Opens sealed secrets. Belongs to one event loop.

    The cache holds derived data keys, never a secret, under the credential, its version and a digest of everything
    that was sealed: another row's bytes, or another binding, can never meet a cached key.

    Args:
        on_open: Told of every secret that is opened, so that it can be kept out of logs and answers.
    """

    def __init__(
        self,
        kms: Kms,
        *,
        on_open: Callable[[Secret], None] = register,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kms = kms
        self._on_open = on_open
        self._monotonic = monotonic
        self._cached: OrderedDict[_CacheKey, _CachedKey] = OrderedDict()
        self._unwrapping: dict[_CacheKey, asyncio.Task[bytes]] = {}

    async def open(self, binding: Binding, sealed: SealedSecret) -> Mapping[str, Secret]:
        """The secret's fields.

        Raises:
            CredentialUndecryptable: sealed for another identity, altered, or its KMS key is gone, disabled or
                forbidden.
            VaultUnavailable: KMS does not answer.
        """
        if sealed.version != binding.version:
            raise CredentialUndecryptable("The stored secret is of another version than its credential.")
        at = _cache_key(binding, sealed)
        cached = self._cached.get(at)
        if cached is not None and cached.expires_at_s > self._monotonic():
            self._cached.move_to_end(at)
            encryption_key = cached.encryption_key
        else:
            encryption_key = await self._unwrap_once(at, binding, sealed)
        fields = envelope.decrypt(encryption_key, binding, sealed.nonce, sealed.ciphertext)
        for secret in fields.values():
            self._on_open(secret)
        return fields

    async def _unwrap_once(self, at: _CacheKey, binding: Binding, sealed: SealedSecret) -> bytes:
        """Requests that meet an unknown key at the same time share one call to KMS, whoever of them gives up."""
        task = self._unwrapping.get(at)
        if task is None:
            task = asyncio.create_task(self._unwrap(at, binding, sealed))
            self._unwrapping[at] = task
            task.add_done_callback(lambda done: self._unwrapped(at, done))
        return await asyncio.shield(task)

    async def _unwrap(self, at: _CacheKey, binding: Binding, sealed: SealedSecret) -> bytes:
        data_key = await self._kms.decrypt(sealed.kms_key_id, sealed.wrapped_key, binding.encryption_context())
        keys = envelope.derive(data_key)
        envelope.check_commitment(keys, sealed.commitment)
        self._cached[at] = _CachedKey(keys.encryption, self._monotonic() + CACHE_S)
        self._cached.move_to_end(at)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return keys.encryption

    def _unwrapped(self, at: _CacheKey, task: asyncio.Task[bytes]) -> None:
        del self._unwrapping[at]
        if not task.cancelled():
            # Marks the error as seen where every request that waited for it has gone.
            task.exception()


def _cache_key(binding: Binding, sealed: SealedSecret) -> _CacheKey:
    digest = sha256(binding.associated_data())
    for part in (sealed.kms_key_id.encode(), sealed.wrapped_key, sealed.nonce, sealed.commitment, sealed.ciphertext):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return binding.credential_id, binding.version, digest.digest()
