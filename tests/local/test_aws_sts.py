"""STS on loopback: identity tokens that verify, roles that are assumed only as their trust policy says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import boto3
import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from local.aws import Controls, start_aws
from local.aws.sts import ISSUER, JWKS_PATH, caller_arn
from tests.local.aws_clients import Aws, code, refusal

ROLE = "AKIAROLEOFSTS"
ANYONE = {"AWS": "arn:aws:iam::123456789012:root"}
AUDIENCE = "https://api.example.com"
ASKED = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256"}
TAG = [{"Key": "ownkey_account", "Value": "acc_1"}]


@pytest.fixture(scope="module")
def owner() -> Iterator[Aws]:
    """An access key without a policy."""
    with start_aws() as server:
        yield Aws(server.endpoint_url)


@pytest.fixture
def sts(owner: Aws) -> Any:
    return owner.client("sts")


@pytest.fixture
def role(owner: Aws) -> Iterator[Aws]:
    """An access key that may do what the test says."""
    yield owner.as_(ROLE)
    Controls(owner.endpoint_url).set_policies({})


def limit(aws: Aws, *statements: dict[str, Any]) -> None:
    Controls(aws.endpoint_url).set_policies({ROLE: statements})


def allow(actions: list[str], resources: Any = "*", **conditions: Any) -> dict[str, Any]:
    return {"effect": "Allow", "actions": actions, "resources": resources, "conditions": conditions}


def verified(aws: Aws, token: str, audience: str = AUDIENCE) -> dict[str, Any]:
    """The claims of a token that verifies with the published keys."""
    with urlopen(aws.endpoint_url + JWKS_PATH, timeout=5) as answer:
        keys = jwt.PyJWKSet.from_dict(json.load(answer))
    header = jwt.get_unverified_header(token)
    key = next(each for each in keys.keys if each.key_id == header["kid"])
    claims: dict[str, Any] = jwt.decode(token, key.key, [header["alg"]], audience=audience, issuer=ISSUER)
    return claims


def a_role(aws: Aws, trust: Any) -> str:
    name = f"ownkey-bedrock-{uuid.uuid4().hex[:8]}"
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    return str(aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


def trusting(principal: Any, **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}


# ── Identity tokens


@pytest.mark.parametrize("algorithm", ["RS256", "ES384"])
def test_an_identity_token_verifies_with_the_published_keys(owner: Aws, sts: Any, algorithm: str) -> None:
    answer = sts.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm=algorithm, Tags=TAG, DurationSeconds=900)
    claims = verified(owner, answer["WebIdentityToken"])
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, AUDIENCE, caller_arn("AKIATEST"))
    assert claims["exp"] - claims["iat"] == 900
    assert answer["Expiration"].timestamp() == claims["exp"]
    namespaced = claims["https://sts.amazonaws.com/"]
    assert namespaced["request_tags"] == {"ownkey_account": "acc_1"}
    assert (namespaced["aws_account"], namespaced["source_region"]) == ("123456789012", "us-east-1")


def test_every_identity_token_has_an_id_of_its_own_and_five_minutes_unless_asked(owner: Aws, sts: Any) -> None:
    first, second = (verified(owner, sts.get_web_identity_token(**ASKED)["WebIdentityToken"]) for _ in range(2))
    assert first["jti"] != second["jti"]
    assert first["exp"] - first["iat"] == 300
    assert "request_tags" not in first["https://sts.amazonaws.com/"]


def test_an_identity_token_for_several_names_them_all(owner: Aws, sts: Any) -> None:
    answer = sts.get_web_identity_token(Audience=["a", "b"], SigningAlgorithm="RS256")
    assert verified(owner, answer["WebIdentityToken"], "b")["aud"] == ["a", "b"]


@pytest.mark.parametrize(
    "wrong", [{"SigningAlgorithm": "HS256"}, {"DurationSeconds": 3601}, {"DurationSeconds": 60, "Audience": ["x"] * 11}]
)
def test_what_sts_does_not_take_is_refused(owner: Aws, wrong: dict[str, Any]) -> None:
    unchecked = boto3.client(
        "sts",
        endpoint_url=owner.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False),
    )
    answer = refusal(unchecked.get_web_identity_token, **{**ASKED, **wrong})
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationError", 400)


def test_an_unsigned_call_is_refused(owner: Aws) -> None:
    unsigned = boto3.client(
        "sts", endpoint_url=owner.endpoint_url, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    assert code(unsigned.get_web_identity_token, **ASKED) == "MissingAuthenticationToken"
    arn = a_role(owner, trusting("*"))
    assert code(unsigned.assume_role, RoleArn=arn, RoleSessionName="x1") == "MissingAuthenticationToken"


# ── Who may ask for one


def test_a_role_that_may_not_prove_itself_is_refused(role: Aws) -> None:
    limit(role, allow(["dynamodb:*"]))
    answer = refusal(role.client("sts").get_web_identity_token, **ASKED)
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
    assert "sts:GetWebIdentityToken" in answer["Error"]["Message"]


def test_tags_need_a_permission_of_their_own(role: Aws) -> None:
    limit(role, allow(["sts:GetWebIdentityToken"]))
    role.client("sts").get_web_identity_token(**ASKED)
    answer = refusal(role.client("sts").get_web_identity_token, **ASKED, Tags=TAG)
    assert answer["Error"]["Code"] == "AccessDenied"
    assert "sts:TagGetWebIdentityToken" in answer["Error"]["Message"]
    limit(role, allow(["sts:GetWebIdentityToken", "sts:TagGetWebIdentityToken"]))
    role.client("sts").get_web_identity_token(**ASKED, Tags=TAG)


def test_conditions_see_audience_duration_algorithm_and_tags(role: Aws) -> None:
    limit(
        role,
        allow(
            ["sts:GetWebIdentityToken"],
            **{
                "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": [AUDIENCE]},
                "StringEquals": {"sts:SigningAlgorithm": "RS256"},
                "NumericLessThanEquals": {"sts:DurationSeconds": "900"},
            },
        ),
        allow(
            ["sts:TagGetWebIdentityToken"],
            **{
                "ForAllValues:StringEquals": {"aws:TagKeys": "ownkey_account"},
                "StringLike": {"aws:RequestTag/ownkey_account": "acc_*"},
            },
        ),
    )
    ask = role.client("sts").get_web_identity_token
    ask(**ASKED, Tags=TAG, DurationSeconds=900)
    ask(**ASKED)
    for wrong in (
        {"DurationSeconds": 901},
        {"SigningAlgorithm": "ES384"},
        {"Audience": [AUDIENCE, "https://elsewhere.example"]},
        {"Tags": [*TAG, {"Key": "more", "Value": "x"}]},
        {"Tags": [{"Key": "ownkey_account", "Value": "another"}]},
    ):
        assert code(ask, **{**ASKED, "Tags": TAG, **wrong}) == "AccessDenied", wrong


def test_a_condition_on_what_an_action_is_not_shown_does_not_hold(role: Aws) -> None:
    for action, conditions in (
        ("sts:GetWebIdentityToken", {"StringEquals": {"aws:RequestTag/ownkey_account": "acc_1"}}),
        ("sts:TagGetWebIdentityToken", {"NumericLessThanEquals": {"sts:DurationSeconds": "900"}}),
    ):
        other = ({"sts:GetWebIdentityToken", "sts:TagGetWebIdentityToken"} - {action}).pop()
        limit(role, allow([action], **conditions), allow([other]))
        assert code(role.client("sts").get_web_identity_token, **ASKED, Tags=TAG) == "AccessDenied"


# ── Roles


def test_a_role_is_assumed_under_the_external_id_it_asks_for_alone(owner: Aws, sts: Any) -> None:
    arn = a_role(owner, trusting(ANYONE, StringEquals={"sts:ExternalId": "ownkey:acc_1"}))
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="ownkey-acc_1", ExternalId="ownkey:acc_1")
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert answer["AssumedRoleUser"]["Arn"].endswith("/ownkey-acc_1")
    for wrong in ({"ExternalId": "ownkey:acc_2"}, {}):
        asked = {"RoleArn": arn, "RoleSessionName": "ownkey-acc_2", **wrong}
        assert code(sts.assume_role, **asked) == "AccessDenied"


@pytest.mark.parametrize(
    ("trust", "assumed"),
    [
        (trusting("*"), True),
        (trusting({"AWS": caller_arn("AKIATEST")}), True),
        (trusting({"AWS": [caller_arn("AKIAOTHER")]}), False),
        (trusting({"Service": "lambda.amazonaws.com"}), False),
        ([trusting("*"), {**trusting("*"), "Effect": "Deny"}], False),
    ],
)
def test_a_trust_policy_names_whom_it_trusts(owner: Aws, sts: Any, trust: Any, assumed: bool) -> None:
    asked = {"RoleArn": a_role(owner, trust), "RoleSessionName": "ownkey-acc_1"}
    if assumed:
        sts.assume_role(**asked)
    else:
        assert code(sts.assume_role, **asked) == "AccessDenied"


def test_a_role_that_does_not_exist_lets_nobody_in(sts: Any) -> None:
    asked = {"RoleArn": "arn:aws:iam::123456789012:role/nobody", "RoleSessionName": "ownkey-acc_1"}
    assert code(sts.assume_role, **asked) == "AccessDenied"


def test_the_callers_own_role_must_allow_it_too(owner: Aws, role: Aws) -> None:
    arn, other = a_role(owner, trusting("*")), a_role(owner, trusting("*"))
    limit(role, allow(["sts:AssumeRole"], [arn]))
    role.client("sts").assume_role(RoleArn=arn, RoleSessionName="ownkey-acc_1")
    assert code(role.client("sts").assume_role, RoleArn=other, RoleSessionName="ownkey-acc_1") == "AccessDenied"


def test_other_calls_are_still_motos(sts: Any) -> None:
    assert sts.get_caller_identity()["Account"] == "123456789012"
