"""KMS: data keys made and opened under an encryption context."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from ownkey.domain.errors import CredentialUndecryptable, StoreUnavailable, VaultUnavailable
from ownkey.store.aws import AwsClient, AwsError

_GONE = frozenset(
    {
        "InvalidCiphertextException",
        "IncorrectKeyException",
        "KMSInvalidStateException",
        "DisabledException",
        "NotFoundException",
        "AccessDeniedException",
        "ValidationException",
    }
)
"""What no repetition changes: the key or the permission is gone, or the stored bytes are none that KMS ever made."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A fresh 256-bit key, in the clear and wrapped; `key_id` is the KMS key's ARN."""

    plaintext: bytes = field(repr=False)
    wrapped: bytes
    key_id: str


class Kms:
    """The two calls of the vault. IAM decides which function may make which."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def generate_data_key(self, key_id: str, context: Mapping[str, str]) -> DataKey:
        """A new AES-256 data key.

        Raises:
            VaultUnavailable: KMS refuses or does not answer.
        """
        body = {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": dict(context)}
        try:
            answer = await self._aws.call_json("kms", "TrentService.GenerateDataKey", body, json_version="1.1")
        except AwsError as e:
            raise VaultUnavailable(f"KMS refused to make a data key ({e.code}).") from e
        except StoreUnavailable as e:
            raise VaultUnavailable("KMS did not answer.", retry_after_s=1) from e
        plaintext, wrapped = (base64.b64decode(answer[name]) for name in ("Plaintext", "CiphertextBlob"))
        return DataKey(plaintext, wrapped, answer["KeyId"])

    async def decrypt(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The data key in the clear.

        Raises:
            CredentialUndecryptable: the context does not fit, or the KMS key is gone, disabled or forbidden.
            VaultUnavailable: KMS does not answer.
        """
        body = {
            "KeyId": key_id,
            "CiphertextBlob": base64.b64encode(wrapped).decode(),
            "EncryptionContext": dict(context),
        }
        try:
            answer = await self._aws.call_json("kms", "TrentService.Decrypt", body, json_version="1.1")
        except AwsError as e:
            if e.code in _GONE:
                raise CredentialUndecryptable(f"KMS does not open this credential's key ({e.code}).") from e
            raise VaultUnavailable(f"KMS refused ({e.code}).") from e
        except StoreUnavailable as e:
            raise VaultUnavailable("KMS did not answer.", retry_after_s=1) from e
        return base64.b64decode(answer["Plaintext"])
