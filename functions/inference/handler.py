"""Inference: authenticates, plans, opens the credential, calls the provider, streams its answer, records it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ownkey.catalog import Catalog
from ownkey.catalog.sharing import sharing_terms
from ownkey.domain.sampling import Sampler
from ownkey.http.inference import create_inference_app, error_response
from ownkey.http.serving import InferenceDeps
from ownkey.ledger.balances import Balances
from ownkey.ledger.counters import Counters
from ownkey.ledger.holds import Holds
from ownkey.ledger.key_spending import KeySpendings
from ownkey.ledger.reclaim import NowAndThen
from ownkey.ledger.records import Records
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.registry.kept_answers import KeptAnswers
from ownkey.registry.key_use import KeyUse
from ownkey.router import Ports
from ownkey.runtime.freshness import warn_of_stale_prices
from ownkey.runtime.settings import InferenceSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.kms import Kms
from ownkey.store.sts import Sts
from ownkey.tokens import TokenBroker
from ownkey.upstream import Upstream, UrlPolicy
from ownkey.vault import Opener

__all__ = ["app", "error_response"]

settings = InferenceSettings.from_env(os.environ)
catalog = Catalog.load(settings.ownkey_upstreams)
warn_of_stale_prices(catalog, os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "inference"))
sharing = sharing_terms(catalog, settings.sharing_providers, settings.sharing_reward_basis_points)


@asynccontextmanager
async def connect() -> AsyncIterator[InferenceDeps]:
    """The environment's connections: made after a restore, kept over its invocations."""
    aws, upstream = AwsClient(), Upstream(UrlPolicy(settings.ownkey_allowed_origins))
    db = DynamoDb(aws)
    audit = AuditTrail(db, settings.audit_table, function="inference")
    records, counters = Records(db, settings.records_table), Counters(db, settings.counters_table)
    holds = Holds(db, credits_table=settings.credits_table, records_table=settings.records_table)
    try:
        yield InferenceDeps(
            registry=Registry(db, settings.registry_table, settings.health_table),
            key_use=KeyUse(db, settings.health_table),
            catalog=catalog,
            ports=Ports(
                vault=Opener(Kms(aws), on_unwrap=audit.note_unwrap),
                tokens=TokenBroker(upstream, Sts(aws)),
                attempts=records,
                holds=holds,
                counters=counters,
                upstream=upstream,
                health=HealthBook(db, settings.health_table),
            ),
            audit=audit,
            reclaims=NowAndThen(holds.reclaim, Sampler()),
            answers=KeptAnswers(db, settings.answers_table),
            request_log=records,
            credits=Balances(db, settings.credits_table),
            spending=KeySpendings(db, settings.rollups_table),
            counters=counters,
            margin_percent=settings.margin_percent,
            sharing=sharing,
            imported_gateway_keys=settings.imported_gateway_keys,
        )
    finally:
        await upstream.close()
        await aws.close()


app = create_inference_app(connect)
