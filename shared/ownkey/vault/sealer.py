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

    async def seal(self, binding: Binding, fields: Mapping[str, Secret], *, now: str) -> SealedSecret:
        """One version of a secret, encrypted for exactly this binding (a plain key is `{"key": …}`).

        Raises:
            VaultUnavailable: KMS refuses or does not answer.
        """
        data_key = await self._kms.generate_data_key(self._kms_key_id, binding.encryption_context())
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
