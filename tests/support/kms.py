"""KMS in memory, as strict as the real one: the context, the key and every byte of the blob must fit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ownkey.domain.errors import CredentialUndecryptable
from ownkey.store.kms import DataKey

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d"


class FakeKms:
    """`ownkey.store.kms.Kms` without a network; counts its calls."""

    def __init__(self) -> None:
        self._keys = {KMS_KEY: os.urandom(32)}
        self.made = 0
        self.opened = 0

    async def generate_data_key(self, key_id: str, context: Mapping[str, str]) -> DataKey:
        self.made += 1
        plaintext, nonce = os.urandom(32), os.urandom(12)
        wrapped = nonce + AESGCM(self._keys[key_id]).encrypt(nonce, plaintext, _canonical(context))
        return DataKey(plaintext, wrapped, key_id)

    async def decrypt(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self.opened += 1
        if key_id not in self._keys:
            raise CredentialUndecryptable("KMS does not open this credential's key (NotFoundException).")
        try:
            return AESGCM(self._keys[key_id]).decrypt(wrapped[:12], wrapped[12:], _canonical(context))
        except (InvalidTag, ValueError) as e:
            raise CredentialUndecryptable("KMS does not open this credential's key.") from e


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()
