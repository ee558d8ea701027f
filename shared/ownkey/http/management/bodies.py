"""Request bodies: what a client may send, checked before anything else happens. pydantic lives here and nowhere below.

Unknown fields are refused: a misspelt `gateway_key` must not silently make a key account-wide. Provider keys arrive as
`SecretStr` and leave as `Secret`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from ownkey.domain.accounts import ACCOUNT_ID_PATTERN
from ownkey.domain.money import parse_usd
from ownkey.http.management.credentials import Given
from ownkey.http.management.times import parse_rfc3339, rfc3339

MAX_KEY_CHARS = 8_192
MAX_PROVIDERS = 20
_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+$")
_MAX_DEPOSIT_NANOUSD = 10**9 * 10**7


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without space around it")
    return text


def _ascii(text: str) -> str:
    """Stands in HTTP headers."""
    if not text.isascii():
        raise ValueError("must be plain ASCII: it stands in HTTP headers")
    return _printable(text)


def _scope(what: str) -> Callable[[list[str]], list[str]]:
    def check(values: list[str]) -> list[str]:
        if not values:
            raise ValueError(f"is empty, which would allow none: leave it out, or give null, for all {what}")
        return list(dict.fromkeys(values))

    return check


def _email(text: str) -> str:
    if not text.isascii() or not text.isprintable() or not _EMAIL.match(text):
        raise ValueError("must be an e-mail address")
    return text.lower()


def _amount(text: str) -> str:
    try:
        nanousd = parse_usd(text)
    except ValueError:
        # `from None`: the cause quotes what was sent.
        raise ValueError('must be a decimal amount of dollars, such as "10.00"') from None
    if not 0 < nanousd <= _MAX_DEPOSIT_NANOUSD:
        raise ValueError("must be more than zero and at most 10000000")
    return text


def _time(text: str) -> str:
    try:
        return rfc3339(parse_rfc3339(text))
    except ValueError:
        raise ValueError("must be a time with its offset, such as 2027-01-31T12:00:00Z") from None


Key = Annotated[SecretStr, Field(max_length=MAX_KEY_CHARS)]
Alias = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_ascii)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_ascii)]
Priority = Annotated[int, Field(ge=0, le=1_000)]
Weight = Annotated[int, Field(ge=1, le=1_000)]
BaseUrl = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
_Ids = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_ascii)]
Models = Annotated[list[_Ids], Field(max_length=200), AfterValidator(_scope("models"))]
GatewayKeyIds = Annotated[list[_Ids], Field(max_length=100), AfterValidator(_scope("gateway keys"))]
Expiry = Annotated[str, StringConstraints(max_length=40), AfterValidator(_time)]


_ABSENT: Any = None
"""Default of fields whose type does not admit None: leaving them out is allowed, an explicit null is not."""


class Body(BaseModel):
    """Strict JSON: no unknown fields, no number for a string, no input in an error's text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class CredentialSettings(Body):
    """What may be changed of a credential without its secret. Absent is unchanged (or the default)."""

    alias: Alias = _ABSENT
    priority: Priority = _ABSENT
    weight: Weight = _ABSENT
    disabled: bool = _ABSENT
    always_use: bool = _ABSENT
    allowed_models: Models | None = None
    gateway_keys: GatewayKeyIds | None = None
    organization: HeaderValue | None = None
    project: HeaderValue | None = None

    def given(self) -> Given:
        """The settings that the body names, by their names in the domain."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set & _PLAIN}
        for name in self.model_fields_set & _LISTS:
            values = getattr(self, name)
            named[name] = values if values is None else tuple(values)
        if headers := {name: getattr(self, name) for name in self.model_fields_set & _HEADERS}:
            named["headers"] = headers
        return cast(Given, named)


_PLAIN = frozenset({"alias", "priority", "weight", "disabled", "always_use"})
_LISTS = frozenset({"allowed_models", "gateway_keys"})
_HEADERS = frozenset({"organization", "project"})


class CreateCredential(CredentialSettings):
    """`POST /api/byok`."""

    provider: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    key: Key
    base_url: BaseUrl | None = None


class UpdateCredential(CredentialSettings):
    """`PATCH /api/byok/{id}`. A new `base_url` (null: the provider's own) needs `key` beside it."""

    base_url: BaseUrl | None = None
    key: Key = _ABSENT


class RotateCredential(Body):
    """`POST /api/byok/{id}/rotate`."""

    key: Key


class ProviderKeys(Body):
    """`PATCH /api/auth`: provider keys of one gateway key, by provider name as people type it.

    The field must be there: `{}` says nothing, `{"providerKeys": null}` clears all.
    """

    providerKeys: Annotated[dict[str, Key | None], Field(max_length=MAX_PROVIDERS)] | None  # noqa: N815 - the wire's

    def pasted(self) -> dict[str, str | None] | None:
        """The keys by name, in the clear; None or "" clears one, None all."""
        if self.providerKeys is None:
            return None
        return {name: key.get_secret_value() if key else None for name, key in self.providerKeys.items()}


class CreateGatewayKey(Body):
    """`POST /api/gateway-keys`."""

    alias: Alias = "default"
    expires_at: Expiry | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    usage_cost_mode: Literal["charge", "provider"] = "charge"
    key: Key | None = None
    """A key from another gateway, to be taken over as it is (where the deployment allows it)."""


class UpdateGatewayKey(Body):
    """`PATCH /api/gateway-keys/{id}`."""

    alias: Alias = _ABSENT
    expires_at: Expiry | None = None
    usage_cost_mode: Literal["charge", "provider"] = _ABSENT


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

    name: Name = _ABSENT
    platform_allowed: bool = _ABSENT


class AddMember(Body):
    """`POST /api/accounts/{id}/members`."""

    email: Email
    role: RoleName


class Deposit(Body):
    """`POST /api/accounts/{id}/deposits`, by the operator. Dollars as a decimal string."""

    amount_usd: Annotated[str, StringConstraints(max_length=24), AfterValidator(_amount)]
    note: Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)] | None = None
