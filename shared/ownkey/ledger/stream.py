"""A batch of the records table's stream, counted: what fails is named, everything else is done.

The shape of the batch and of the answer:
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ownkey.domain.attempts import AttemptRecord, AttemptState
from ownkey.domain.errors import OwnkeyError
from ownkey.ledger.alerts import Alerts
from ownkey.ledger.records import (
    DEPOSIT_REQUESTED,
    RELEASED,
    REWARD_EARNED,
    Deposit,
    Release,
    Reward,
    UnreadableRecord,
    to_deposit,
    to_record,
    to_release,
    to_reward,
)
from ownkey.ledger.settlement import Settlement, SettlementStuck
from ownkey.store.aws import AwsError
from ownkey.store.dynamodb import ConditionFailed, decode_item

_log = logging.getLogger(__name__)

StreamRecord = Mapping[str, Any]


async def count_batch(
    settlement: Settlement, batch: Sequence[StreamRecord], now: datetime, alerts: Alerts | None = None
) -> list[str]:
    """Counts every record of the batch that waits to be counted.

    Args:
        alerts: Who is told where limits are reached. None: nobody.

    Returns:
        The sequence numbers of the records that could not be counted, in the batch's order: unreadable ones, and all
        of an account whose settlement failed. Counting any of them again is safe.
    """
    failed: set[str] = set()
    attempts: dict[str, dict[str, AttemptRecord]] = {}
    single: dict[str, Deposit | Release | Reward] = {}
    for stream_record in batch:
        sequence = stream_record["dynamodb"]["SequenceNumber"]
        try:
            record = read_record(stream_record)
        except UnreadableRecord as e:
            _log.error("a record cannot be read", extra={"sequence_number": sequence, "reason": str(e)})
            failed.add(sequence)
            continue
        if isinstance(record, Deposit | Release | Reward):
            single[sequence] = record
        elif record is not None:
            attempts.setdefault(record.start.request.account_id, {})[sequence] = record
    at = now.isoformat(timespec="milliseconds")
    for sequence, each in single.items():
        if not await _counted(_single(settlement, each, at), each.account_id):
            failed.add(sequence)
    for account_id, records in attempts.items():
        if not await _counted(settlement.attempts(account_id, list(records.values()), now=at), account_id):
            failed.update(records)
        elif alerts is not None:
            await alerts.check(account_id, records.values())
    return [sequence for row in batch if (sequence := row["dynamodb"]["SequenceNumber"]) in failed]


def read_record(stream_record: StreamRecord) -> AttemptRecord | Deposit | Release | Reward | None:
    """What a stream record asks to be counted; None where there is nothing to count (yet, or any more).

    Raises:
        UnreadableRecord: it says it waits to be counted, and cannot be read.
    """
    image = stream_record["dynamodb"].get("NewImage")
    if not image:
        return None
    try:
        item = decode_item(image)
    except (TypeError, ValueError) as e:
        raise UnreadableRecord("an attribute cannot be decoded") from e
    if "billed_at" in item:
        return None
    if item.get("state") == AttemptState.ENDED.value:
        return to_record(item)
    if item.get("state") == DEPOSIT_REQUESTED:
        return to_deposit(item)
    if item.get("state") == RELEASED:
        return to_release(item)
    if item.get("state") == REWARD_EARNED:
        return to_reward(item)
    return None


def _single(settlement: Settlement, record: Deposit | Release | Reward, at: str) -> Awaitable[bool]:
    match record:
        case Deposit():
            return settlement.deposit(record, now=at)
        case Release():
            return settlement.release(record, now=at)
        case Reward():
            return settlement.reward(record, now=at)


async def _counted(work: Awaitable[object], account_id: str) -> bool:
    try:
        await work
    except (OwnkeyError, AwsError, ConditionFailed, SettlementStuck):
        _log.exception(
            "records of an account could not be counted; the stream brings them again", extra={"account_id": account_id}
        )
        return False
    return True
