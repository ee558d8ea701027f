"""Moving sealed secrets to another KMS key."""

from __future__ import annotations

from dataclasses import replace

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.store.kms import Kms
from ownkey.vault import envelope


class Rewrapper:
    """Wraps data keys anew, inside KMS. Needs `kms:ReEncryptFrom` and `kms:ReEncryptTo`, which open and seal nothing.

    What is already stored stays as good as it was: whoever is stopped half-way has secrets under both keys, each of
    which opens.
    """

    def __init__(self, kms: Kms) -> None:
        self._kms = kms

    async def rewrap(self, binding: Binding, sealed: SealedSecret, kms_key_id: str) -> SealedSecret:
        """The same secret with its data key wrapped under another KMS key; nothing else differs.

        Args:
            kms_key_id: ARN of the KMS key to wrap under.

        Raises:
            CredentialUndecryptable: the secret is shredded or of another version, its wrapping is not this binding's,
                or the KMS key it is under is gone, disabled or forbidden.
            KmsKeyUnusable: the KMS key to wrap under is.
            VaultUnavailable: KMS does not answer.
        """
        envelope.check_openable(binding, sealed)
        wrapped, key_id = await self._kms.re_encrypt(
            sealed.kms_key_id, kms_key_id, sealed.wrapped_key, binding.encryption_context()
        )
        return replace(sealed, wrapped_key=wrapped, kms_key_id=key_id)
