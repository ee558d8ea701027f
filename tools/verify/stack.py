"""A deployment as an operator reaches it: tables to read, billing to ask, all with the operator's own rights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3

from ownkey.domain.times import parse_rfc3339
from ownkey.ledger.differences import Row
from ownkey.ledger.rebuild import to_event
from ownkey.ledger.settlement import Tables
from ownkey.store import keys
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.functions import Functions

_TIMEOUT_S = 130.0
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Account:
    """One that is there."""

    id: str
    created_on: date
    """Before this day it has no records."""


class Stack:
    """Over its resources' physical names, by logical id. Belongs to one event loop."""

    def __init__(self, resources: Mapping[str, str], aws: AwsClient) -> None:
        self.db = DynamoDb(aws)
        self.tables = Tables(
            resources["RecordsTable"],
            resources["CreditsTable"],
            resources["LedgerTable"],
            resources["RollupsTable"],
            resources["CountersTable"],
        )
        self._registry = resources["RegistryTable"]
        self._billing = resources["BillingFunction"]
        self._functions = Functions(aws)

    async def accounts(self) -> list[Account]:
        """All accounts."""
        rows = await self.db.query_all(self._registry, keys.ACCOUNTS_PARTITION)
        return [Account(row["sk"], parse_rfc3339(row["created_at"]).date()) for row in rows]

    async def rebuild(self, account_id: str, by: str, rows: Sequence[Row]) -> int:
        """Has billing write rows anew; how many it has. The others had changed meanwhile."""
        rebuilt = 0
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            event = to_event(account_id, by, rows[first : first + _ROWS_AT_ONCE])
            answer = await self._functions.invoke(self._billing, event, timeout_s=_TIMEOUT_S)
            rebuilt += answer["rebuilt"]
        return rebuilt


def resources_of(stack: str) -> dict[str, str]:
    """Physical names by logical id, as CloudFormation knows them."""
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for page in pages for each in _summaries(page)}


def resources_in(path: Path) -> dict[str, str]:
    """The same, written down."""
    return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}


def now() -> datetime:
    """In UTC."""
    return datetime.now(UTC)


def _summaries(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in page["StackResourceSummaries"] if "PhysicalResourceId" in each]
