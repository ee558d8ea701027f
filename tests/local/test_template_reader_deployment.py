"""From a template to what runs: transform, conditions, data in AWS on loopback, descriptions."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from local.deployment import Deployment, Statement, describe
from local.intrinsics import TemplateError
from local.resources import Physical, Provisioner, aws_client
from local.template import Template, load_template
from tests.local.conftest import DEPLOYMENT


def load(path: Path = DEPLOYMENT / "template.yaml", name: str = "test", **parameters: str) -> Template:
    given = {"Operator": "operator@example.com"} | parameters
    return load_template(path, given, region="us-east-1", account_id="123456789012", stack_name=name)


class Provisioned:
    """A template whose resources exist."""

    def __init__(self, endpoint: str, **parameters: str) -> None:
        self.name = f"s{uuid.uuid4().hex[:6]}"
        self.endpoint = endpoint
        template = load(name=self.name, **parameters)
        provisioner = Provisioner(template, endpoint)
        self.physical: dict[str, Physical] = provisioner.create_all()
        self.deployment: Deployment = describe(template, provisioner.resolver, self.physical)

    def client(self, service: str) -> Any:
        return aws_client(service, self.endpoint, "us-east-1")


@pytest.fixture(scope="module")
def plain(aws_endpoint: str) -> Provisioned:
    return Provisioned(aws_endpoint)


@pytest.fixture(scope="module")
def fancy(aws_endpoint: str) -> Provisioned:
    return Provisioned(aws_endpoint, Kind="fancy", BatchWindowSeconds="7", RequestsPerSecond="50")


def test_the_table_has_its_stream_and_its_backups(plain: Provisioned) -> None:
    name = f"{plain.name}-RecordsTable"
    table = plain.client("dynamodb").describe_table(TableName=name)["Table"]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert plain.physical["RecordsTable"] == Physical(
        name, {"Arn": table["TableArn"], "StreamArn": table["LatestStreamArn"]}
    )
    backups = plain.client("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_key_rotates_and_has_its_alias(plain: Provisioned) -> None:
    kms, arn = plain.client("kms"), plain.physical["VaultKey"].attributes["Arn"]
    assert kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"] is True
    assert kms.describe_key(KeyId=f"alias/{plain.name}-vault")["KeyMetadata"]["Arn"] == arn


def test_the_first_operator_is_in_the_group(plain: Provisioned) -> None:
    pool_id = plain.physical["UserPool"].ref
    users = plain.client("cognito-idp").list_users_in_group(UserPoolId=pool_id, GroupName="operator")["Users"]
    assert [each["Value"] for each in users[0]["Attributes"] if each["Name"] == "email"] == ["operator@example.com"]


def test_the_bucket_exists(plain: Provisioned) -> None:
    bucket = plain.physical["FailedBatchesBucket"]
    assert bucket.attributes["Arn"] == f"arn:aws:s3:::{bucket.ref}"
    plain.client("s3").head_bucket(Bucket=bucket.ref)


def test_a_function(plain: Provisioned) -> None:
    function = plain.deployment.functions["StreamingFunction"]
    assert function.name == f"{plain.name}-StreamingFunction"
    assert function.arn.endswith(f":function:{function.name}")
    assert (function.handler, function.timeout_s, function.memory_mb) == ("handler.handle", 20, 256)
    assert function.code == DEPLOYMENT / "functions" / "streaming"
    assert function.layers == (DEPLOYMENT / "shared",)
    assert function.snap_start is False
    table = plain.physical["RecordsTable"]
    assert function.environment == {
        "KIND": "plain",
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
        "RECORDS_TABLE": table.ref,
        "KEY_ARN": plain.physical["VaultKey"].attributes["Arn"],
        "PROTECTED": "false",
        "JOINED": f"plain:b:plain-${{Literal}}-{table.attributes['Arn']}",
    }


def test_a_functions_role(plain: Provisioned) -> None:
    (own,) = plain.deployment.functions["StreamingFunction"].statements
    assert own == Statement(
        "Allow",
        ("kms:Decrypt",),
        (plain.physical["VaultKey"].attributes["Arn"],),
        {"StringEquals": {"kms:EncryptionContext:tenant": "one"}},
    )
    (given,) = plain.deployment.functions["EchoFunction"].statements
    assert (given.actions, given.resources) == (
        ("lambda:InvokeFunction",),
        (plain.deployment.functions["TimerFunction"].arn,),
    )


def test_the_routes_are_those_of_the_translated_api(plain: Provisioned) -> None:
    (api,) = plain.deployment.apis
    assert api.stage == "live"
    assert {(each.method, each.path, each.function_id, each.streamed, each.timeout_s) for each in api.routes} == {
        ("ANY", "/v1/{proxy+}", "StreamingFunction", True, 900),
        ("GET", "/short/{proxy+}", "StreamingFunction", True, 1.0),
        ("ANY", "/api/{proxy+}", "EchoFunction", False, 29),
        ("GET", "/api/items/{id}", "EchoFunction", False, 29),
        ("ANY", "/slow", "EchoFunction", False, 0.3),
    }
    assert api.binary_media_types == ("image/png",)
    assert api.gateway_responses["REQUEST_TOO_LARGE"].status == 413
    assert api.gateway_responses["REQUEST_TOO_LARGE"].headers == {"X-Why": "'size'", "X-Request": "context.requestId"}
    assert api.gateway_responses["DEFAULT_5XX"].status is None


def test_the_stream_mapping(plain: Provisioned) -> None:
    (mapping,) = plain.deployment.stream_mappings
    assert mapping.function_id == "ConsumerFunction"
    assert mapping.stream_arn == plain.physical["RecordsTable"].attributes["StreamArn"]
    assert mapping.filters[0]["dynamodb"]["NewImage"]["state"] == {"S": ["ended"]}
    assert (mapping.batch_size, mapping.window_s, mapping.max_retries, mapping.max_age_s) == (10, 0, 2, None)
    assert (mapping.bisects, mapping.reports_item_failures, mapping.starts_at_horizon) == (True, True, True)
    assert mapping.failure_bucket == plain.physical["FailedBatchesBucket"].ref


def test_the_schedules(plain: Provisioned) -> None:
    schedules = {each.id: each for each in plain.deployment.schedules}
    assert schedules["TimerFunctionEveryMinute"].expression == "rate(1 minute)"
    assert schedules["TimerFunctionEveryMinute"].payload is None
    assert schedules["TimerFunctionNightly"].payload == {"nightly": True}


def test_parameters_and_conditions(plain: Provisioned, fancy: Provisioned) -> None:
    function = fancy.deployment.functions["StreamingFunction"]
    assert (function.memory_mb, function.snap_start) == (1024, True)
    assert (function.environment["ONLY_WHEN_FANCY"], function.environment["PROTECTED"]) == ("yes", "true")
    assert fancy.deployment.stream_mappings[0].window_s == 7
    assert (fancy.deployment.apis[0].requests_per_s, fancy.deployment.apis[0].burst) == (50, 50)
    assert fancy.physical["OnlyWhenFancy"].attributes["QueueName"] == f"{fancy.name}-OnlyWhenFancy"
    assert "OnlyWhenFancy" not in plain.physical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: {", "cannot be read"),
        ("just: text", "is not a CloudFormation template"),
        ("Resources: {F: {Type: AWS::Serverless::Function, Properties: {Nonsense: 1}}}", "SAM refuses the template"),
        ("Parameters: {Needed: {Type: String}}\nResources: {}", "parameter Needed has no default"),
        ("Conditions: {A: !Equals [!Ref Nothing, 1]}\nResources: {T: {Type: X}}", "Nothing, which is no parameter"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=message):
        load_template(path, {}, region="us-east-1", account_id="1", stack_name="x")


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("{A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref B}}}", "no resource B"),
        (
            "{A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref B}},"
            " B: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref A}}}",
            "in a circle: A > B > A",
        ),
        (
            "{A: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt R.Nothing}}, R: {Type: AWS::IAM::Role}}",
            "Nothing",
        ),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, aws_endpoint: str, resources: str, message: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources: {resources}")
    template = load_template(path, {}, region="us-east-1", account_id="1", stack_name="x")
    with pytest.raises(TemplateError, match=message):
        Provisioner(template, aws_endpoint).create_all()


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TemplateError, match="no parameter Typo"):
        load(Typo="1")
