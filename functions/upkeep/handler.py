"""`upkeep`: by schedule, ends what is left behind, re-wraps, asks about credentials, reminds, verifies, reconciles."""

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ownkey.catalog import Catalog
from ownkey.ledger.recorded import RecordedUse
from ownkey.ledger.settlement import Tables
from ownkey.ledger.upkeep import Upkeep
from ownkey.ledger.verify import Verifier
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.runtime import logs
from ownkey.runtime.freshness import warn_of_stale_prices
from ownkey.runtime.guard import guarded
from ownkey.runtime.metrics import metric
from ownkey.runtime.settings import UpkeepSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.events import Events
from ownkey.store.functions import Functions
from ownkey.store.kms import Kms
from ownkey.upkeep.leaks import LeakAlarm
from ownkey.upkeep.reconciling import Reconciling
from ownkey.upkeep.reminders import Reminders
from ownkey.upkeep.revalidation import Revalidation
from ownkey.upkeep.rewrapping import Rewrapping
from ownkey.upkeep.verification import Verification
from ownkey.validation.function import ValidationFunction
from ownkey.vault import Rewrapper

settings = UpkeepSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
aws = AwsClient(settings.aws_region)
db = DynamoDb(aws)
registry = Registry(db, settings.registry_table)
upkeep = Upkeep(
    db,
    registry_table=settings.registry_table,
    records_table=settings.records_table,
    credits_table=settings.credits_table,
    counters_table=settings.counters_table,
)
rewrapping = Rewrapping(registry, Rewrapper(Kms(aws)), settings.vault_key_id)
validation = ValidationFunction(Functions(aws), settings.validation_function)
revalidation = Revalidation(registry, HealthBook(db, settings.health_table), validation)
trail, events = AuditTrail(db, settings.audit_table), Events(aws)
reminders = Reminders(registry, trail, events)
catalog = Catalog.load()
warn_of_stale_prices(catalog, os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "upkeep"))
recorded = RecordedUse(db, settings.records_table)
reconciling = Reconciling(registry, recorded, validation, catalog, LeakAlarm(registry, trail, events))
tables = Tables(
    settings.records_table,
    settings.credits_table,
    settings.ledger_table,
    settings.rollups_table,
    settings.counters_table,
)
verification = Verification(db, settings.records_table, registry, Verifier(db, tables, catalog), trail, events)
# One event loop for the environment's life: the connections to AWS belong to it.
loop = asyncio.Runner()


async def sweep() -> dict[str, Any]:
    """Attempts and holds first: money waits for nobody's keys."""
    swept = asdict(await upkeep.run(datetime.now(UTC)))
    return {**swept, "rewrapped": asdict(await rewrapping.run()), "reconciled": asdict(await reconciling.run())}


async def revalidate() -> dict[str, Any]:
    return asdict(await revalidation.run())


async def remind() -> dict[str, Any]:
    return {"reminded": await reminders.run()}


async def verify() -> dict[str, Any]:
    return asdict(await verification.run())


async def reconcile() -> dict[str, Any]:
    return {"begun": await reconciling.begin_daily()}


TASKS = {"sweep": sweep, "revalidate": revalidate, "remind": remind, "verify": verify, "reconcile": reconcile}


@guarded
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The task that the schedule names; what it did."""
    done = loop.run(TASKS[event["task"]]())
    if wrong := done.get("differences", 0) + done.get("unverified", 0):
        logger.error("books differ", extra=metric("LedgerDifferences", wrong, FunctionName=context.function_name))
    logger.info("upkeep", extra={"task": event["task"], **done})
    return done
