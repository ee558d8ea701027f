"""What outlives a deployment: tables, vault key, user pool, failed batches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.translation import resources, translated

TABLES = (
    "RegistryTable",
    "RecordsTable",
    "CreditsTable",
    "CountersTable",
    "LedgerTable",
    "RollupsTable",
    "HealthTable",
    "AuditTable",
)
EXPIRING = ("RegistryTable", "CountersTable", "AnswersTable")
"""Tables in which what says so expires."""
FOR_A_DAY = "AnswersTable"
"""Users' content, sealed: nothing of it is to outlive its day."""


def table(name: str) -> dict[str, Any]:
    return resources("AWS::DynamoDB::Table")[name]


def test_every_table_is_named_here() -> None:
    assert resources("AWS::DynamoDB::Table").keys() == {*TABLES, FOR_A_DAY}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_paid_by_use_can_be_restored_and_has_two_string_keys(name: str) -> None:
    properties = table(name)
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert [(key["AttributeName"], key["KeyType"]) for key in properties["KeySchema"]] == [
        ("pk", "HASH"),
        ("sk", "RANGE"),
    ]
    assert {each["AttributeType"] for each in properties["AttributeDefinitions"]} == {"S"}
    assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["Protected", True, False]}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_uses_dynamodbs_own_key(name: str) -> None:
    """A customer key would make a plain PutItem need `kms:Decrypt` on it."""
    assert "SSESpecification" not in table(name)


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(EXPIRING)))
def test_a_table_keeps_its_items_for_good(name: str) -> None:
    """Balances and rollups are recomputed from records and entries: none of them may expire."""
    assert "TimeToLiveSpecification" not in table(name)


@pytest.mark.parametrize("name", EXPIRING)
def test_only_what_says_so_expires(name: str) -> None:
    assert table(name)["TimeToLiveSpecification"] == {"AttributeName": "ttl_s", "Enabled": True}


def test_what_is_kept_for_a_day_is_in_no_backup_and_goes_with_the_stack() -> None:
    resource = translated()["Resources"][FOR_A_DAY]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Delete", "Delete")
    properties = resource["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert not {"PointInTimeRecoverySpecification", "SSESpecification", "StreamSpecification"} & properties.keys()


def test_only_records_have_a_stream_and_it_shows_both_images() -> None:
    streams = {name: table(name).get("StreamSpecification") for name in TABLES}
    assert {name: each for name, each in streams.items() if each} == {
        "RecordsTable": {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    }


@pytest.mark.parametrize("name", [*TABLES, "VaultKey", "UserPool", "FailedBatchesBucket"])
def test_state_outlives_the_stack(name: str) -> None:
    resource = translated()["Resources"][name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_nothing_is_named_so_that_two_stacks_fit_in_an_account() -> None:
    named = {"TableName", "BucketName", "FunctionName", "RoleName", "UserPoolName", "PolicyName"}
    kinds = (
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
        "AWS::Lambda::Function",
        "AWS::IAM::Role",
        "AWS::Cognito::UserPool",
    )
    assert not [name for kind in kinds for name, each in resources(kind).items() if named & each.keys()]


def test_the_vault_key_turns_every_year_and_takes_a_month_to_die() -> None:
    (key,) = resources("AWS::KMS::Key").values()
    assert key["EnableKeyRotation"] is True
    assert key["PendingWindowInDays"] == 30


def test_the_vault_key_leaves_every_decision_to_iam() -> None:
    (key,) = resources("AWS::KMS::Key").values()
    (statement,) = key["KeyPolicy"]["Statement"]
    assert statement["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    assert statement["Effect"] == "Allow"


def test_failed_batches_are_private_encrypted_expire_and_travel_by_tls() -> None:
    bucket = resources("AWS::S3::Bucket")["FailedBatchesBucket"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert {rule["Id"] for rule in bucket["LifecycleConfiguration"]["Rules"]} == {"expire", "abort-uploads"}
    (denial,) = resources("AWS::S3::BucketPolicy")["FailedBatchesBucketPolicy"]["PolicyDocument"]["Statement"]
    assert (denial["Effect"], denial["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_people_are_invited_and_never_sign_themselves_up() -> None:
    pool = resources("AWS::Cognito::UserPool")["UserPool"]
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    assert pool["MfaConfiguration"] == "OPTIONAL"
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 12
    assert {"{username}", "{####}"} <= set(
        pool["AdminCreateUserConfig"]["InviteMessageTemplate"]["EmailMessage"].split()
    )


def test_browsers_and_command_lines_sign_in_without_a_client_secret() -> None:
    (client,) = resources("AWS::Cognito::UserPoolClient").values()
    assert client["GenerateSecret"] is False
    assert set(client["ExplicitAuthFlows"]) == {
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    }
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_the_first_operator_comes_from_a_parameter() -> None:
    user = resources("AWS::Cognito::UserPoolUser")["FirstOperator"]
    assert user["Username"] == {"Ref": "OperatorEmail"}
    attachment = resources("AWS::Cognito::UserPoolUserToGroupAttachment")["FirstOperatorInGroup"]
    assert (attachment["Username"], attachment["GroupName"]) == ({"Ref": "FirstOperator"}, {"Ref": "OperatorGroup"})
    assert resources("AWS::Cognito::UserPoolGroup")["OperatorGroup"]["GroupName"] == "operator"


def test_another_operator_email_takes_nobodys_access() -> None:
    for name in ("FirstOperator", "FirstOperatorInGroup"):
        assert translated()["Resources"][name]["UpdateReplacePolicy"] == "Retain"


def test_every_parameter_says_what_it_is_and_refuses_nonsense() -> None:
    for name, parameter in translated()["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue"}, name
