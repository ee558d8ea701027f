"""What a local stack holds before its first request: accounts, users, gateway keys, credentials.

A seed file is JSON of `Seed`'s shape (docs/local-stack.md). It is written with the product's own registry, vault and
ledger, past the API on purpose: a credential may be seeded that its provider rejects, to see what happens then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ownkey.catalog import Catalog
from ownkey.domain import ids
from ownkey.domain.accounts import ACCOUNT_ID_PATTERN, PLATFORM_ACCOUNT, Member, Role
from ownkey.domain.credentials import Credential
from ownkey.domain.errors import Conflict
from ownkey.domain.gateway_keys import GatewayKey, digest_of, mint, present
from ownkey.domain.money import parse_usd
from ownkey.domain.secrets import Secret, mask
from ownkey.ledger.records import Deposit, Records
from ownkey.registry import CreateCredential, Registry
from ownkey.upstream import UrlPolicy
from ownkey.vault import Sealer

_SEEDED_BY = "seed"


class SeedError(Exception):
    """The seed file cannot be used; the message says where and why, and holds no secret."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SeedUser(_Strict):
    """A member of an account; the user is made where there is none of this e-mail."""

    email: str
    role: Role = Role.OWNER


class SeedGatewayKey(_Strict):
    """A gateway key; without `key` a new one is minted."""

    alias: str
    key: SecretStr | None = None


class SeedCredential(_Strict):
    """A provider key. `gateway_keys` are aliases of the account's; absent is account-wide."""

    provider: str
    secret: SecretStr
    alias: str | None = None
    base_url: str | None = None
    priority: int = 0
    weight: int = 1
    gateway_keys: list[str] | None = Field(default=None, min_length=1)
    allowed_models: list[str] | None = Field(default=None, min_length=1)
    disabled: bool = False
    always_use: bool = False


class SeedAccount(_Strict):
    """An account with all that belongs to it."""

    id: str = Field(pattern=ACCOUNT_ID_PATTERN)
    name: str = ""
    credits_usd: Decimal = Decimal(0)
    platform_allowed: bool = True
    users: list[SeedUser] = []
    gateway_keys: list[SeedGatewayKey] = []
    credentials: list[SeedCredential] = []


class Seed(_Strict):
    """The whole file."""

    accounts: list[SeedAccount] = []
    platform_credentials: list[SeedCredential] = []

    @staticmethod
    def read(path: Path) -> Seed:
        """The seed in a file.

        Raises:
            SeedError: it is not there, not JSON, or not of this shape.
        """
        try:
            return Seed.model_validate_json(path.read_bytes())
        except OSError as e:
            raise SeedError(f"{path}: {e.strerror}") from e
        except ValidationError as e:
            places = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in e.errors())
            raise SeedError(f"{path}: {places}") from None

    def emails(self) -> list[str]:
        """Every user that the seed names."""
        return [user.email for account in self.accounts for user in account.users]

    def secrets(self) -> list[tuple[str, str]]:
        """Every provider's name and key: what a provider that is simulated here is to accept."""
        credentials = [*self.platform_credentials, *(c for account in self.accounts for c in account.credentials)]
        return [(c.provider, c.secret.get_secret_value()) for c in credentials if not c.base_url]

    def base_urls(self) -> list[str]:
        """The base URLs that credentials name: the stack's explicit allow-list, on loopback too."""
        credentials = [*self.platform_credentials, *(c for account in self.accounts for c in account.credentials)]
        return [c.base_url for c in credentials if c.base_url]


GatewayKeysByAlias = dict[str, dict[str, str]]
"""The gateway keys in the clear, since they are shown once and here: by account and alias."""


@dataclass(frozen=True, slots=True)
class Seeder:
    """Writes seeds. `user_ids` are the pool's users by e-mail."""

    registry: Registry
    records: Records
    sealer: Sealer
    catalog: Catalog
    policy: UrlPolicy
    user_ids: Mapping[str, str]

    async def write(self, seed: Seed) -> GatewayKeysByAlias:
        """Everything in the seed; gives the gateway keys.

        Raises:
            SeedError: a provider or alias that does not exist, a key or an amount that cannot be.
        """
        await self._account(SeedAccount(id=PLATFORM_ACCOUNT, name="Platform", credentials=seed.platform_credentials))
        return {account.id: await self._account(account) for account in seed.accounts}

    async def _account(self, account: SeedAccount) -> dict[str, str]:
        now = _now()
        try:
            head = await self.registry.create_account(account.id, account.name or account.id, now=now)
        except Conflict as e:
            if account.id != PLATFORM_ACCOUNT:
                raise SeedError(f"accounts: {account.id} stands twice") from e
            head = await self.registry.account(account.id)
        if not account.platform_allowed:
            await self.registry.update_account(head, platform_allowed=False)
        for user in account.users:
            await self.registry.add_member(Member(account.id, self.user_ids[user.email], user.email, user.role, now))
        keys = {each.alias: await self._gateway_key(account.id, each) for each in account.gateway_keys}
        by_alias = {alias: key_id for alias, (key_id, _) in keys.items()}
        for credential in account.credentials:
            await self._credential(account.id, credential, by_alias)
        if account.credits_usd:
            await self._deposit(account, now)
        return {alias: text for alias, (_, text) in keys.items()}

    async def _gateway_key(self, account_id: str, wanted: SeedGatewayKey) -> tuple[str, str]:
        text = (wanted.key or SecretStr(mint(account_id).reveal())).get_secret_value()
        presented = present(text, allow_foreign=True)
        if presented is None or presented.account_id not in (None, account_id):
            raise SeedError(f"accounts.{account_id}.gateway_keys.{wanted.alias}: not a key of this account")
        key_id = ids.new_id(ids.GATEWAY_KEY)
        key = GatewayKey(key_id, account_id, wanted.alias, digest_of(text), mask(text), _now(), _SEEDED_BY)
        await self.registry.create_gateway_key(key)
        return key_id, text

    async def _credential(self, account_id: str, wanted: SeedCredential, key_ids: Mapping[str, str]) -> None:
        provider = self.catalog.find_provider(wanted.provider)
        if provider is None:
            raise SeedError(f"credentials: there is no provider {wanted.provider!r} in the catalog")
        base_url = wanted.base_url or provider.base_url
        if base_url is None:
            raise SeedError(f"credentials: {provider.display_name} needs a base_url")
        unknown = set(wanted.gateway_keys or ()) - set(key_ids)
        if unknown:
            raise SeedError(f"credentials: {account_id} has no gateway key {', '.join(sorted(unknown))}")
        now, secret = _now(), wanted.secret.get_secret_value()
        credential = Credential(
            id=ids.new_id(ids.CREDENTIAL),
            account_id=account_id,
            provider_id=provider.id,
            alias=wanted.alias or provider.display_name,
            mask=mask(secret),
            version=1,
            destination=self.policy.check(base_url),
            created_at=now,
            updated_at=now,
            priority=wanted.priority,
            weight=wanted.weight,
            custom_base_url=wanted.base_url is not None,
            allowed_models=tuple(wanted.allowed_models) if wanted.allowed_models else None,
            gateway_keys=tuple(key_ids[alias] for alias in wanted.gateway_keys) if wanted.gateway_keys else None,
            disabled=wanted.disabled,
            always_use=wanted.always_use,
        )
        sealed = await self.sealer.seal(credential.binding(), {"key": Secret(secret)}, now=now)
        await self.registry.apply(account_id, [CreateCredential(credential, sealed)])

    async def _deposit(self, account: SeedAccount, now: str) -> None:
        try:
            amount = parse_usd(str(account.credits_usd))
        except ValueError as e:
            raise SeedError(f"accounts.{account.id}.credits_usd: {e}") from e
        await self.records.request_deposit(
            Deposit(account.id, ids.new_id(ids.DEPOSIT), amount, _SEEDED_BY, now, "seeded")
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
