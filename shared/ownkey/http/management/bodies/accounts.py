"""Bodies of `/api/accounts`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from ownkey.domain.accounts import ACCOUNT_ID_PATTERN, OnDisconnect
from ownkey.domain.money import parse_usd
from ownkey.http.management.bodies.common import ABSENT, Body, Name, printable

_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+$")
_MAX_DEPOSIT_NANOUSD = 10**9 * 10**7
_DOLLARS = re.compile(r"-?[0-9]{1,8}(\.[0-9]{1,9})?")
"""Plain: no exponent, no sign but a minus, nothing finer than a nano-dollar."""


def _email(text: str) -> str:
    if not text.isascii() or not text.isprintable() or not _EMAIL.match(text):
        raise ValueError("must be an e-mail address")
    return text.lower()


def _dollars(text: str) -> int:
    if not _DOLLARS.fullmatch(text):
        raise ValueError('must be a decimal amount of dollars, such as "10.00", of at most nine decimals')
    return parse_usd(text)


def _amount(text: str) -> str:
    if not 0 < _dollars(text) <= _MAX_DEPOSIT_NANOUSD:
        raise ValueError("must be more than zero and at most 10000000")
    return text


def _change(text: str) -> str:
    if not 0 < abs(_dollars(text)) <= _MAX_DEPOSIT_NANOUSD:
        raise ValueError("must not be zero, and at most 10000000 either way")
    return text


Policy = Annotated[OnDisconnect, Field(strict=False)]
RoleName = Literal["owner", "admin", "member", "billing"]
Email = Annotated[str, StringConstraints(max_length=254, strip_whitespace=True), AfterValidator(_email)]


class CreateAccount(Body):
    """`POST /api/accounts`, by the operator."""

    name: Name
    id: Annotated[str, StringConstraints(pattern=ACCOUNT_ID_PATTERN)] | None = None
    owner_email: Email | None = None
    """Absent: the operator who creates it."""


class UpdateAccount(Body):
    """`PATCH /api/accounts/{id}`."""

    name: Name = ABSENT
    platform_allowed: bool = ABSENT
    on_disconnect: Policy = ABSENT
    disabled: bool = ABSENT
    """By the operator alone: requests of a disabled account are refused."""


class UpdateSettings(Body):
    """`PATCH /api/settings`."""

    platform_allowed: bool = ABSENT
    on_disconnect: Policy = ABSENT


class AddMember(Body):
    """`POST /api/accounts/{id}/members`."""

    email: Email
    role: RoleName


class ChangeMember(Body):
    """`PATCH /api/accounts/{id}/members/{user_id}`."""

    role: RoleName


class CreateInvitation(Body):
    """`POST /api/accounts/{id}/invitations`."""

    email: Email
    role: RoleName


class Deposit(Body):
    """`POST /api/accounts/{id}/deposits`, by the operator. Dollars as a decimal string."""

    amount_usd: Annotated[str, StringConstraints(max_length=24), AfterValidator(_amount)]
    note: Annotated[str, StringConstraints(max_length=200), AfterValidator(printable)] | None = None


class Correction(Body):
    """`POST /api/accounts/{id}/corrections`, by the operator. Negative takes back."""

    amount_usd: Annotated[str, StringConstraints(max_length=24), AfterValidator(_change)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
    partial: bool = False
    """Takes back what there is, where that is less."""
