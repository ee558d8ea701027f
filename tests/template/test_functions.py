"""The functions: runtime, sizes, environment, versions, the stream that feeds billing, the schedule."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ownkey.runtime.settings import (
    BillingSettings,
    InferenceSettings,
    KeysSettings,
    PaymentsSettings,
    Settings,
    UpkeepSettings,
    ValidationSettings,
)
from tests.template.translation import FUNCTIONS, ROOT, logical_id, refs, resources, source, translated


def function(name: str, **parameters: str) -> dict[str, Any]:
    return resources("AWS::Lambda::Function", **parameters)[logical_id(name)]


def environment(name: str) -> dict[str, Any]:
    return function(name)["Environment"]["Variables"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_run_python_313_on_arm64_with_both_layers(name: str) -> None:
    properties = function(name)
    assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
    layers = [layer["Ref"].rstrip("0123456789abcdef") for layer in properties["Layers"]]
    assert layers == ["DependenciesLayer", "SharedLayer", *(["PaymentsLayer"] if name == "payments" else [])]


@pytest.mark.parametrize(
    "name, timeout_s, memory_mb, handler",
    [
        ("inference", 900, 512, "handler.app"),
        ("keys", 29, 512, "handler.handler"),
        ("validation", 20, 512, "handler.handler"),
        ("billing", 120, 512, "handler.handler"),
        ("upkeep", 300, 256, "handler.handler"),
        ("payments", 15, 512, "handler.handler"),
    ],
)
def test_sizes(name: str, timeout_s: int, memory_mb: int, handler: str) -> None:
    properties = function(name)
    assert (properties["Timeout"], properties["MemorySize"], properties["Handler"]) == (timeout_s, memory_mb, handler)
    assert "ReservedConcurrentExecutions" not in properties


SETTINGS: dict[str, type[Settings]] = {
    "inference": InferenceSettings,
    "keys": KeysSettings,
    "validation": ValidationSettings,
    "billing": BillingSettings,
    "upkeep": UpkeepSettings,
    "payments": PaymentsSettings,
}
SET_BY_LAMBDA = {"AWS_REGION"}
SET_LOCALLY_ALONE = {"OWNKEY_UPSTREAMS", "OWNKEY_ALLOWED_ORIGINS"}
READ_BY_LAMBDA = {"AWS_LAMBDA_EXEC_WRAPPER"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_is_what_the_functions_settings_read(name: str) -> None:
    read = set(SETTINGS[name].variables()) - SET_BY_LAMBDA - SET_LOCALLY_ALONE
    assert environment(name).keys() - READ_BY_LAMBDA == read


def test_what_only_the_local_stack_may_set_is_not_in_the_template() -> None:
    """They would send keys elsewhere: a base URL for a provider, an address exempt from the SSRF guard."""
    for name in (*SET_LOCALLY_ALONE, "AWS_ENDPOINT_URL"):
        assert name not in source()


def test_inference_starts_our_streaming_loop() -> None:
    assert environment("inference")["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/ownkey-bootstrap"
    assert not [name for name in FUNCTIONS[1:] if "AWS_LAMBDA_EXEC_WRAPPER" in environment(name)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_to_a_group_of_its_own_that_expires(name: str) -> None:
    group = f"{name.capitalize()}Logs"
    assert function(name)["LoggingConfig"] == {"LogGroup": {"Ref": group}}
    assert resources("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_makefile_has_the_target_that_sam_asks_for(name: str) -> None:
    assert f"\nbuild-{logical_id(name)}:" in (ROOT / "functions" / name / "Makefile").read_text()


# ---------------------------------------------------------------- versions and SnapStart


def test_snapstart_is_a_parameter() -> None:
    assert function("inference")["SnapStart"] == {"ApplyOn": {"Fn::If": ["WithSnapStart", "PublishedVersions", "None"]}}


def test_a_changed_parameter_publishes_a_new_version() -> None:
    """SAM's hash of a version sees `{"Ref": "MarginPercent"}`, not its value: a deployment that changes the value alone
    would leave the alias on the old version. A version's description cannot be changed, only replaced with it."""
    ((_, version),) = resources("AWS::Lambda::Version").items()
    settable = set(translated()["Parameters"])
    used = refs(function("inference")) & settable
    if "WithSnapStart" in json.dumps(function("inference")):
        used |= refs(translated()["Conditions"]["WithSnapStart"])
    sharing = {"SharingProviders", "SharingRewardBasisPoints"}
    assert used == sharing | {"SnapStart", "MarginPercent", "LogLevel", "ImportedGatewayKeys", "KeylessCredentials"}
    assert used <= refs(version["Description"])


def test_a_changed_layer_publishes_a_new_version() -> None:
    assert source().count("PublishLambdaVersion: true") == 3
    assert "AutoPublishAliasAllProperties: true" in source()


def test_an_old_version_goes_and_takes_its_snapshot_with_it() -> None:
    ((version, _),) = resources("AWS::Lambda::Version").items()
    assert translated()["Resources"][version]["DeletionPolicy"] == "Delete"


# ---------------------------------------------------------------- billing's stream


def stream() -> dict[str, Any]:
    (mapping,) = resources("AWS::Lambda::EventSourceMapping").values()
    return mapping


def test_billing_is_fed_by_the_stream_of_records() -> None:
    assert stream()["FunctionName"] == {"Ref": "BillingFunction"}
    assert stream()["EventSourceArn"] == {"Fn::GetAtt": ["RecordsTable", "StreamArn"]}
    assert stream()["StartingPosition"] == "TRIM_HORIZON"
    assert stream()["MaximumBatchingWindowInSeconds"] == {"Ref": "BillingBatchWindowSeconds"}


def test_one_bad_record_neither_blocks_the_shard_nor_is_lost() -> None:
    assert stream()["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert stream()["BisectBatchOnFunctionError"] is True
    assert 0 < stream()["MaximumRetryAttempts"] <= 20
    destination = stream()["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["FailedBatchesBucket", "Arn"]}


def test_billing_sees_what_waits_to_be_billed_and_not_its_own_marks() -> None:
    (each,) = stream()["FilterCriteria"]["Filters"]
    # Lambda matches DynamoDB events under `dynamodb` only, and `exists` on leaves only.
    assert json.loads(each["Pattern"]) == {
        "dynamodb": {
            "NewImage": {
                "state": {"S": ["ended", "requested", "released", "earned"]},
                "billed_at": {"S": [{"exists": False}]},
            }
        }
    }


# ---------------------------------------------------------------- upkeep's schedule


def test_upkeep_runs_on_schedules_and_a_failed_run_is_not_repeated() -> None:
    schedules = {}
    for rule in resources("AWS::Events::Rule").values():
        (target,) = rule["Targets"]
        schedules[json.loads(target["Input"])["task"]] = rule["ScheduleExpression"]
        assert target["Arn"] == {"Fn::GetAtt": ["UpkeepFunction", "Arn"]}
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    assert schedules == {
        "sweep": "rate(1 minute)",
        "revalidate": "rate(15 minutes)",
        "remind": "rate(1 day)",
        "verify": "rate(1 hour)",  # a day's verification, in turns
        "reconcile": "cron(30 5 * * ? *)",
    }
    (invocations,) = resources("AWS::Lambda::EventInvokeConfig").values()
    assert invocations["MaximumRetryAttempts"] == 0


# ---------------------------------------------------------------- payments


def test_without_a_signing_secret_there_is_nothing_of_payments() -> None:
    parts = {name for name in translated()["Resources"] if name.startswith("Payments")}
    # SAM adds a hash to the layer's name, and a permission for the route.
    assert len(parts) == 5
    assert {translated()["Resources"][name]["Condition"] for name in parts} == {"WithPayments"}
    assert translated()["Conditions"]["WithPayments"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "StripeWebhookSecretArn"}, ""]}]
    }


def test_the_signing_secret_is_in_no_environment_only_its_name() -> None:
    assert environment("payments")["STRIPE_WEBHOOK_SECRET_ARN"] == {"Ref": "StripeWebhookSecretArn"}
    assert not [name for name in FUNCTIONS if name != "payments" and any("STRIPE" in key for key in environment(name))]


# ---------------------------------------------------------------- the page that explains it


def test_the_deploy_page_names_every_parameter_with_its_default_and_every_output() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    cells = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (–|(?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    documented = {
        name: default.strip("`").replace("–", "")
        for names, defaults in cells
        for name, default in zip(re.findall(r"\w+", names), defaults.split(", "), strict=True)
    }
    parameters = translated()["Parameters"].items()
    assert documented == {name: str(each.get("Default", "")) for name, each in parameters}
    for output in translated()["Outputs"]:
        assert f"`{output}`" in page
