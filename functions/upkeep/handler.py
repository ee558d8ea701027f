"""`upkeep`: once a minute, ends what dead functions left behind."""

import asyncio
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ownkey.ledger.upkeep import Upkeep
from ownkey.runtime import logs
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import UpkeepSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb

settings = UpkeepSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
upkeep = Upkeep(
    DynamoDb(AwsClient(settings.aws_region)),
    registry_table=settings.registry_table,
    records_table=settings.records_table,
    credits_table=settings.credits_table,
)
# One event loop for the environment's life: the connections to AWS belong to it.
loop = asyncio.Runner()


@guarded
def handler(_event: dict[str, Any], _context: object) -> dict[str, int]:
    """One sweep; what it did."""
    swept = asdict(loop.run(upkeep.run(datetime.now(UTC))))
    logger.info("swept", extra=swept)
    return swept
