"""Alarms: what is watched, who is told, and that docs/deploy.md says so."""

from __future__ import annotations

from typing import Any

import pytest

from ownkey.runtime.metrics import NAMESPACE
from tests.template.translation import ROOT, refs, resources, source, translated

PAGE = (ROOT / "docs" / "deploy.md").read_text()
WATCHED = {
    "BillingLate": ("IteratorAge", "BillingFunction", "Maximum", ">=", 300_000, 5 * 60),
    "FailedBatchLost": ("DestinationDeliveryFailures", "BillingFunction", "Sum", ">=", 1, 60),
    "UpkeepFails": ("Errors", "UpkeepFunction", "Sum", ">=", 3, 5 * 60),
    "LedgerDiffers": ("LedgerDifferences", "UpkeepFunction", "Sum", ">=", 1, 5 * 60),
    "UpkeepStopped": ("Invocations", "UpkeepFunction", "Sum", "<", 1, 15 * 60),
    "InferenceCrashes": ("Errors", "InferenceFunction", "Sum", ">=", 5, 5 * 60),
    "InferenceThrottled": ("Throttles", "InferenceFunction", "Sum", ">=", 1, 3 * 60),
}
"""Metric, function, statistic, comparison, threshold, and over how many seconds it holds."""
SIGNS = {"GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<"}


def alarms() -> dict[str, dict[str, Any]]:
    return resources("AWS::CloudWatch::Alarm")


@pytest.mark.parametrize("name", WATCHED)
def test_a_function_is_watched(name: str) -> None:
    alarm = alarms()[name]
    (dimension,) = alarm["Dimensions"]
    own = alarm["MetricName"] == "LedgerDifferences"
    assert (alarm["Namespace"], dimension["Name"]) == (NAMESPACE if own else "AWS/Lambda", "FunctionName")
    assert (
        alarm["MetricName"],
        dimension["Value"]["Ref"],
        alarm["Statistic"],
        SIGNS[alarm["ComparisonOperator"]],
        alarm["Threshold"],
        alarm["Period"] * alarm["EvaluationPeriods"],
    ) == WATCHED[name]


def test_the_apis_failures_are_a_share_of_enough_requests() -> None:
    share, failures, requests = alarms()["ApiFails"]["Metrics"]
    assert share["Expression"] == "IF(requests >= 20, failures / requests, 0)"
    assert [each["MetricStat"]["Metric"]["MetricName"] for each in (failures, requests)] == ["5XXError", "Count"]
    (api,) = resources("AWS::ApiGateway::RestApi").values()
    (stage,) = resources("AWS::ApiGateway::Stage").values()
    for each in (failures, requests):
        # CloudWatch knows an API by its name, which is its document's title.
        assert each["MetricStat"]["Metric"]["Dimensions"] == [
            {"Name": "ApiName", "Value": api["Body"]["info"]["title"]},
            {"Name": "Stage", "Value": stage["StageName"]},
        ]


def test_every_alarm_tells_the_topic_when_it_begins_and_when_it_is_over() -> None:
    assert alarms().keys() == {*WATCHED, "ApiFails"}
    for alarm in alarms().values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmsTopic"}]
        assert alarm["AlarmDescription"]


def test_silence_is_well_but_for_what_must_run() -> None:
    silent = {name for name, alarm in alarms().items() if alarm["TreatMissingData"] == "breaching"}
    assert silent == {"UpkeepStopped"}


def test_a_batch_that_failed_is_told_as_it_comes_into_the_bucket() -> None:
    (told,) = resources("AWS::S3::Bucket")["FailedBatchesBucket"]["NotificationConfiguration"]["TopicConfigurations"]
    assert told == {"Event": "s3:ObjectCreated:*", "Topic": {"Ref": "AlarmsTopic"}}
    # S3 asks the topic whether it may, when the bucket is made.
    assert translated()["Resources"]["FailedBatchesBucket"]["DependsOn"] == "AlarmsTopicPolicy"
    assert "FailedBatchesBucket" not in refs(resources("AWS::SNS::TopicPolicy")["AlarmsTopicPolicy"])


def test_only_alarms_and_the_bucket_of_this_account_may_publish() -> None:
    (policy,) = resources("AWS::SNS::TopicPolicy").values()
    statements = policy["PolicyDocument"]["Statement"]
    assert {each["Principal"]["Service"] for each in statements} == {"cloudwatch.amazonaws.com", "s3.amazonaws.com"}
    for each in statements:
        assert each["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        assert (each["Action"], each["Resource"]) == ("sns:Publish", {"Ref": "AlarmsTopic"})


def test_an_address_is_subscribed_where_one_is_given() -> None:
    ((name, subscription),) = resources("AWS::SNS::Subscription").items()
    assert translated()["Resources"][name]["Condition"] == "WithAlarmEmail"
    assert subscription["Endpoint"] == {"Ref": "AlarmEmail"}
    assert translated()["Parameters"]["AlarmEmail"]["Default"] == ""


def test_no_metric_of_our_own_is_paid_for() -> None:
    for kind in ("AWS::Logs::MetricFilter", "AWS::CloudWatch::Dashboard"):
        assert kind not in source()


@pytest.mark.parametrize("name", [*WATCHED, "ApiFails"])
def test_the_page_says_what_an_alarm_means(name: str) -> None:
    assert f"\n| `{name}` |" in PAGE
