"""Least privilege: the roles of the template are those of docs/contracts/iam.md, statement by statement."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest

from ownkey.domain.credentials import Binding
from tests.template.translation import FUNCTIONS, ROOT, logical_id, resources, translated

IAM_PAGE = ROOT / "docs" / "contracts" / "iam.md"


class Statement(NamedTuple):
    """One permission, in the words of the page."""

    function: str
    sid: str
    resource: str
    actions: frozenset[str]
    condition: str


def rows(header: str) -> list[list[str]]:
    """Cells of the page's table that begins with `header`."""
    table = IAM_PAGE.read_text().partition(f"\n| {header} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def documented_conditions() -> dict[str, dict[str, Any]]:
    """JSON of each named condition; that of the binding comes from the code that seals."""
    keys = list(Binding("a", "p", "c", 1, "d").encryption_context())
    binding = {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": keys},
        "Null": {f"kms:EncryptionContext:{key}": "false" for key in keys},
    }
    written = {name: json.loads(code.strip("`")) for name, _, code in rows("condition") if code.startswith("`{")}
    return {"": {}, "whole binding": binding, **written}


def documented() -> set[Statement]:
    return {
        Statement(function, sid, resource.strip("`"), frozenset(actions.split()), condition)
        for function, sid, resource, actions, condition in rows("function")
    }


def resource_name(value: object) -> str:
    match value:
        case {"Fn::GetAtt": [name, "Arn"]}:
            return str(name)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Ref": name}:
            return str(name)
        case "*":
            return "*"
        case {"Fn::Sub": str(text)} if ":event-bus/" in text:
            return text.rpartition(":")[2]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"^\$\{(\w+)\.Arn\}", r"\1", text)
    raise AssertionError(f"a resource named in no known way: {value}")


def statements_of(function: str) -> list[dict[str, Any]]:
    role = resources("AWS::IAM::Role")[f"{function.capitalize()}Role"]
    (policy,) = role["Policies"]
    return [unconditional(each) for each in policy["PolicyDocument"]["Statement"]]


ONLY_WHERE = {
    "OpenAccountCredentials": "WithAccountKmsKeys",
    "SealAccountCredentials": "WithAccountKmsKeys",
    "RewrapAccountCredentials": "WithAccountKmsKeys",
    "ProveIdentity": "WithKeyless",
    "TagIdentity": "WithKeyless",
    "AssumeBedrockRoles": "WithBedrockRoles",
}
"""Statements that a parameter brings, and the condition that says so."""


def unconditional(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement itself, of one that stands under a condition; the condition is the one it ought to be."""
    wanted = ONLY_WHERE.get(statement.get("Sid", ""))
    if "Fn::If" not in statement:
        assert wanted is None, f"{statement.get('Sid')} is granted whatever the parameters say"
        return statement
    condition, granted, otherwise = statement["Fn::If"]
    assert otherwise == {"Ref": "AWS::NoValue"}
    assert condition == ONLY_WHERE[granted["Sid"]]
    return granted


def condition_name(condition: dict[str, Any]) -> str:
    names = [name for name, each in documented_conditions().items() if each == condition]
    assert names, f"a condition that {IAM_PAGE.name} does not name: {condition}"
    return names[0]


def actions_of(statement: dict[str, Any]) -> frozenset[str]:
    actions = statement["Action"]
    return frozenset([actions] if isinstance(actions, str) else actions)


def in_template() -> set[Statement]:
    return {
        Statement(
            function,
            each["Sid"],
            resource_name(each["Resource"]),
            actions_of(each),
            condition_name(each.get("Condition", {})),
        )
        for function in FUNCTIONS
        for each in statements_of(function)
    }


def test_the_template_grants_what_the_page_says_and_nothing_else() -> None:
    assert sorted(in_template()) == sorted(documented())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_own_role_and_that_role_only_its_inline_policy(function: str) -> None:
    assert resources("AWS::Lambda::Function")[logical_id(function)]["Role"] == {
        "Fn::GetAtt": [f"{function.capitalize()}Role", "Arn"]
    }
    role = resources("AWS::IAM::Role")[f"{function.capitalize()}Role"]
    assert role.keys() == {"Description", "AssumeRolePolicyDocument", "Policies"}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    denied = {each["Sid"] for each in statements_of(function) if each["Effect"] != "Allow"}
    assert denied == ({"OpenNoAdminCredentials"} if function == "inference" else set())


def test_sam_adds_no_role_of_its_own() -> None:
    ours = {f"{function.capitalize()}Role" for function in FUNCTIONS} | {"ApiAccountRole"}
    assert resources("AWS::IAM::Role").keys() == ours


def test_no_action_is_a_wildcard() -> None:
    assert not [each for each in in_template() if any("*" in action for action in each.actions)]


def test_a_resource_with_a_wildcard_is_below_one_of_ours_and_named_here() -> None:
    wild = {(each.resource, action) for each in in_template() if "*" in each.resource for action in each.actions}
    assert wild == {
        ("RecordsTable/stream/*", "dynamodb:ListStreams"),  # knows no single stream
        ("FailedBatchesBucket/*", "s3:PutObject"),  # objects of that bucket
        ("*", "kms:Decrypt"),  # a denial: no admin credential for inference, under whatever key
        ("*", "sts:GetWebIdentityToken"),  # about the caller itself
        ("*", "sts:TagGetWebIdentityToken"),
    }


def holders(action: str) -> set[str]:
    return {each.function for each in in_template() if action in each.actions}


def test_only_inference_and_validation_can_open_a_credential() -> None:
    assert holders("kms:Decrypt") == {"inference", "validation"}


def test_the_function_that_strangers_reach_asks_for_deposits_and_no_more() -> None:
    mine = [each for each in in_template() if each.function == "payments"]
    assert {action for each in mine for action in each.actions if action.startswith(("dynamodb", "kms", "s3"))} == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
    }
    assert {each.condition for each in mine if each.resource == "RecordsTable"} == {"deposits"}
    assert {each.condition for each in mine if each.resource == "RegistryTable"} == {"list of accounts"}
    assert holders("secretsmanager:GetSecretValue") == {"payments"}


def test_the_function_that_people_reach_can_seal_and_not_open() -> None:
    assert {
        action for each in in_template() if each.function == "keys" for action in each.actions if "kms" in action
    } == {"kms:GenerateDataKey"}


def test_no_use_of_the_vault_key_goes_without_the_whole_binding() -> None:
    kms_keys = ("VaultKey", "AccountKmsKeyArns")
    assert {each.condition for each in in_template() if each.resource in kms_keys} == {"whole binding"}


WRITES = {f"dynamodb:{verb}Item" for verb in ("Put", "Update", "Delete")}


@pytest.mark.parametrize(
    "table, writers",
    [
        ("RegistryTable", {"keys", "upkeep"}),
        ("RecordsTable", {"inference", "keys", "billing", "upkeep", "payments"}),
        ("CreditsTable", {"inference", "billing", "upkeep"}),
        ("LedgerTable", {"billing"}),
        ("RollupsTable", {"billing"}),
        ("HealthTable", {"inference", "validation"}),
        ("AuditTable", {"inference", "keys", "validation", "billing", "upkeep", "payments"}),
        ("CountersTable", {"inference", "billing", "upkeep"}),
        ("AnswersTable", {"inference"}),
    ],
)
def test_who_writes_a_table(table: str, writers: set[str]) -> None:
    assert {each.function for each in in_template() if each.resource == table and each.actions & WRITES} == writers


@pytest.mark.parametrize("table", ["LedgerTable", "AuditTable"])
def test_ledger_and_audit_log_are_append_only(table: str) -> None:
    actions = {action for each in in_template() if each.resource == table for action in each.actions}
    assert actions & WRITES == {"dynamodb:PutItem"}


def test_no_permission_is_granted_twice() -> None:
    granted = [(each.function, each.resource, action) for each in in_template() for action in each.actions]
    assert len(granted) == len(set(granted))


def test_nobody_deletes_a_record_or_scans_a_table() -> None:
    deleted_from = {each.resource for each in in_template() if "dynamodb:DeleteItem" in each.actions}
    assert deleted_from == {"RegistryTable", "CreditsTable", "CountersTable", "AnswersTable"}
    assert not holders("dynamodb:Scan")


def test_a_function_may_touch_only_tables_that_its_environment_names() -> None:
    for function in FUNCTIONS:
        environment = resources("AWS::Lambda::Function")[logical_id(function)]["Environment"]["Variables"]
        named = {value["Ref"] for name, value in environment.items() if name.endswith("_TABLE")}
        granted = {each.resource for each in in_template() if each.function == function}
        assert {name for name in granted if name.endswith("Table")} <= named, function


def test_the_apis_log_role_is_api_gateways_alone() -> None:
    role = translated()["Resources"]["ApiAccountRole"]
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert role["Condition"] == "WithApiLogsRole"
