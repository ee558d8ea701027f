"""The vault: provider keys encrypted, each version under a data key of its own that only KMS can unwrap.

=========== =====================================================================================
`envelope`  one data key and one secret: AES-256-GCM with a key commitment; no I/O
`sealer`    `Sealer`: encrypts. The management function holds this half, and IAM gives it no other
`opener`    `Opener`: decrypts, with the data keys cached. Inference and validation hold this half
`rewrapper` `Rewrapper`: moves a secret to another KMS key, and sees neither it nor its data key
=========== =====================================================================================

The format and its reasons: docs/decisions/0006-vault.md.
"""

from ownkey.vault.opener import Opener, UnwrapOutcome
from ownkey.vault.rewrapper import Rewrapper
from ownkey.vault.sealer import Sealer

__all__ = ["Opener", "Rewrapper", "Sealer", "UnwrapOutcome"]
