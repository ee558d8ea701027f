"""KMS: data keys made, opened and wrapped anew under an encryption context."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ownkey.domain.errors import CredentialUndecryptable, KmsKeyUnusable, StoreUnavailable, VaultUnavailable
from ownkey.store.aws import AwsClient, AwsError

_NO_SUCH_KEY = "Give the whole ARN of a KMS key that exists in the stack's region."
_WRONG_KIND = "Give the ARN of a symmetric KMS key for encryption and decryption."
_UNUSABLE = {
    "AccessDeniedException": (
        "Let the KMS key's policy allow Ownkey's functions to use it, and have the operator list its ARN in the "
        "stack's parameter AccountKmsKeyArns."
    ),
    "DisabledException": "Enable the KMS key.",
    "KMSInvalidStateException": "Cancel the KMS key's deletion if it is scheduled, and enable the key.",
    "NotFoundException": _NO_SUCH_KEY,
    "InvalidArnException": _NO_SUCH_KEY,
    "ValidationException": _NO_SUCH_KEY,
    "InvalidKeyUsageException": _WRONG_KIND,
    "UnsupportedOperationException": _WRONG_KIND,
}
"""What KMS says of a key that no repetition makes usable, and what its owner does about it."""

_ALTERED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
"""The stored bytes are none that this KMS key made under this context."""

_OPENS_AGAIN = {
    "AccessDeniedException": (
        "If the KMS key still exists, let its policy allow Ownkey's functions to use it; else paste the provider key "
        "again (POST /api/byok/{id}/rotate)."
    ),
    "DisabledException": "Enable the KMS key that the credential is wrapped under: then it opens again.",
    "KMSInvalidStateException": "Cancel the KMS key's deletion and enable it: once deleted it opens nothing again.",
}
"""Where the stored secret may be as good as ever, and its KMS key's owner decides."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A fresh 256-bit key, in the clear and wrapped; `key_id` is the KMS key's ARN."""

    plaintext: bytes = field(repr=False)
    wrapped: bytes
    key_id: str


class Kms:
    """The three calls of the vault. IAM decides which function may make which."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def generate_data_key(self, key_id: str, context: Mapping[str, str], *, own: bool = False) -> DataKey:
        """A new AES-256 data key.

        Args:
            own: The KMS key is an account's own: what is wrong with it, its owner can mend.

        Raises:
            KmsKeyUnusable: an account's own KMS key is missing, disabled, forbidden or of the wrong kind.
            VaultUnavailable: KMS refuses or does not answer.
        """
        body = {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": dict(context)}
        try:
            answer = await self._call("GenerateDataKey", body)
        except AwsError as e:
            if own and e.code in _UNUSABLE:
                raise _unusable(e) from e
            raise VaultUnavailable(f"KMS refused to make a data key ({e.code}).") from e
        return DataKey(base64.b64decode(answer["Plaintext"]), _blob(answer), answer["KeyId"])

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
            answer = await self._call("Decrypt", body)
        except AwsError as e:
            raise _not_opened(e) from e
        return base64.b64decode(answer["Plaintext"])

    async def re_encrypt(
        self, source_key_id: str, destination_key_id: str, wrapped: bytes, context: Mapping[str, str]
    ) -> tuple[bytes, str]:
        """The data key wrapped under another KMS key and the same context, and that key's ARN. KMS alone sees it.

        Raises:
            CredentialUndecryptable: the context does not fit, or the source is gone, disabled or forbidden.
            KmsKeyUnusable: the destination is.
            VaultUnavailable: KMS does not answer.
        """
        body = {
            "SourceKeyId": source_key_id,
            "DestinationKeyId": destination_key_id,
            "CiphertextBlob": base64.b64encode(wrapped).decode(),
            "SourceEncryptionContext": dict(context),
            "DestinationEncryptionContext": dict(context),
        }
        try:
            answer = await self._call("ReEncrypt", body)
        except AwsError as e:
            # The code does not say which of the two keys it is about; the message names it, or the permission.
            named = destination_key_id in e.message or "kms:ReEncryptTo" in e.message
            if e.code in _UNUSABLE and named and destination_key_id != source_key_id:
                raise _unusable(e) from e
            raise _not_opened(e) from e
        return _blob(answer), answer["KeyId"]

    async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._aws.call_json("kms", f"TrentService.{operation}", body, json_version="1.1")
        except StoreUnavailable as e:
            raise VaultUnavailable("KMS did not answer.", retry_after_s=1) from e


def _blob(answer: Mapping[str, Any]) -> bytes:
    return base64.b64decode(answer["CiphertextBlob"])


def _unusable(error: AwsError) -> KmsKeyUnusable:
    return KmsKeyUnusable(
        f"KMS does not let Ownkey wrap keys under this KMS key ({error.code}).", fix=_UNUSABLE[error.code]
    )


def _not_opened(error: AwsError) -> CredentialUndecryptable | VaultUnavailable:
    if error.code in _UNUSABLE or error.code in _ALTERED:
        message = f"KMS does not open this credential's key ({error.code})."
        return CredentialUndecryptable(message, fix=_OPENS_AGAIN.get(error.code))
    return VaultUnavailable(f"KMS refused ({error.code}).")
