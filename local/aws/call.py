"""One call to AWS, who makes it, and how its answer or error goes on the wire.

```
AwsError          what the service would refuse with: a code, a message, a status
```
"""

from __future__ import annotations

import json
import re
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

ACCOUNT_ID = "123456789012"
"""The one account, as in moto."""

_JSON_TARGETS = {
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "dynamodbstreams",
    "TrentService": "kms",
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSEvents": "events",
    "AmazonSSM": "ssm",
    "AmazonSQS": "sqs",
}
_CREDENTIAL = re.compile(r"Credential=([^/\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_DEFAULT_REGION = "us-east-1"
_QUERY_SERVICES = {"2011-06-15": "sts"}
"""By the API's version: of the services that speak the query protocol, those that are answered here."""
_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. `params` is the JSON body or the form of a query, empty for services that speak neither.

    `service` is the endpoint's name ("dynamodb", "kms", "s3"), `operation` the API's ("GetItem"), or the HTTP method
    where the service is a REST one. `access_key` is None for an unsigned call.
    """

    service: str
    operation: str
    access_key: str | None
    region: str
    params: Mapping[str, Any]
    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AwsError(Exception):
    """A service's refusal. `details` are further members of the error's body."""

    def __init__(self, code: str, message: str, *, status: int = 400, **details: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details


def validation(message: str) -> AwsError:
    """The error of a request that can never succeed."""
    return AwsError("ValidationException", message)


def refuse_unknown(where: str, members: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuses members that are not implemented, where AWS ignores them: a misspelt condition must not pass for none.

    Raises:
        AwsError: ValidationException.
    """
    if unknown := members.keys() - known:
        raise validation(f"The local stack does not know these members of {where}: {', '.join(sorted(unknown))}")


def identify(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Call:
    """Reads who calls what. Signatures are not verified: there are no secrets here to verify them with.

    Raises:
        AwsError: SerializationException, where a JSON call carries no JSON object.
    """
    access_key, region, scope = None, _DEFAULT_REGION, ""
    if signed := _CREDENTIAL.search(headers.get("Authorization", "")):
        access_key, region, scope = signed.groups()
    namespace, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
    if not operation and headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if service := _QUERY_SERVICES.get(form.get("Version", "")):
            return Call(service, form.get("Action", ""), access_key, region, form, path, query)
    if not operation:
        return Call(scope or "unsigned", method, access_key, region, {}, path, query)
    service = _JSON_TARGETS.get(namespace) or scope or namespace.lower()
    return Call(service, operation, access_key, region, _json_object(body), path, query)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        params = json.loads(body or b"{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise AwsError("SerializationException", "The body is not a JSON object.")
    return params


# ------------------------------------------------------------------ answers
_SHAPES = "com.amazonaws.dynamodb.v20120810#"
_CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "ThrottlingException": "com.amazon.coral.availability#",
}
_CAPITAL_MESSAGE = frozenset(
    {"TransactionCanceledException", "IdempotentParameterMismatchException", *_CORAL} - {"ValidationException"}
)


def json_answer(service: str, payload: Any, status: int = 200) -> Answer:
    """An answer of AWS's JSON protocols, with the checksum DynamoDB sends and clients verify."""
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    dialect = "1.0" if service.startswith("dynamodb") else "1.1"
    headers = {
        "Content-Type": f"application/x-amz-json-{dialect}",
        "x-amzn-RequestId": str(uuid.uuid4()),
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    return Answer(status, headers, body)


def query_answer(operation: str, result: Mapping[str, Any]) -> Answer:
    """An answer of STS's query protocol: XML."""
    members = {f"{operation}Result": result, "ResponseMetadata": {"RequestId": str(uuid.uuid4())}}
    return _xml_answer(200, f'<{operation}Response xmlns="{_STS_NAMESPACE}">{_xml(members)}</{operation}Response>')


def _xml(members: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in members.items()
    )


def _xml_answer(status: int, xml: str) -> Answer:
    return Answer(status, {"Content-Type": "text/xml"}, xml.encode())


def error_answer(service: str, error: AwsError) -> Answer:
    """The refusal in the service's own dialect: JSON, or XML for S3 and STS."""
    if service == "sts":
        code = error.code.removesuffix("Exception") if error.code in _CORAL else error.code
        said = _xml({"Type": "Sender" if error.status < 500 else "Receiver", "Code": code, "Message": error.message})
        xml = f"<Error>{said}</Error><RequestId>{uuid.uuid4()}</RequestId>"
        return _xml_answer(error.status, f'<ErrorResponse xmlns="{_STS_NAMESPACE}">{xml}</ErrorResponse>')
    if service == "s3":
        code = error.code.removesuffix("Exception")
        body = f"<Error><Code>{code}</Code><Message>{error.message}</Message></Error>".encode()
        return Answer(error.status, {"Content-Type": "application/xml"}, body)
    prefix = _CORAL.get(error.code, _SHAPES) if service.startswith("dynamodb") else ""
    member = "Message" if error.code in _CAPITAL_MESSAGE else "message"
    return json_answer(service, {"__type": prefix + error.code, **error.details, member: error.message}, error.status)
