"""KMS in memory, as strict as the real one: the context, the key and every byte of the blob must fit."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from local.aws import Controls
from ownkey.domain.credentials import Binding
from ownkey.domain.errors import CredentialUndecryptable, KmsKeyUnusable, VaultUnavailable
from ownkey.store.aws import AwsClient
from ownkey.store.kms import DataKey, Kms
from tests.support.aws import Tables, environ

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/0a1b2c3d"
OWN_KMS_KEY = "arn:aws:kms:us-east-1:444455556666:key/4e5f6a7b"
"""Of an account that brings a KMS key of its own."""


class FakeKms:
    """`ownkey.store.kms.Kms` without a network; counts its calls. Keys in `disabled` do nothing."""

    def __init__(self) -> None:
        self._keys = {arn: os.urandom(32) for arn in (KMS_KEY, OWN_KMS_KEY)}
        self.disabled: set[str] = set()
        self.made = 0
        self.opened = 0
        self.rewrapped = 0

    async def generate_data_key(self, key_id: str, context: Mapping[str, str], *, own: bool = False) -> DataKey:
        self.made += 1
        if why := self._refusal(key_id):
            if own:
                raise KmsKeyUnusable(f"KMS does not let Ownkey wrap keys under this KMS key ({why}).")
            raise VaultUnavailable(f"KMS refused to make a data key ({why}).")
        plaintext = os.urandom(32)
        return DataKey(plaintext, self._wrap(key_id, plaintext, context), key_id)

    async def decrypt(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        self.opened += 1
        return self._unwrap(key_id, wrapped, context)

    async def re_encrypt(
        self, source_key_id: str, destination_key_id: str, wrapped: bytes, context: Mapping[str, str]
    ) -> tuple[bytes, str]:
        self.rewrapped += 1
        plaintext = self._unwrap(source_key_id, wrapped, context)
        if why := self._refusal(destination_key_id):
            raise KmsKeyUnusable(f"KMS does not let Ownkey wrap keys under this KMS key ({why}).")
        return self._wrap(destination_key_id, plaintext, context), destination_key_id

    @property
    def calls(self) -> int:
        """Of every kind."""
        return self.made + self.opened + self.rewrapped

    def _refusal(self, key_id: str) -> str | None:
        if key_id not in self._keys:
            return "NotFoundException"
        return "DisabledException" if key_id in self.disabled else None

    def _wrap(self, key_id: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self._keys[key_id]).encrypt(nonce, plaintext, _canonical(context))

    def _unwrap(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        if why := self._refusal(key_id):
            raise CredentialUndecryptable(f"KMS does not open this credential's key ({why}).")
        try:
            return AESGCM(self._keys[key_id]).decrypt(wrapped[:12], wrapped[12:], _canonical(context))
        except (InvalidTag, ValueError) as e:
            raise CredentialUndecryptable("KMS does not open this credential's key.") from e


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()


@asynccontextmanager
async def kms_of_a_role(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, binding: Binding, **keys: list[str]
) -> AsyncIterator[Kms]:
    """KMS on loopback as a function sees it: allowed these actions (`ReEncryptTo=[arn]`), with a whole binding only."""
    access_key = "AKIAROLEOFKMS"
    bound = {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(binding.encryption_context())},
        "Null": {f"kms:EncryptionContext:{name}": "false" for name in binding.encryption_context()},
    }
    statements = [
        {"effect": "Allow", "actions": [f"kms:{action}"], "resources": arns, "conditions": bound}
        for action, arns in keys.items()
    ]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    Controls(tables.endpoint).set_policies({access_key: statements})
    aws = AwsClient(environ=environ(tables.endpoint))
    try:
        yield Kms(aws)
    finally:
        await aws.close()
        Controls(tables.endpoint).set_policies({})
