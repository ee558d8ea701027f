"""The encrypting half of the vault."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import envelope


class Sealer:
    """Seals secrets under fresh data keys. Needs `kms:GenerateDataKey`, and nothing that could open them again."""

    def __init__(self, kms: Kms, kms_key_id: str) -> None:
        self._kms = kms
        self._kms_key_id = kms_key_id

    async def seal(
        self, binding: Binding, fields: Mapping[str, Secret], *, now: str, kms_key_id: str | None = None
    ) -> SealedSecret:
        """One version of a secret, encrypted for exactly this binding (a plain key is `{"key": …}`).

        Args:
            kms_key_id: ARN of the account's own KMS key; None: the stack's.

        Raises:
            KmsKeyUnusable: KMS refuses the account's own key.
            VaultUnavailable: KMS refuses the stack's key, or does not answer.
        """
        wrapping_key = kms_key_id or self._kms_key_id
        data_key = await self._kms.generate_data_key(
            wrapping_key, binding.encryption_context(), own=wrapping_key != self._kms_key_id
        )
        keys = envelope.derive(data_key.plaintext)
        nonce, ciphertext = envelope.encrypt(keys, binding, fields)
        return SealedSecret(
            version=binding.version,
            wrapped_key=data_key.wrapped,
            kms_key_id=data_key.key_id,
            nonce=nonce,
            ciphertext=ciphertext,
            commitment=keys.commitment,
            created_at=now,
        )
