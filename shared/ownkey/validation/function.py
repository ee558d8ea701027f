"""The validation function, as others reach it: ciphertext out, a verdict back."""

from __future__ import annotations

from ownkey.store.functions import Functions
from ownkey.validation.candidate import Candidate, Finding
from ownkey.validation.opening import OpenCheck
from ownkey.validation.report_parts import ReportAsk, ReportPart

TIMEOUT_S = 20.0
"""Of the 29 s that API Gateway waits for a whole request of the management API."""


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

    async def open_check(self, check: OpenCheck) -> str | None:
        """None where the secret opens, else why not.

        Raises:
            GatewayFailure: the function failed, or did not answer in time.
        """
        answer = await self._functions.invoke(self._name, check.to_json(), timeout_s=TIMEOUT_S)
        return None if answer["opened"] else str(answer["reason"])

    async def report(self, ask: ReportAsk) -> ReportPart:
        """Some pages of a provider's report.

        Raises:
            GatewayFailure: the function failed, or did not answer in time.
        """
        return ReportPart.from_json(await self._functions.invoke(self._name, ask.to_json(), timeout_s=TIMEOUT_S))
