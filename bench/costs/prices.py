"""AWS's list prices in us-east-1 in USD, first tiers, without the free tier, as they were known on `KNOWN_ON`.

Not read off AWS's own pages, which show them to a browser alone: each names the page to check it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

KNOWN_ON = "2026-11-21"


@dataclass(frozen=True, slots=True)
class Price:
    """One list price."""

    title: str
    usd: Decimal
    unit: str
    source: str
    """AWS's page that has it."""


WRITE_UNITS = Price(
    "DynamoDB, on demand: write request units",
    Decimal("0.625"),
    "million",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
)
READ_UNITS = Price("DynamoDB, on demand: read request units", Decimal("0.125"), "million", WRITE_UNITS.source)
STORAGE = Price("DynamoDB, storage", Decimal("0.25"), "GB and month", WRITE_UNITS.source)
STREAM_READS = Price("DynamoDB Streams, read by a Lambda trigger", Decimal(0), "million", WRITE_UNITS.source)
INVOCATIONS = Price("Lambda: requests", Decimal("0.20"), "million", "https://aws.amazon.com/lambda/pricing/")
GB_SECONDS = Price("Lambda, arm64: GB-seconds", Decimal("13.3334"), "million", INVOCATIONS.source)
API_REQUESTS = Price(
    "API Gateway, REST: requests", Decimal("3.50"), "million", "https://aws.amazon.com/api-gateway/pricing/"
)
KMS_REQUESTS = Price("KMS: requests", Decimal("3.00"), "million", "https://aws.amazon.com/kms/pricing/")
KMS_KEY = Price("KMS: the vault key", Decimal("1.00"), "month", KMS_REQUESTS.source)

ALL = (
    WRITE_UNITS,
    READ_UNITS,
    STORAGE,
    STREAM_READS,
    INVOCATIONS,
    GB_SECONDS,
    API_REQUESTS,
    KMS_REQUESTS,
    KMS_KEY,
)
