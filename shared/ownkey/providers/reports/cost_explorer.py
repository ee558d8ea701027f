"""AWS's bill for a service by Cost Explorer's GetCostAndUsage: JSON 1.1, signed, a cent a request.

Facts from botocore 1.44.5 (`ce`: target prefix AWSInsightsIndexService, `TimePeriod.End` exclusive, amounts as decimal
strings with a unit, pages by `NextPageToken`). The bill knows no credentials: what it says is of the whole AWS account.
Models of other makers are services of their own in it ("Claude … (Amazon Bedrock Edition)"), and a filter has no wild
cards: it is asked for all services, and read for those with Bedrock in their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from ownkey.domain.reconciliation import Charge
from ownkey.providers.counts import member
from ownkey.providers.reports.report import (
    Answered,
    Json,
    Period,
    Place,
    Question,
    UnreadableReport,
    nanousd,
    next_of,
    only_usd,
    page_of,
    rows_of,
    text_of,
)

_TARGET = "AWSInsightsIndexService.GetCostAndUsage"
_METRIC = "UnblendedCost"
_SERVICE = "Bedrock"


class CostExplorerReport:
    """The report."""

    first: Mapping[str, Any] = MappingProxyType({"part": "costs"})

    def question(self, place: Place, period: Period) -> Question:
        """A page of the bill by day and kind of usage."""
        body: dict[str, Any] = {
            "TimePeriod": {
                "Start": period.first.isoformat(),
                "End": (period.last + timedelta(days=1)).isoformat(),
            },
            "Granularity": "DAILY",
            "Metrics": [_METRIC],
            "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
            "Filter": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}},
        }
        if "page" in place:
            body["NextPageToken"] = place["page"]
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": _TARGET}
        return Question("/", "POST", headers, json.dumps(body, separators=(",", ":")).encode())

    def read(self, place: Place, body: bytes) -> Answered:
        """A page of the bill."""
        page = page_of(body)
        charges = tuple(charge for result in rows_of(page, "ResultsByTime") for charge in _charges(result))
        return Answered(charges=charges, place=next_of(page, place, None, name="NextPageToken"))


def _charges(result: Json) -> list[Charge]:
    day = text_of(member(result, "TimePeriod").get("Start"))
    if day is None:
        raise UnreadableReport("a day of the bill has no start")
    groups = [(_names(group), group) for group in rows_of(result, "Groups")]
    return [_charge(day, names, group) for names, group in groups if _SERVICE in names[0]]


def _names(group: Json) -> tuple[str, str]:
    """The service, and the kind of usage."""
    match group.get("Keys"):
        case [str(service), str(usage_type)]:
            return service, usage_type
    raise UnreadableReport("a group of the bill is not of a service and a kind of usage")


def _charge(day: str, names: tuple[str, str], group: Json) -> Charge:
    cost = member(member(group, "Metrics"), _METRIC)
    only_usd(cost.get("Unit"))
    return Charge(day, None, nanousd(cost.get("Amount")), ", ".join(names))
