"""All of up to a hundred writes, or none; once for each client token. And reads of one moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from local.aws.call import AwsError, refuse_unknown, validation
from local.aws.dynamodb.reads import read_item
from local.aws.dynamodb.tables import FindTable
from local.aws.dynamodb.values import Item, item_bytes
from local.aws.dynamodb.writes import Change, Write, commit, key_of, outcome, read_write

_CONDITION = (
    "TableName",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
)
_WRITES = {
    "ConditionCheck": frozenset({"Key", *_CONDITION}),
    "Put": frozenset({"Item", *_CONDITION}),
    "Update": frozenset({"Key", "UpdateExpression", *_CONDITION}),
    "Delete": frozenset({"Key", *_CONDITION}),
}
_READS = {"Get": frozenset({"TableName", "Key", "ProjectionExpression", "ExpressionAttributeNames"})}
"""What each kind of action may have."""
_LIMIT = 100
_MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
_TOKEN_LIFE_S = 10 * 60
_REASONS = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
}


class ClientTokens:
    """Which transactions were committed in the last ten minutes, by client token.

    Only commits are remembered: a cancelled transaction changed nothing, and may be tried again under its token.
    """

    def __init__(self) -> None:
        self._committed: dict[tuple[str, str], tuple[float, bytes]] = {}

    def seen(self, region: str, params: Mapping[str, Any], now_s: float) -> bool:
        """True for a repetition of a committed request.

        Raises:
            AwsError: IdempotentParameterMismatchException where the token came with another request.
        """
        while self._committed and next(iter(self._committed.values()))[0] < now_s - _TOKEN_LIFE_S:
            del self._committed[next(iter(self._committed))]
        found = self._committed.get((region, params.get("ClientRequestToken", "")))
        if found is None:
            return False
        if found[1] != _fingerprint(params):
            raise AwsError(
                "IdempotentParameterMismatchException",
                "The request uses a client token of another request with other parameters.",
            )
        return True

    def remember(self, region: str, params: Mapping[str, Any], now_s: float) -> None:
        """Notes the commit of a request that carries a token."""
        if token := params.get("ClientRequestToken"):
            self._committed[region, token] = now_s, _fingerprint(params)


def _fingerprint(params: Mapping[str, Any]) -> bytes:
    asked = {name: value for name, value in params.items() if name != "ClientRequestToken"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def transact_write_items(
    params: Mapping[str, Any], find_table: FindTable, tokens: ClientTokens, region: str, now_s: float
) -> dict[str, Any]:
    """TransactWriteItems.

    Raises:
        AwsError: ValidationException for a request that is wrong in itself; TransactionCanceledException with a
            reason for each action; IdempotentParameterMismatchException.
    """
    if len(params.get("ClientRequestToken", "")) > 36:
        raise validation("1 validation error detected: Value at 'clientRequestToken' must have at most 36 characters")
    writes = [read_write(kind, body, find_table) for kind, body in _actions(params, _WRITES)]
    payload = sum(item_bytes(write.scope.values) + _put_bytes(write) for write in writes)
    if payload > _MAX_PAYLOAD_BYTES:
        raise validation("Transaction payload size cannot exceed 4 MB")
    if tokens.seen(region, params, now_s):
        return {}
    commit(_outcomes(writes, _keys(writes)), now_s)
    tokens.remember(region, params, now_s)
    return {}


def transact_get_items(params: Mapping[str, Any], find_table: FindTable) -> dict[str, Any]:
    """TransactGetItems: no other call runs while these are read."""
    found = [read_item(body, find_table) for _, body in _actions(params, _READS)]
    return {"Responses": [{} if item is None else {"Item": item} for item in found]}


def _actions(params: Mapping[str, Any], kinds: Mapping[str, frozenset[str]]) -> list[tuple[str, Mapping[str, Any]]]:
    actions = params.get("TransactItems") or []
    if not 1 <= len(actions) <= _LIMIT:
        raise validation(
            "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: "
            f"Member must have length between 1 and {_LIMIT}, less than or equal to {_LIMIT}"
        )
    for action in actions:
        if len(action) != 1 or next(iter(action)) not in kinds:
            raise validation(f"TransactItems can only contain one of {', '.join(kinds)}")
        ((kind, body),) = action.items()
        refuse_unknown(kind, body, kinds[kind])
        if kind == "Update" and "UpdateExpression" not in body:
            raise validation("1 validation error detected: Value null at 'updateExpression': Member must not be null")
    return [next(iter(action.items())) for action in actions]


def _put_bytes(write: Write) -> int:
    return item_bytes(write.target) if write.kind == "Put" else 0


def _keys(writes: list[Write]) -> list[Item]:
    """Each write's key. The first that does not fit cancels the rest, unread, as in DynamoDB."""
    keys: list[Item] = []
    for write in writes:
        try:
            keys.append(key_of(write))
        except AwsError as e:
            raise _canceled([e if write is each else None for each in writes]) from None
    places = [(write.table.arn, write.table.items.place(key)) for write, key in zip(writes, keys, strict=True)]
    if len(set(places)) < len(places):
        raise validation("Transaction request cannot include multiple operations on one item")
    return keys


def _outcomes(writes: list[Write], keys: list[Item]) -> list[Change]:
    changes: list[Change] = []
    refusals: list[AwsError | None] = []
    for write, key in zip(writes, keys, strict=True):
        try:
            changes.append(outcome(write, key))
            refusals.append(None)
        except AwsError as e:
            refusals.append(e)
    if any(refusals):
        raise _canceled(refusals)
    return changes


def canceled(reasons: list[dict[str, Any]]) -> AwsError:
    """TransactionCanceledException with a reason for each action, `{"Code": "None"}` where there is none."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return AwsError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=reasons,
    )


def _canceled(refusals: list[AwsError | None]) -> AwsError:
    return canceled(
        [
            {"Code": "None"}
            if refusal is None
            else {"Code": _REASONS[refusal.code], **refusal.details, "Message": refusal.message}
            for refusal in refusals
        ]
    )
