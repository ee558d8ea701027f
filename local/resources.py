"""Creating a template's resources: data in AWS on loopback, everything else as a name.

A resource is made when something first refers to it, so that what it refers to itself is made before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from local.intrinsics import NO_VALUE, Resolver, TemplateError
from local.template import Json, Template

# The stack's own key: what CloudFormation, API Gateway and the event sources do. No role limits it.
STACK_ACCESS_KEY = "AKIALOCALSTACK"
SECRET_ACCESS_KEY = "local"


@dataclass(frozen=True, slots=True)
class Physical:
    """A resource that exists: what `Ref` gives, and what `Fn::GetAtt` gives."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class Provisioner:
    """Makes resources, and is the scope in which the template's references to them are resolved.

    Use `create_all`, then `resolver` for the rest of the template.
    """

    def __init__(self, template: Template, endpoint_url: str) -> None:
        self._template = template
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._made: dict[str, Physical] = {}
        self._being_made: list[str] = []
        self.resolver = Resolver(self)
        self.name = template.parameters["AWS::StackName"]
        self.region = template.parameters["AWS::Region"]
        self.account_id = template.parameters["AWS::AccountId"]

    def create_all(self) -> dict[str, Physical]:
        """Every resource by logical id.

        Raises:
            TemplateError: resources refer to one another in a circle, or to something that is not there.
            botocore.exceptions.ClientError: AWS on loopback refuses one.
        """
        return {logical_id: self.physical(logical_id) for logical_id in self._template.resources}

    def physical(self, logical_id: str) -> Physical:
        """The resource, made if it was not yet."""
        if logical_id in self._made:
            return self._made[logical_id]
        if logical_id not in self._template.resources:
            raise TemplateError(f"There is no resource {logical_id}, or its condition is false.")
        if logical_id in self._being_made:
            raise TemplateError("Resources refer in a circle: " + " > ".join([*self._being_made, logical_id]))
        resource = self._template.resources[logical_id]
        self._being_made.append(logical_id)
        create = _CREATORS.get(resource["Type"], _named_only)
        self._made[logical_id] = create(self, logical_id, resource.get("Properties", {}))
        self._being_made.pop()
        return self._made[logical_id]

    def client(self, service: str) -> Any:
        """A boto3 client of AWS on loopback, under the stack's own key."""
        if service not in self._clients:
            self._clients[service] = aws_client(service, self._endpoint_url, self.region)
        return self._clients[service]

    def call(self, service: str, operation: str, properties: Json) -> Json:
        """Calls the operation with those of the resource's properties that it takes."""
        client = self.client(service)
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        accepted = {name: value for name, value in properties.items() if name in shape.members}
        return getattr(client, operation)(**accepted)  # type: ignore[no-any-return]

    # Scope of the resolver.
    @cached_property
    def mappings(self) -> Mapping[str, Any]:
        return self._template.mappings

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self._template.parameters[name] if name in self._template.parameters else self.physical(name).ref

    def attribute(self, logical_id: str, name: str) -> Any:
        attributes = self.physical(logical_id).attributes
        if name not in attributes:
            raise TemplateError(f"The local stack knows no attribute {name} of {logical_id}.")
        return attributes[name]

    def condition(self, name: str) -> bool:
        return self._template.conditions[name]


def aws_client(service: str, endpoint_url: str, region: str, access_key: str = STACK_ACCESS_KEY) -> Any:
    """A boto3 client of AWS on loopback."""
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def _table(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    wanted = {"TableName": f"{stack.name}-{logical_id}"} | stack.resolver.resolve(properties)
    if "StreamSpecification" in wanted:
        wanted["StreamSpecification"] = {"StreamEnabled": True} | wanted["StreamSpecification"]
    table = stack.call("dynamodb", "create_table", wanted)["TableDescription"]
    if recovery := wanted.get("PointInTimeRecoverySpecification"):
        stack.client("dynamodb").update_continuous_backups(
            TableName=table["TableName"], PointInTimeRecoverySpecification=recovery
        )
    return Physical(table["TableName"], {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")})


def _key(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    wanted = stack.resolver.resolve(properties)
    if policy := wanted.get("KeyPolicy"):
        wanted["Policy"] = json.dumps(policy)
    key = stack.call("kms", "create_key", wanted)["KeyMetadata"]
    if wanted.get("EnableKeyRotation"):
        stack.client("kms").enable_key_rotation(KeyId=key["KeyId"])
    return Physical(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


def _alias(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    wanted = stack.resolver.resolve(properties)
    stack.call("kms", "create_alias", wanted)
    return Physical(wanted["AliasName"])


def _bucket(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    name = stack.resolver.resolve(properties.get("BucketName", f"{stack.name}-{logical_id}")).lower()
    stack.client("s3").create_bucket(Bucket=name)
    return Physical(name, {"Arn": f"arn:aws:s3:::{name}"})


def _queue(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    name = stack.resolver.resolve(properties.get("QueueName", f"{stack.name}-{logical_id}"))
    url = stack.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return Physical(url, {"Arn": f"arn:aws:sqs:{stack.region}:{stack.account_id}:{name}", "QueueName": name})


def _user_pool(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    pool = stack.call("cognito-idp", "create_user_pool", {"PoolName": logical_id} | stack.resolver.resolve(properties))
    pool_id = pool["UserPool"]["Id"]
    arn = f"arn:aws:cognito-idp:{stack.region}:{stack.account_id}:userpool/{pool_id}"
    issuer = f"cognito-idp.{stack.region}.amazonaws.com/{pool_id}"
    return Physical(pool_id, {"Arn": arn, "ProviderName": issuer, "ProviderURL": f"https://{issuer}"})


def _user_pool_client(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    wanted = {"ClientName": logical_id} | stack.resolver.resolve(properties)
    client = stack.call("cognito-idp", "create_user_pool_client", wanted)["UserPoolClient"]
    return Physical(client["ClientId"], {"ClientId": client["ClientId"]})


def _user_pool_group(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    wanted = {"GroupName": logical_id} | stack.resolver.resolve(properties)
    stack.call("cognito-idp", "create_group", wanted)
    return Physical(wanted["GroupName"])


def _user(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    user = stack.call("cognito-idp", "admin_create_user", stack.resolver.resolve(properties))["User"]
    return Physical(user["Username"])


def _user_in_group(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    stack.call("cognito-idp", "admin_add_user_to_group", stack.resolver.resolve(properties))
    return Physical(logical_id)


def _function(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    # Its properties refer to tables and other functions, and those may refer back: they are resolved later.
    name = stack.resolver.resolve(properties.get("FunctionName", f"{stack.name}-{logical_id}"))
    return Physical(name, {"Arn": f"arn:aws:lambda:{stack.region}:{stack.account_id}:function:{name}"})


def _function_version(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    arn = stack.physical(properties["FunctionName"]["Ref"]).attributes["Arn"]
    return Physical(f"{arn}:1", {"Version": "1"})


def _function_alias(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    arn = stack.physical(properties["FunctionName"]["Ref"]).attributes["Arn"]
    return Physical(f"{arn}:{properties['Name']}")


def _role(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    name = f"{stack.name}-{logical_id}"
    return Physical(name, {"Arn": f"arn:aws:iam::{stack.account_id}:role/{name}"})


def _log_group(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    name = stack.resolver.resolve(properties.get("LogGroupName", f"{stack.name}-{logical_id}"))
    return Physical(name, {"Arn": f"arn:aws:logs:{stack.region}:{stack.account_id}:log-group:{name}:*"})


def _layer(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    return Physical(f"arn:aws:lambda:{stack.region}:{stack.account_id}:layer:{stack.name}-{logical_id}:1")


def _named_only(stack: Provisioner, logical_id: str, properties: Json) -> Physical:
    """Anything else is a name: permissions, stages, policies and the like do nothing on one machine."""
    return Physical(f"{stack.name}-{logical_id}")


_CREATORS: Mapping[str, Callable[[Provisioner, str, Json], Physical]] = {
    "AWS::Cognito::UserPool": _user_pool,
    "AWS::Cognito::UserPoolClient": _user_pool_client,
    "AWS::Cognito::UserPoolGroup": _user_pool_group,
    "AWS::Cognito::UserPoolUser": _user,
    "AWS::Cognito::UserPoolUserToGroupAttachment": _user_in_group,
    "AWS::DynamoDB::Table": _table,
    "AWS::IAM::Role": _role,
    "AWS::KMS::Alias": _alias,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::Alias": _function_alias,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::Lambda::Version": _function_version,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
}
