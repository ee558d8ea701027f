"""Everything up: AWS, the simulated providers, the functions, the seed; and the state that tells how to reach it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.resources import SECRET_ACCESS_KEY, STACK_ACCESS_KEY
from local.seed import Seed, SeedAccount, Seeder, SeedGatewayKey, SeedUser
from local.simulator import Simulator, start_simulator
from local.stack import Stack, StackOptions
from local.users import Users
from ownkey.catalog import Catalog, Kind, Provider
from ownkey.domain.accounts import Role
from ownkey.ledger.records import Records
from ownkey.registry import Registry
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.kms import Kms
from ownkey.upstream import UrlPolicy
from ownkey.vault import Sealer

_log = logging.getLogger(__name__)

DEMO_ACCOUNT = "demo"
DEMO_ALIAS = "demo"
DEMO_USER = "demo@example.com"
OPERATOR = "operator@example.com"
STATE_FILE = Path(".local") / "state.json"
# Cognito's access tokens last an hour; the state file always holds ones that work.
_SIGN_IN_AGAIN_S = 30 * 60


def simulated_upstream(simulator: Simulator, provider: Provider) -> str | dict[str, str]:
    """Where the simulator stands for a provider. A validation call with an address of its own is found beside it."""
    base_url, own = simulator.base_url(provider.id), urlsplit(provider.validation.path)
    if not own.netloc or "{" in provider.validation.path:
        return base_url
    path = own._replace(scheme="", netloc="").geturl()
    return {"base_url": base_url, "validation_url": f"{simulator.origin}/{provider.id}{path}"}


def demo_seed() -> Seed:
    """What a stack without a seed file begins with: an account, its owner, a gateway key. No provider key yet."""
    account = SeedAccount(
        id=DEMO_ACCOUNT,
        name="Demo",
        users=[SeedUser(email=DEMO_USER, role=Role.OWNER)],
        gateway_keys=[SeedGatewayKey(alias=DEMO_ALIAS)],
    )
    return Seed(accounts=[account])


@dataclass
class State:
    """What `.local/state.json` holds. `base_url` ends before `/v1`: Anthropic clients take it so, OpenAI's with it."""

    base_url: str
    management_url: str
    gateway_keys: dict[str, dict[str, str]]
    """By account and alias."""
    sessions: dict[str, str]
    """A session token by user's e-mail; the operator's among them."""
    aws_endpoint: str
    simulator_url: str

    def write(self, path: Path) -> None:
        """Writes the file for its owner's eyes only: it holds keys."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(self), indent=2) + "\n")
        fresh.replace(path)


@dataclass(frozen=True, slots=True)
class Running:
    """A stack with its seed, its simulated providers and its users."""

    stack: Stack
    simulator: Simulator
    state: State
    users: Users
    emails: tuple[str, ...]

    async def sign_in_again(self, state_file: Path | None) -> None:
        """Renews the sessions for as long as the stack runs."""
        while True:
            await asyncio.sleep(_SIGN_IN_AGAIN_S)
            for email in self.emails:
                self.state.sessions[email] = (await asyncio.to_thread(self.users.sign_in, email)).token
            if state_file:
                self.state.write(state_file)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run: the seed, providers' endpoints instead of the simulated ones, the stack's own options.

    A provider in `real` keeps the catalog's own address.
    """

    seed: Seed = field(default_factory=demo_seed)
    upstreams: Mapping[str, Any] = field(default_factory=dict)
    real: frozenset[str] = frozenset()
    state_file: Path | None = None
    stack: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `StackOptions`."""


@asynccontextmanager
async def running(options: RunOptions) -> AsyncIterator[Running]:
    """Starts everything, writes the seed, and ends everything.

    Raises:
        SeedError: the seed names what does not exist.
        ValueError: `upstreams` names a provider that is not in the catalog.
    """
    seed = options.seed
    async with await start_simulator() as simulator:
        catalog = Catalog.load()
        simulated = {
            provider.id: simulated_upstream(simulator, provider)
            for provider in catalog.providers
            if provider.kind is not Kind.CUSTOM and provider.id not in options.real | options.upstreams.keys()
        }
        for name, secret in seed.secrets():
            provider = catalog.find_provider(name)
            if provider and provider.id in simulated:
                simulator.keys.set(provider.id, secret)
        upstreams = simulated | dict(options.upstreams)
        Catalog.load(upstreams)
        stack_options = {"allowed_origins": [_origin(url) for url in seed.base_urls()], **options.stack}
        async with Stack(StackOptions(upstreams=upstreams, **stack_options)) as stack:
            ready = await _seed(stack, simulator, seed, upstreams, stack_options["allowed_origins"])
            if options.state_file:
                ready.state.write(options.state_file)
            renewing = asyncio.create_task(ready.sign_in_again(options.state_file))
            try:
                yield ready
            finally:
                renewing.cancel()


async def _seed(
    stack: Stack, simulator: Simulator, seed: Seed, upstreams: Mapping[str, Any], allowed_origins: list[str]
) -> Running:
    names, region = stack.resources, stack.options.region
    users = Users(stack.aws_endpoint, region, names["UserPool"], names["UserPoolClient"])
    emails = tuple(dict.fromkeys([OPERATOR, *seed.emails()]))
    sessions = {email: await asyncio.to_thread(users.sign_in, email) for email in emails}
    # The product's own client signs with the machine's credentials; on loopback they are the stack's.
    os.environ |= {"AWS_ACCESS_KEY_ID": STACK_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    aws = AwsClient(region, {"AWS_ENDPOINT_URL": stack.aws_endpoint})
    db = DynamoDb(aws)
    try:
        seeder = Seeder(
            registry=Registry(db, names["RegistryTable"]),
            records=Records(db, names["RecordsTable"]),
            sealer=Sealer(Kms(aws), names["VaultKey"]),
            catalog=Catalog.load(upstreams),
            policy=UrlPolicy([*allowed_origins, *(_origin(url) for url in _urls(upstreams))]),
            user_ids={email: session.user_id for email, session in sessions.items()},
        )
        gateway_keys = await seeder.write(seed)
    finally:
        await aws.close()
    if any(account.credits_usd for account in seed.accounts):
        await stack.drain_stream()
    state = State(
        base_url=stack.base_url,
        management_url=stack.management_url,
        gateway_keys=gateway_keys,
        sessions={email: session.token for email, session in sessions.items()},
        aws_endpoint=stack.aws_endpoint,
        simulator_url=simulator.origin,
    )
    return Running(stack, simulator, state, users, emails)


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _urls(upstreams: Mapping[str, Any]) -> list[str]:
    return [url for each in upstreams.values() for url in ([each] if isinstance(each, str) else each.values())]
