"""Bodies of `/api/admin-credentials`, `/api/reconciliations` and the account's settings of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from ownkey.domain.money import parse_usd
from ownkey.http.management.bodies.common import Body
from ownkey.http.management.bodies.credentials import FormBody, ProviderName

_MOST_NANOUSD = 10**15


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("must be a day, such as 2026-11-21") from None


def _threshold(text: str) -> str:
    try:
        nanousd = parse_usd(text)
    except ValueError:
        raise ValueError('must be a decimal amount of dollars, such as "1.00"') from None
    if not 0 <= nanousd <= _MOST_NANOUSD:
        raise ValueError("must be at least zero and at most 1000000")
    return text


Day = Annotated[str, StringConstraints(min_length=10, max_length=10), AfterValidator(_day)]


class CreateAdminCredential(FormBody):
    """`POST /api/admin-credentials`: the members of the form that its provider's report has."""

    provider: ProviderName


class RotateAdminCredential(FormBody):
    """`POST /api/admin-credentials/{id}/rotate`."""


class StartReconciliation(Body):
    """`POST /api/reconciliations`: whole days (UTC), both included."""

    provider: ProviderName
    first: Day = Field(alias="from")
    last: Day = Field(alias="to")


class SetLeakSettings(Body):
    """`PUT /api/reconciliation-settings`."""

    leak_threshold_usd: Annotated[str, StringConstraints(max_length=24), AfterValidator(_threshold)] = "1"
    disable_credential: bool = False
