"""Does a KMS key open what it sealed? Asked before an account's secrets are wrapped under a key of its own.

```
{"action": "open_check", "binding": {…}, "sealed": {…}}        as in `candidate`
→ {"opened": true, "reason": null}
```
What travels is a throwaway, sealed for an identity that no credential has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.validation.candidate import sealed_from_json, sealed_to_json
from ownkey.vault import Opener

ACTION = "open_check"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenCheck:
    """What is to be opened."""

    binding: Binding
    sealed: SealedSecret

    def to_json(self) -> Json:
        """The event for the validation function."""
        return {"action": ACTION, "binding": asdict(self.binding), "sealed": sealed_to_json(self.sealed)}

    @staticmethod
    def from_json(event: Mapping[str, Any]) -> OpenCheck:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError: not a check.
        """
        return OpenCheck(Binding(**event["binding"]), sealed_from_json(event["sealed"]))


async def open_check(opener: Opener, event: Mapping[str, Any]) -> Json:
    """Whether it opens, and if not, what KMS says.

    Raises:
        VaultUnavailable: KMS does not answer.
    """
    check = OpenCheck.from_json(event)
    try:
        await opener.open(check.binding, check.sealed)
    except CredentialUndecryptable as e:
        return {"opened": False, "reason": e.message}
    return {"opened": True, "reason": None}
