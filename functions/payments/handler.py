"""`payments`: a payment provider's webhook. It can ask for deposits, and look accounts up; it moves nothing itself."""

import asyncio
import os
from typing import Any

from ownkey.ledger.records import Records
from ownkey.payments.desk import FUNCTION, Desk
from ownkey.payments.signing import SigningSecrets
from ownkey.payments.stripe import Stripe
from ownkey.payments.webhook import Webhook
from ownkey.registry import Registry
from ownkey.registry.audit import AuditTrail
from ownkey.runtime import logs
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import PaymentsSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.events import Events
from ownkey.store.secrets import Secrets

settings = PaymentsSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
aws = AwsClient(settings.aws_region)
db = DynamoDb(aws)
desk = Desk(
    db,
    Registry(db, settings.registry_table),
    Records(db, settings.records_table),
    AuditTrail(db, settings.audit_table, function=FUNCTION),
    Events(aws),
)
secrets = SigningSecrets(Secrets(aws), settings.stripe_webhook_secret_arn)
webhook = Webhook(Stripe(live=settings.stripe_live), secrets, desk)
# One event loop for the environment's life: the connections to AWS belong to it.
loop = asyncio.Runner()
# Before the first event: without a secret the function does not start.
loop.run(secrets.load())


@guarded
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One request of API Gateway."""
    return loop.run(webhook.answer(event))
