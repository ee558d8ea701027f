"""What those whom a shared credential serves learn of its failures: what happened, and nothing in the provider's words.

A provider's errors are about the key's owner as much as about the request: they name organisations, projects, plans.
"""

from __future__ import annotations

import re
from typing import TypeVar

from ownkey.domain.errors import CredentialUndecryptable, OwnkeyError, ProviderFailure, ProviderRefused

E = TypeVar("E", bound=OwnkeyError)

_CODE = re.compile(r"[a-z_]{3,64}")
_PARAM = re.compile(r"[a-z0-9_.\[\]]{1,64}")
_FIX = "Try again; with a provider key of your own (POST /api/byok) the provider's words are passed on."
_REFUSED_FIX = (
    "Correct the request; with a provider key of your own (POST /api/byok) the provider's words are passed on."
)


def withheld(error: E) -> E:
    """The error without what its provider, or the vault, said. What is the gateway's own stays as it is."""
    if not isinstance(error, ProviderFailure | CredentialUndecryptable):
        return error
    told = type(error).__new__(type(error))
    told.__dict__ |= error.__dict__
    status = error.details.get("provider_status")
    told.details = {"provider_status": status} if isinstance(status, int) else {}
    answered = f" with status {status}" if told.details else ""
    told.message, told.fix = f"The provider did not serve the request{answered}.", _FIX
    if isinstance(told, ProviderRefused):
        told.fix = _REFUSED_FIX
        told.code = told.code if _CODE.fullmatch(told.code) else "provider_refused"
        told.param = told.param if told.param and _PARAM.fullmatch(told.param) else None
    told.args = (told.message,)
    return told
