"""The functions' environment, read once at init.

Each function has its own class, which lists exactly the variables that function uses: a field is the variable's name in
lower case, a field without a default must be set. So what is missing stops the function before its first event, and a
setting that a function does not have cannot be read by mistake.

Handlers read them and pass plain values down: nothing below this floor imports it. AWS's own variables (credentials,
endpoints) are read by botocore and by `ownkey.store`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Self

from ownkey.domain.money import parse_usd

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_ALL_BASIS_POINTS = 10_000

Upstreams = Mapping[str, Mapping[str, str]]
"""Provider id → its endpoints, at least `base_url`: servers that stand for providers on a local stack."""

Nanousd = int
"""Dollars in the variable, nano-dollars in the field."""
Names = tuple[str, ...]
"""As text separated by commas."""
BasisPoints = int
"""Hundredths of a percent."""


class SettingsError(Exception):
    """The environment lacks a variable or holds one that cannot be read. Names variables, never their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every function has."""

    aws_region: str
    powertools_service_name: str
    """The function's name in its log lines."""
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Reads the class's variables; an empty one counts as not set.

        Raises:
            SettingsError: names every variable that is missing, or the one that cannot be read.
        """
        missing = [name for name in cls.required_variables() if not env.get(name)]
        if missing:
            raise SettingsError(f"{cls.__name__} needs {', '.join(missing)}: set them in the function's environment.")
        given = {f.name: (f.name.upper(), str(f.type)) for f in fields(cls) if env.get(f.name.upper())}
        return cls(**{name: _parsed(variable, env[variable], kind) for name, (variable, kind) in given.items()})

    @classmethod
    def required_variables(cls) -> tuple[str, ...]:
        """The environment variables without which `from_env` fails."""
        return tuple(f.name.upper() for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """All environment variables that `from_env` reads."""
        return tuple(f.name.upper() for f in fields(cls))

    def __post_init__(self) -> None:
        if self.log_level not in _LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL must be one of {', '.join(_LOG_LEVELS)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReach(Settings):
    """What a function has that knows where providers are. Both are for local stacks: no deployed function has them."""

    ownkey_upstreams: Upstreams = field(default_factory=lambda: MappingProxyType({}))
    ownkey_allowed_origins: tuple[str, ...] = ()
    """Origins such as `http://127.0.0.1:9000` that the guard against SSRF lets through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSettings(ProviderReach):
    """`inference`: authenticates, plans, opens keys, calls providers, writes attempts and holds."""

    registry_table: str
    records_table: str
    credits_table: str
    counters_table: str
    rollups_table: str
    health_table: str
    audit_table: str
    answers_table: str
    vault_key_id: str
    margin_percent: Decimal = Decimal(5)
    """Added to the provider's price on platform traffic."""
    sharing_providers: Names = ()
    """Ids of the providers whose terms let an account's credential serve others."""
    sharing_reward_basis_points: BasisPoints = 500
    """Of the cost, for the account whose credential serves; 100 are 1 %."""
    imported_gateway_keys: bool = False
    """Whether gateway keys of a foreign format are looked up."""
    keyless_credentials: bool = False
    """Whether the function's own identity may be exchanged for a provider's token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSettings(ProviderReach):
    """`keys`: the management API. It sends no key anywhere, but writes down where each may be sent."""

    registry_table: str
    records_table: str
    credits_table: str
    counters_table: str
    ledger_table: str
    rollups_table: str
    health_table: str
    audit_table: str
    vault_key_id: str
    validation_function: str
    user_pool_id: str
    user_pool_client_id: str
    session_issuer: str
    jwks_url: str
    sharing_providers: Names = ()
    sharing_reward_basis_points: BasisPoints = 500
    imported_gateway_keys: bool = False
    keyless_credentials: bool = False
    """Whether credentials without a secret may be saved."""
    sign_up_credit_usd: Nanousd = 0
    """What every new account is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings(ProviderReach):
    """`validation`: opens a candidate key, asks its provider, and notes the finding."""

    health_table: str
    audit_table: str
    vault_key_id: str
    keyless_credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSettings(Settings):
    """`billing`: settles what the stream of records brings."""

    records_table: str
    credits_table: str
    ledger_table: str
    rollups_table: str
    counters_table: str
    audit_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsSettings(Settings):
    """`payments`: what a payment provider tells becomes deposits."""

    registry_table: str
    records_table: str
    audit_table: str
    stripe_webhook_secret_arn: str
    """Of the secret in Secrets Manager that holds the signing secrets: never the secrets themselves."""
    stripe_live: bool = True
    """Whether real payments count, or those of Stripe's test mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings(Settings):
    """`upkeep`: ends what dead functions left behind, re-wraps, has credentials validated again, verifies the books."""

    registry_table: str
    records_table: str
    credits_table: str
    counters_table: str
    ledger_table: str
    rollups_table: str
    health_table: str
    audit_table: str
    vault_key_id: str
    validation_function: str


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _percent(text: str) -> Decimal:
    percent = Decimal(text)
    if not 0 <= percent <= 1000:
        raise ValueError
    return percent


def _dollars(text: str) -> int:
    nanousd = parse_usd(text)
    if nanousd < 0:
        raise ValueError
    return nanousd


def _basis_points(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _ALL_BASIS_POINTS:
        raise ValueError
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError
    return names


def _strings(text: str) -> tuple[str, ...]:
    values = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError
    return tuple(values)


def _upstreams(text: str) -> Upstreams:
    """`{"openai": "http://…"}` or `{"openai": {"base_url": "http://…", …}}`."""
    providers = {
        provider: {"base_url": value} if isinstance(value, str) else dict(value)
        for provider, value in json.loads(text).items()
    }
    if not all(isinstance(endpoints.get("base_url"), str) for endpoints in providers.values()):
        raise ValueError
    return MappingProxyType(providers)


_KINDS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "str": (str, "text"),
    "bool": (_flag, "true or false"),
    "Decimal": (_percent, "a number from 0 to 1000"),
    "Nanousd": (_dollars, "an amount of dollars, not below zero"),
    "BasisPoints": (_basis_points, "a whole number from 0 to 10000"),
    "Names": (_names, "names separated by commas"),
    "tuple[str, ...]": (_strings, "a JSON list of strings"),
    "Upstreams": (_upstreams, "a JSON object of base URLs by provider id"),
}
"""A field's annotation → how its variable is read, and what it should be, for the error."""


def _parsed(variable: str, text: str, kind: str) -> Any:
    parse, expected = _KINDS[kind]
    try:
        return parse(text)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
        # `from None`: a JSON error carries the text it could not read.
        raise SettingsError(f"{variable} must be {expected}.") from None
