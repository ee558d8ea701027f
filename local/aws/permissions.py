"""What a call needs permission for: actions, the ARNs they act on, and what conditions may ask about.

Sources: the service authorization reference; for transactions, "Using IAM with DynamoDB transactions" in the DynamoDB
developer guide (each action needs the permission of the single operation, and ConditionCheckItem); for identity tokens,
"Controlling access with IAM policies" in the IAM user guide (tags need a permission of their own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from local.aws.call import ACCOUNT_ID, AwsError, Call
from local.aws.dynamodb.service import DynamoDb
from local.aws.dynamodb.streams import read_iterator
from local.aws.kms import Kms
from local.aws.policies import Access
from local.aws.sts import members, tags

_TRANSACT_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_S3_OBJECT_ACTIONS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_BUCKET_ACTIONS = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_OWN_ACCOUNT = {"aws:ResourceAccount": (ACCOUNT_ID,), "s3:ResourceAccount": (ACCOUNT_ID,)}


class Permissions:
    """From calls to accesses; asks the services what names and ciphertexts stand for."""

    def __init__(self, dynamodb: DynamoDb, kms: Kms) -> None:
        self._dynamodb = dynamodb
        self._kms = kms
        self._by_service: dict[str, Callable[[Call], Iterable[Access]]] = {
            "dynamodb": self._of_dynamodb,
            "dynamodbstreams": self._of_streams,
            "events": self._of_events,
            "kms": self._of_kms,
            "s3": self._of_s3,
            "sts": self._of_sts,
        }

    def needed(self, call: Call) -> list[Access]:
        """Every access of a call: all must be allowed."""
        return list(self._by_service.get(call.service, self._of_any)(call))

    def _of_any(self, call: Call) -> Iterator[Access]:
        yield Access(f"{call.service}:{call.operation}", _named_arn(call), _OWN_ACCOUNT)

    # -------------------------------------------------------------- DynamoDB
    def _of_dynamodb(self, call: Call) -> Iterator[Access]:
        params = call.params
        match call.operation:
            case "BatchGetItem":
                for table, request in params.get("RequestItems", {}).items():
                    yield self._on_table(call, "BatchGetItem", table, request.get("Keys", ()))
            case "BatchWriteItem":
                for table, requests in params.get("RequestItems", {}).items():
                    items = [body.get("Item") or body.get("Key") for each in requests for body in each.values()]
                    yield self._on_table(call, "BatchWriteItem", table, items)
            case "TransactWriteItems" | "TransactGetItems":
                for action in params.get("TransactItems", ()):
                    for kind, body in action.items():
                        item = body.get("Item") or body.get("Key")
                        yield self._on_table(call, _TRANSACT_ACTIONS[kind], body.get("TableName"), [item])
            case "Query":
                leading = self._dynamodb.queried_hash_value(call)
                arn = _table_arn(call, params.get("TableName"))
                yield self._dynamodb_access(call, "Query", arn, [] if leading is None else [leading])
            case "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
                item = params.get("Item") or params.get("Key")
                yield self._on_table(call, call.operation, params.get("TableName"), [item])
            case _:
                arn = params.get("ResourceArn") or _table_arn(call, params.get("TableName"))
                yield Access(f"dynamodb:{call.operation}", arn, _OWN_ACCOUNT)

    def _on_table(self, call: Call, action: str, table: Any, items: Iterable[Any]) -> Access:
        hash_name = next(iter(self._dynamodb.key_names(call.region, table)), None)
        leading = [str(next(iter(item[hash_name].values()))) for item in items if item and hash_name in item]
        return self._dynamodb_access(call, action, _table_arn(call, table), leading)

    def _dynamodb_access(self, call: Call, action: str, arn: str, leading: list[str]) -> Access:
        context: dict[str, tuple[str, ...]] = dict(_OWN_ACCOUNT)
        if leading:
            context["dynamodb:LeadingKeys"] = tuple(leading)
        if call.operation.startswith("Transact"):
            context["dynamodb:EnclosingOperation"] = (call.operation,)
        return Access(f"dynamodb:{action}", arn, context)

    def _of_streams(self, call: Call) -> Iterator[Access]:
        arn = call.params.get("StreamArn")
        if call.operation == "GetRecords":
            arn = _stream_of(call.params.get("ShardIterator"))
        elif call.operation == "ListStreams" and "TableName" in call.params:
            arn = _table_arn(call, call.params["TableName"]) + "/stream/*"
        yield Access(f"dynamodb:{call.operation}", arn or "*", _OWN_ACCOUNT)

    # -------------------------------------------------------------- EventBridge
    def _of_events(self, call: Call) -> Iterable[Access]:
        if call.operation != "PutEvents":
            yield from self._of_any(call)
            return
        for entry in call.params.get("Entries", ()):
            bus = str(entry.get("EventBusName", "default")).rpartition("/")[2]
            arn = f"arn:aws:events:{call.region}:{ACCOUNT_ID}:event-bus/{bus}"
            yield Access("events:PutEvents", arn, _OWN_ACCOUNT | {"events:source": (str(entry.get("Source")),)})

    # -------------------------------------------------------------- KMS
    def _of_kms(self, call: Call) -> Iterator[Access]:
        params = call.params
        sealing = [self._kms.arn_of_ciphertext(call)]
        match call.operation:
            case "Decrypt":
                yield from self._on_keys(call, "Decrypt", sealing, params.get("EncryptionContext"))
            case "ReEncrypt":
                wanted = self._kms.arns(call, params.get("DestinationKeyId"))
                yield from self._on_keys(call, "ReEncryptFrom", sealing, params.get("SourceEncryptionContext"))
                yield from self._on_keys(call, "ReEncryptTo", wanted, params.get("DestinationEncryptionContext"))
            case operation:
                keys = self._kms.arns(call, params.get("KeyId") or params.get("TargetKeyId"))
                yield from self._on_keys(call, operation, keys, params.get("EncryptionContext"))

    def _on_keys(
        self, call: Call, action: str, arns: Iterable[str | None], encryption_context: Mapping[str, str] | None
    ) -> Iterator[Access]:
        context: dict[str, tuple[str, ...]] = dict(_OWN_ACCOUNT)
        if encryption_context:
            context["kms:EncryptionContextKeys"] = tuple(encryption_context)
            for name, value in encryption_context.items():
                context[f"kms:EncryptionContext:{name}"] = (str(value),)
        # A key that does not exist is still asked permission for, or its absence would be told to anyone.
        for arn in list(arns) or [None]:
            yield Access(f"kms:{action}", arn or "*", context)

    # -------------------------------------------------------------- S3
    def _of_s3(self, call: Call) -> Iterator[Access]:
        bucket, _, key = call.path.lstrip("/").partition("/")
        if not bucket:
            yield Access("s3:ListAllMyBuckets", "*", _OWN_ACCOUNT)
            return
        actions = _S3_OBJECT_ACTIONS if key else _S3_BUCKET_ACTIONS
        action = actions.get(call.operation, call.operation)
        yield Access(f"s3:{action}", f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""), _OWN_ACCOUNT)

    # -------------------------------------------------------------- STS
    def _of_sts(self, call: Call) -> Iterable[Access]:
        params, tagged = call.params, tags(call.params)
        if call.operation == "GetWebIdentityToken":
            audience: dict[str, tuple[str, ...]] = {"sts:IdentityTokenAudience": tuple(members(params, "Audience"))}
            # Each action sees what AWS is known to show it, and no more: a condition on anything else must fail here.
            asked: dict[str, tuple[str, ...]] = {
                "sts:SigningAlgorithm": (params.get("SigningAlgorithm", ""),),
                "sts:DurationSeconds": (params.get("DurationSeconds", "300"),),
            }
            yield Access("sts:GetWebIdentityToken", "*", audience | asked)
            if tagged:
                each: dict[str, tuple[str, ...]] = {f"aws:RequestTag/{key}": (value,) for key, value in tagged.items()}
                yield Access("sts:TagGetWebIdentityToken", "*", audience | each | {"aws:TagKeys": tuple(tagged)})
        elif call.operation == "AssumeRole":
            named = (("ExternalId", "sts:ExternalId"), ("RoleSessionName", "sts:RoleSessionName"))
            context = {key: (params[name],) for name, key in named if name in params}
            yield Access("sts:AssumeRole", params.get("RoleArn", "*"), context)
        else:
            yield Access(f"sts:{call.operation}", "*", {})


def _table_arn(call: Call, name: Any) -> str:
    if not isinstance(name, str):
        return "*"
    arn = name if name.startswith("arn:") else f"arn:aws:dynamodb:{call.region}:{ACCOUNT_ID}:table/{name}"
    index = call.params.get("IndexName")
    return f"{arn}/index/{index}" if index else arn


def _stream_of(iterator: Any) -> str | None:
    try:
        return read_iterator(iterator, now_s=0)[0]
    except AwsError:
        return None


_ARNS = {
    "cognito-idp": ("UserPoolId", "arn:aws:cognito-idp:{region}:{account}:userpool/{name}"),
    "events": ("EventBusName", "arn:aws:events:{region}:{account}:event-bus/{name}"),
    "sqs": ("QueueUrl", "arn:aws:sqs:{region}:{account}:{name}"),
    "ssm": ("Name", "arn:aws:ssm:{region}:{account}:parameter/{name}"),
    "secretsmanager": ("SecretId", "arn:aws:secretsmanager:{region}:{account}:secret:{name}"),
}
"""For each service the member that names what is acted on, and its ARN."""


def _named_arn(call: Call) -> str:
    member, arn = _ARNS.get(call.service, ("", ""))
    name = call.params.get(member)
    if not isinstance(name, str):
        return "*"
    if name.startswith("arn:"):
        return name
    return arn.format(region=call.region, account=ACCOUNT_ID, name=name.rpartition("/")[2])
