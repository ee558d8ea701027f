"""The decrypting half of the vault: one KMS call for a credential's version, then none for five minutes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.scrub import register
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import envelope

CACHE_S = 300.0
"""How long a data key is kept: also how long a disabled KMS key goes unnoticed by a warm function."""
CACHED_KEYS = 512

UnwrapOutcome = Literal["opened", "refused"]
"""Of asking KMS for a data key: `refused` also where it gave one to which the secret does not belong."""

CacheKey = tuple[str, int, bytes]
_log = logging.getLogger(__name__)


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
        on_unwrap: Told of every call to KMS that was answered, for the audit log: once, however many requests share
            it, and in the context of the first of them. It learns no key, and an error of its own stops no request.
    """

    def __init__(
        self,
        kms: Kms,
        *,
        on_open: Callable[[Secret], None] = register,
        on_unwrap: Callable[[Binding, UnwrapOutcome], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kms = kms
        self._on_open = on_open
        self._on_unwrap = on_unwrap
        self._monotonic = monotonic
        self._cached: OrderedDict[CacheKey, _CachedKey] = OrderedDict()
        self._unwrapping: dict[CacheKey, asyncio.Task[bytes]] = {}

    async def open(self, binding: Binding, sealed: SealedSecret) -> Mapping[str, Secret]:
        """The secret's fields.

        Raises:
            CredentialUndecryptable: sealed for another identity, altered, shredded, or its KMS key is gone, disabled
                or forbidden.
            VaultUnavailable: KMS does not answer.
        """
        envelope.check_openable(binding, sealed)
        at = cache_key(binding, sealed)
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

    async def _unwrap_once(self, at: CacheKey, binding: Binding, sealed: SealedSecret) -> bytes:
        """Requests that meet an unknown key at the same time share one call to KMS, whoever of them gives up."""
        task = self._unwrapping.get(at)
        if task is None:
            task = asyncio.create_task(self._unwrap(at, binding, sealed))
            self._unwrapping[at] = task
            task.add_done_callback(lambda done: self._unwrapped(at, done))
        return await asyncio.shield(task)

    async def _unwrap(self, at: CacheKey, binding: Binding, sealed: SealedSecret) -> bytes:
        try:
            data_key = await self._kms.decrypt(sealed.kms_key_id, sealed.wrapped_key, binding.encryption_context())
            keys = envelope.derive(data_key)
            envelope.check_commitment(keys, sealed.commitment)
        except CredentialUndecryptable:
            self._tell(binding, "refused")
            raise
        self._tell(binding, "opened")
        self._cached[at] = _CachedKey(keys.encryption, self._monotonic() + CACHE_S)
        self._cached.move_to_end(at)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return keys.encryption

    def _tell(self, binding: Binding, outcome: UnwrapOutcome) -> None:
        if self._on_unwrap is None:
            return
        try:
            self._on_unwrap(binding, outcome)
        except Exception:  # noqa: BLE001 - whatever the listener raises, the request goes on
            _log.exception("an unwrap could not be told", extra={"credential": binding.credential_id})

    def _unwrapped(self, at: CacheKey, task: asyncio.Task[bytes]) -> None:
        del self._unwrapping[at]
        if not task.cancelled():
            # Marks the error as seen where every request that waited for it has gone.
            task.exception()


def cache_key(binding: Binding, sealed: SealedSecret) -> CacheKey:
    """What a cached data key is found by: the credential, its version, and a digest of all that was sealed."""
    digest = sha256(binding.associated_data())
    for part in (sealed.kms_key_id.encode(), sealed.wrapped_key, sealed.nonce, sealed.commitment, sealed.ciphertext):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return binding.credential_id, binding.version, digest.digest()
