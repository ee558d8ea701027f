"""Event patterns."""

from __future__ import annotations

from typing import Any

import pytest

from local.intrinsics import TemplateError
from local.patterns import check, matches

RECORD: dict[str, Any] = {
    "eventName": "MODIFY",
    "dynamodb": {"NewImage": {"state": {"S": "ended"}, "n": {"N": "5"}}, "SizeBytes": 40, "Tags": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({}, True),
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"dynamodb": {"NewImage": {"state": {"S": ["ended", "requested"]}}}}, True),
        ({"dynamodb": {"NewImage": {"state": {"S": ["ended"]}, "billed_at": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"NewImage": {"state": {"S": [{"exists": False}]}}}}, False),
        ({"dynamodb": {"OldImage": {"state": {"S": [{"exists": True}]}}}}, False),
        ({"dynamodb": {"OldImage": {"state": {"S": ["ended"]}}}}, False),
        ({"dynamodb": {"NewImage": {"n": {"N": [5]}}}}, False),
        ({"dynamodb": {"SizeBytes": [40]}}, True),
        ({"dynamodb": {"SizeBytes": [True]}}, False),
        ({"dynamodb": {"SizeBytes": [{"numeric": [">", 30, "<=", 40]}]}}, True),
        ({"dynamodb": {"SizeBytes": [{"numeric": ["<", 40]}]}}, False),
        ({"eventName": [{"numeric": ["=", 1]}]}, False),
        ({"eventName": [{"prefix": "MOD"}]}, True),
        ({"eventName": [{"suffix": "FY"}]}, True),
        ({"eventName": [{"anything-but": ["REMOVE", "INSERT"]}]}, True),
        ({"eventName": [{"anything-but": "MODIFY"}]}, False),
        ({"nothing": [{"anything-but": "MODIFY"}]}, False),
        ({"dynamodb": {"Tags": ["b"]}}, True),
        ({"dynamodb": {"Tags": ["c"]}}, False),
    ],
)
def test_matching(pattern: dict[str, Any], expected: bool) -> None:
    check(pattern)
    assert matches(pattern, RECORD) is expected


def test_a_rule_that_is_unknown_is_refused() -> None:
    with pytest.raises(TemplateError, match="wildcard"):
        check({"dynamodb": {"eventName": ["exact", {"wildcard": "M*"}]}})
