"""`billing`: the records table's stream into balance, ledger and rollups. It alone moves money."""

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ownkey.ledger.alerts import Alerts
from ownkey.ledger.rebuild import Rebuilder
from ownkey.ledger.settlement import Settlement, Tables
from ownkey.ledger.stream import count_batch
from ownkey.registry.audit import AuditTrail
from ownkey.runtime import logs
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import BillingSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.events import Events

settings = BillingSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
aws = AwsClient(settings.aws_region)
db = DynamoDb(aws)
tables = Tables(
    settings.records_table,
    settings.credits_table,
    settings.ledger_table,
    settings.rollups_table,
    settings.counters_table,
)
settlement = Settlement(db, tables)
trail = AuditTrail(db, settings.audit_table)
alerts = Alerts(db, settings.counters_table, trail, Events(aws))
rebuilder = Rebuilder(db, tables, trail)
# One event loop for the environment's life: the connections to AWS belong to it.
loop = asyncio.Runner()


@guarded
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Counts a batch; names the records to bring again. Or writes rows of projections anew, for `tools.verify`."""
    if "rebuild" in event:
        rebuilt = asdict(loop.run(rebuilder.run(event["rebuild"], datetime.now(UTC))))
        logger.info("projections rebuilt", extra=rebuilt)
        return rebuilt
    failed = loop.run(count_batch(settlement, event["Records"], datetime.now(UTC), alerts))
    logger.info("batch counted", extra={"records": len(event["Records"]), "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": sequence} for sequence in failed]}
