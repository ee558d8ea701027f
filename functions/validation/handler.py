"""`validation`: opens a sealed candidate and asks its provider, once, whether the key works."""

import asyncio
import os
from typing import Any

from ownkey.catalog import Catalog
from ownkey.registry.audit import AuditTrail
from ownkey.registry.health import HealthBook
from ownkey.runtime import logs
from ownkey.runtime.guard import guarded
from ownkey.runtime.settings import ValidationSettings
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.kms import Kms
from ownkey.store.sts import Sts
from ownkey.tokens import TokenBroker
from ownkey.upstream import Upstream, UrlPolicy
from ownkey.validation import Candidate, Finding, opening, report_parts
from ownkey.validation.noting import note_finding
from ownkey.validation.report_parts import ReportAsk
from ownkey.validation.reports import ReportReader
from ownkey.validation.validator import Validator
from ownkey.vault import Opener

settings = ValidationSettings.from_env(os.environ)
logger = logs.configure(settings.powertools_service_name, settings.log_level)
aws = AwsClient(settings.aws_region)
db = DynamoDb(aws)
audit = AuditTrail(db, settings.audit_table, function="validation")
health = HealthBook(db, settings.health_table)
opener = Opener(Kms(aws), on_unwrap=audit.note_unwrap)
upstream = Upstream(UrlPolicy(settings.ownkey_allowed_origins))
tokens = TokenBroker(upstream, Sts(aws))
catalog = Catalog.load(settings.ownkey_upstreams)
report_reader = ReportReader(opener, upstream, catalog)
validator = Validator(opener, upstream, catalog, tokens)
# One event loop for the environment's life: the connections belong to it.
loop = asyncio.Runner()


@guarded
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One finding. The event is ciphertext, the answer a verdict: nothing in either is secret."""
    if event.get("action") == opening.ACTION:
        return loop.run(opened(event))
    if event.get("action") == report_parts.ACTION:
        return loop.run(reported(ReportAsk.from_json(event)))
    candidate = Candidate.from_json(event)
    finding = loop.run(validated(candidate))
    asked = {"account_id": candidate.binding.account_id, "provider": candidate.binding.provider_id}
    logger.info("validated", extra={**asked, "verdict": finding.verdict.value, "provider_status": finding.status})
    return finding.to_json()


async def validated(candidate: Candidate) -> Finding:
    """The finding, noted where the credential serves already."""
    try:
        finding = await validator.validate(candidate)
        await note_finding(health, candidate, finding)
        return finding
    finally:
        await audit.drain()


async def opened(event: dict[str, Any]) -> dict[str, Any]:
    """Whether a KMS key opens what it sealed."""
    try:
        return await opening.open_check(opener, event)
    finally:
        await audit.drain()


async def reported(ask: ReportAsk) -> dict[str, Any]:
    """Some pages of a provider's report of usage."""
    try:
        part = await report_reader.read(ask)
    finally:
        await audit.drain()
    read = {"lines": len(part.lines), "charges": len(part.charges), "keys": len(part.keys), "waits": part.waits}
    binding = ask.candidate.binding
    asked = {"account_id": binding.account_id, "provider": binding.provider_id}
    logger.info("reported", extra={**asked, **read, "refused": part.refused})
    return part.to_json()
