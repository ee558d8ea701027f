"""Inference and billing as they are deployed, in this process: AWS is emulated and metered, the provider simulated."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import httpx

from bench.costs.meter import Meter
from bench.targets import ROOT
from local.aws import start_aws
from local.simulator import Simulator, start_simulator
from ownkey.catalog import Catalog
from ownkey.domain import ids
from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.attempts import AttemptRecord
from ownkey.domain.credentials import Credential
from ownkey.domain.gateway_keys import GatewayKey, digest_of, mint
from ownkey.domain.ledger import Hold
from ownkey.domain.limits import Limit, LimitScope, Measure, Window
from ownkey.domain.secrets import Secret
from ownkey.ledger.alerts import Alerts
from ownkey.ledger.counters import Counters, reservation_of
from ownkey.ledger.holds import Holds
from ownkey.ledger.records import Deposit, Records
from ownkey.ledger.settlement import Settlement, Tables
from ownkey.ledger.stream import count_batch
from ownkey.registry import CreateCredential, Registry
from ownkey.registry.audit import AuditTrail
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb, encode_item
from ownkey.store.events import Events
from ownkey.store.kms import Kms
from ownkey.vault import Sealer

_REGION = "us-east-1"
_TABLES = ("registry", "records", "credits", "counters", "ledger", "rollups", "health", "audit", "answers")
_ACCESS_KEY = {"AWS_ACCESS_KEY_ID": "AKIABENCH", "AWS_SECRET_ACCESS_KEY": "bench"}
_KEY = "sk-sim-openai-0123456789"
_CREDITS_NANOUSD = 100 * 10**9
_WORDS = 1_600
"""Of the prompt: long enough that a provider caches it."""
_BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "word " * _WORDS}]}


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account that may ask."""

    account_id: str
    gateway_key: str


class Scene:
    """See the module. `inference` and `billing` meter what each function takes."""

    def __init__(self, names: Mapping[str, str], vault_key: str, catalog: Catalog) -> None:
        self.tables = names
        self.inference, self.billing = Meter(_REGION, os.environ), Meter(_REGION, os.environ)
        self.catalog = catalog
        self._setup = AwsClient(_REGION, os.environ)
        self._vault_key = vault_key
        self._db = DynamoDb(self._setup)
        self._registry = Registry(self._db, names["registry"], names["health"])
        self._records = Records(self._db, names["records"])
        self._settled = Tables(*(names[each] for each in ("records", "credits", "ledger", "rollups", "counters")))
        self._http = httpx.AsyncClient()

    async def tenant(self, *, byok: bool, limits: int) -> Tenant:
        """A new account with a key of its own, or with credits; with so many of two hard limits."""
        account_id, now = ids.new_id(ids.ACCOUNT), _now()
        await self._registry.create_account(account_id, "Example", now=now)
        secret = mint(account_id).reveal()
        key = GatewayKey(ids.new_id(ids.GATEWAY_KEY), account_id, "app", digest_of(secret), "ok-…abcd", now, "user")
        await self._registry.create_gateway_key(key)
        for limit in _limits(account_id, key.id, now)[:limits]:
            await self._registry.create_limit(limit)
        if byok:
            await self.credential(account_id)
        else:
            deposit = Deposit(account_id, ids.new_id("dep"), _CREDITS_NANOUSD, "operator", now)
            await self._records.request_deposit(deposit)
            await Settlement(self._db, self._settled).deposit(deposit, now=now)
        return Tenant(account_id, secret)

    async def credential(self, account_id: str) -> None:
        """Seals the simulated provider's key for an account."""
        now, provider = _now(), self.catalog.provider("openai")
        assert provider.base_url
        credential = Credential(
            id=ids.new_id(ids.CREDENTIAL),
            account_id=account_id,
            provider_id=provider.id,
            alias="OpenAI",
            mask="sk-…6789",
            version=1,
            destination=provider.base_url,
            created_at=now,
            updated_at=now,
        )
        sealed = await Sealer(Kms(self._setup), self._vault_key).seal(
            credential.binding(), {"key": Secret(_KEY)}, now=now
        )
        await self._registry.apply(account_id, [CreateCredential(credential, sealed)])

    async def open(self, app: Any) -> None:
        """The platform's account, its key, and the way to the app."""
        await self._registry.create_account(PLATFORM_ACCOUNT, "Platform", now=_now())
        await self.credential(PLATFORM_ACCOUNT)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
        for each in (self.billing, self._setup):
            await each.close()

    async def ask(
        self, tenant: Tenant, body: Mapping[str, Any] = MappingProxyType({}), headers: Mapping[str, str] | None = None
    ) -> AttemptRecord:
        """One request, answered and recorded; its attempt."""
        sent = {"authorization": f"Bearer {tenant.gateway_key}", "content-type": "application/json", **(headers or {})}
        answer = await self._http.post("/v1/chat/completions", content=json.dumps(_BODY | dict(body)), headers=sent)
        answer.raise_for_status()
        request_id = answer.headers["x-ownkey-request-id"]
        (record,) = await self._records.attempts_of_request(tenant.account_id, request_id)
        return record

    async def again(self, record: AttemptRecord) -> AttemptRecord:
        """The same once more, as another request would have left it."""
        assert record.end
        start = replace(record.start, request=replace(record.start.request, request_id=ids.new_id(ids.REQUEST)))
        if start.hold_nanousd:
            names = self.tables
            holds = Holds(self._db, credits_table=names["credits"], records_table=names["records"])
            account_id, shard = start.request.account_id, start.hold_shard
            await holds.place(Hold(account_id, start.attempt_id, start.hold_nanousd, start.expires_at_s, shard))
        if reservation := reservation_of(start):
            await Counters(self._db, self.tables["counters"]).reserve(reservation)
        await self._records.end(start, record.end)
        return AttemptRecord(start, record.end)

    async def bill(self, records: list[AttemptRecord]) -> None:
        """Hands them to billing, as one batch of the stream.

        Raises:
            RuntimeError: it could not count them.
        """
        aws = self.billing
        db = DynamoDb(aws)
        images = [await self._db.get(self._records.key(each.start)) for each in records]
        batch = [
            {"dynamodb": {"SequenceNumber": str(number), "NewImage": encode_item(image or {})}}
            for number, image in enumerate(images)
        ]
        trail = AuditTrail(db, self.tables["audit"], function="billing")
        alerts = Alerts(db, self.tables["counters"], trail, Events(aws))
        if failed := await count_batch(Settlement(db, self._settled), batch, datetime.now(UTC), alerts):
            raise RuntimeError(f"not counted: {failed}")


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """A scene whose platform has a key for the simulated provider."""
    with start_aws() as server:
        async with await start_simulator() as simulator:
            found = {"AWS_ENDPOINT_URL": server.endpoint_url, "AWS_REGION": _REGION} | _ACCESS_KEY
            with patch.dict(os.environ, found):
                names, vault_key = await _created(AwsClient(_REGION, os.environ))
                stage = Scene(names, vault_key, Catalog.load({"openai": simulator.base_url("openai")}))
                app = _inference(stage, simulator, vault_key)
                async with app.router.lifespan_context(app):
                    await stage.open(app)
                    yield stage
                    await stage.close()


def _inference(stage: Scene, simulator: Simulator, vault_key: str) -> Any:
    """The function's own app, wired by its handler; its client of AWS is the one that counts."""
    upstreams = {"openai": simulator.base_url("openai")}
    environ = {f"{name.upper()}_TABLE": table for name, table in stage.tables.items()} | {
        "POWERTOOLS_SERVICE_NAME": "ownkey-inference",
        "VAULT_KEY_ID": vault_key,
        "OWNKEY_UPSTREAMS": json.dumps(upstreams),
        "OWNKEY_ALLOWED_ORIGINS": json.dumps([simulator.origin]),
    }
    with patch.dict(os.environ, environ), patch("ownkey.store.aws.AwsClient", lambda: stage.inference):
        return runpy.run_path(str(ROOT / "functions" / "inference" / "handler.py"))["app"]


async def _created(aws: AwsClient) -> tuple[Mapping[str, str], str]:
    """Tables under names as long as a stack's, and a vault key."""
    names = {each: f"ownkey-{each.capitalize()}Table-{ids.new_id('x')[-12:].upper()}" for each in _TABLES}
    for name in names.values():
        await aws.call_json(
            "dynamodb",
            "DynamoDB_20120810.CreateTable",
            {
                "TableName": name,
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in ("pk", "sk")],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )
    key = await aws.call_json("kms", "TrentService.CreateKey", {}, json_version="1.1")
    await aws.close()
    return names, key["KeyMetadata"]["Arn"]


def _limits(account_id: str, gateway_key_id: str, now: str) -> list[Limit]:
    def limit(**about: Any) -> Limit:
        return Limit(
            id=ids.new_id(ids.LIMIT), account_id=account_id, created_at=now, created_by="user", updated_at=now, **about
        )

    return [
        limit(scope=LimitScope.GATEWAY_KEY, value=gateway_key_id, measure=Measure.REQUESTS, window=Window.MINUTE,
              amount=10**6, alerts=()),
        limit(scope=LimitScope.ACCOUNT, measure=Measure.SPEND, window=Window.MONTH, amount=10**15),
    ]  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
