"""What was recorded of one day, by credential and model: summed from the day's records, page by page.

There is no rollup by credential and model: it would be two more writes an attempt for what is asked for once a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ownkey.domain.accounts import PLATFORM_ACCOUNT
from ownkey.domain.attempts import AttemptRecord, Outcome
from ownkey.domain.credentials import CredentialSource
from ownkey.domain.reconciliation import Recorded
from ownkey.domain.usage import UsageSource
from ownkey.ledger.records import to_record
from ownkey.store import keys
from ownkey.store.dynamodb import DynamoDb

_ITEMS_A_QUERY = 500
_ON_PLATFORMS = "provider_id = :provider AND #source = :source AND attribute_not_exists(donation)"
_ON_OWN = "provider_id = :provider AND (#source = :source OR donation.account_id = :account)"
"""An account's own attempts on its own credentials, and anybody's on those that it shares."""
_UNANSWERED = frozenset({Outcome.FAILED, Outcome.BROKEN, Outcome.CANCELLED, Outcome.ABANDONED})

Cells = dict[tuple[str, str], Recorded]
"""By credential and model (as the provider's answer named it)."""


@dataclass(slots=True)
class Summed:
    """How far a day's sum is. JSON, so that a run that is stopped can be gone on from."""

    cells: Cells = field(default_factory=dict)
    account: str = ""
    """The account being read; those before it are done."""
    after: str | None = None
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        rows = [[credential, model, asdict(cell)] for (credential, model), cell in self.cells.items()]
        return {"cells": rows, "account": self.account, "after": self.after, "done": self.done}

    @staticmethod
    def from_json(kept: Mapping[str, Any]) -> Summed:
        """The inverse of `to_json`."""
        cells = {(credential, model): Recorded(**cell) for credential, model, cell in kept["cells"]}
        return Summed(cells, kept["account"], kept["after"], kept["done"])


class RecordedUse:
    """Reads the records table."""

    def __init__(self, db: DynamoDb, table: str) -> None:
        self._db = db
        self._table = table

    async def go_on(self, summed: Summed, account_id: str, accounts: Sequence[str], day: str, provider_id: str) -> None:
        """Adds one page of the day's attempts on an account's credentials to the sum.

        Args:
            account_id: Whose credentials: the platform's, or an account's own, those that it shares among them.
            accounts: All whose attempts may have used the credentials, in a fixed order.
        """
        platform = account_id == PLATFORM_ACCOUNT
        source = CredentialSource.PLATFORM if platform else CredentialSource.BYOK
        of_account = {} if platform else {":account": account_id}
        left = [account for account in accounts if account >= summed.account]
        if not left:
            summed.done = True
            return
        summed.account = left[0]
        page = await self._db.query(
            self._table,
            keys.attempts(left[0], day),
            after_sk=summed.after,
            limit=_ITEMS_A_QUERY,
            consistent=False,
            filter_expression=_ON_PLATFORMS if platform else _ON_OWN,
            names={"#source": "source"},
            values={":provider": provider_id, ":source": source.value, **of_account},
        )
        for item in page.items:
            add(summed.cells, to_record(item), day)
        summed.after = page.next_sk
        if page.next_sk is None:
            # No id of an account is another one with a character below "!" behind it.
            summed.account, summed.done = f"{left[0]}!", len(left) == 1


def add(cells: Cells, record: AttemptRecord, day: str) -> None:
    """Adds one attempt to the sums of its day."""
    start, end = record.start, record.end
    credential_id = start.donation.credential_id if start.donation else start.credential_id
    model = (end.response_model if end else None) or start.model_id
    cell = cells.setdefault((credential_id, model), Recorded(priced_as=start.model_id))
    cell.attempts += 1
    if end is None:
        cell.under_way += 1
        cell.under_way_cost += start.estimated_cost_nanousd
        return
    for bucket, count in end.usage.to_item().items():
        cell.usage[bucket] = cell.usage.get(bucket, 0) + count
    cell.cost += end.cost_nanousd
    cell.unpriced += start.price_version is None
    if not start.started_at.startswith(day) or not end.ended_at.startswith(day):
        cell.midnight_cost += end.cost_nanousd
    if end.usage_source is UsageSource.ESTIMATED:
        cell.estimated += 1
        cell.estimated_cost += end.cost_nanousd
    elif end.usage_source is UsageSource.PROVIDER:
        cell.mean_of += 1
    elif end.outcome in _UNANSWERED:
        cell.failed += 1
        cell.failed_cost += start.estimated_cost_nanousd
