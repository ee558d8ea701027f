"""The validation function, as management reaches it: ciphertext out, a verdict back."""

from __future__ import annotations

from ownkey.store.functions import Functions
from ownkey.validation import Candidate, Finding

TIMEOUT_S = 20.0
"""Of the 29 s that API Gateway waits for the whole request."""


class ValidationFunction:
    """Invokes the function that may decrypt."""

    def __init__(self, functions: Functions, name: str) -> None:
        self._functions = functions
        self._name = name

    async def validate(self, candidate: Candidate) -> Finding:
        """One live validation.

        Raises:
            GatewayFailure: the function failed, or did not answer in time.
        """
        return Finding.from_json(await self._functions.invoke(self._name, candidate.to_json(), timeout_s=TIMEOUT_S))
