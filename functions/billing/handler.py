"""`billing`: the records table's stream into balance, ledger and rollups. It alone moves money."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

from ownkey.ledger.settlement import Settlement, Tables
from ownkey.ledger.stream import count_batch
from ownkey.runtime import logs
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import BillingSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb

settings = BillingSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
tables = Tables(settings.records_table, settings.credits_table, settings.ledger_table, settings.rollups_table)
settlement = Settlement(DynamoDb(AwsClient(settings.aws_region)), tables)
# One event loop for the environment's life: the connections to AWS belong to it.
loop = asyncio.Runner()


@guarded
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Counts a batch; names the records to bring again."""
    failed = loop.run(count_batch(settlement, event["Records"], datetime.now(UTC)))
    logger.info("batch counted", extra={"records": len(event["Records"]), "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": sequence} for sequence in failed]}
