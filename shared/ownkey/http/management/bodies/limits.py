"""Bodies of `/api/limits`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from ownkey.domain.limits import LimitScope, Measure, Window
from ownkey.http.management.bodies.common import ABSENT, Body, printable

_MAX_ALERTS = 5


def _alerts(percents: list[int]) -> list[int]:
    return sorted(set(percents))


Amount = Annotated[int, Field(ge=1, le=10**15)] | Annotated[str, StringConstraints(min_length=1, max_length=40)]
"""A number; of spend a decimal string of dollars."""
Alerts = Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(max_length=_MAX_ALERTS), AfterValidator(_alerts)]
Value = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]


class CreateLimit(Body):
    """`POST /api/limits`."""

    scope: Annotated[LimitScope, Field(strict=False)] = LimitScope.ACCOUNT
    value: Value | None = None
    """The gateway key's id, the user or the tag; not of the account."""
    measure: Annotated[Measure, Field(strict=False)]
    window: Annotated[Window, Field(strict=False)]
    amount: Amount
    include_byok: bool = ABSENT
    """Of spend: whether what the account's own keys cost counts. Default: no; all else counts all use."""
    hard: bool = True
    alerts: Alerts = ABSENT
    """Percent. Default: 50, 80, 100; of a minute none."""


class UpdateLimit(Body):
    """`PATCH /api/limits/{id}`: what it counts stays, or it would be another limit."""

    amount: Amount = ABSENT
    include_byok: bool = ABSENT
    hard: bool = ABSENT
    alerts: Alerts = ABSENT

    def given(self) -> dict[str, Any]:
        """What the body names."""
        return {name: getattr(self, name) for name in self.model_fields_set}
