"""Intrinsic functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local.intrinsics import NO_VALUE, Resolver, TemplateError


class Scope:
    mappings: Mapping[str, Any] = {"Sizes": {"small": {"memory": 128}}}

    def ref(self, name: str) -> Any:
        return {"Kind": "small", "Flag": True, "AWS::NoValue": NO_VALUE}[name]

    def attribute(self, logical_id: str, name: str) -> Any:
        return f"<{logical_id}.{name}>"

    def condition(self, name: str) -> bool:
        return name == "Yes"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ({"Ref": "Kind"}, "small"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "<Table.Arn>"),
        ({"Fn::GetAtt": "Table.Stream.Arn"}, "<Table.Stream.Arn>"),
        ({"Fn::Sub": "${Kind}/${Table.Arn}/${!Kept}"}, "small/<Table.Arn>/${Kept}"),
        ({"Fn::Sub": ["${Kind}-${Own}", {"Own": {"Ref": "Flag"}}]}, "small-true"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Kind"}, 1]]}, "a-small-1"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Kind"}, "memory"]}, 128),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, {"Ref": "Kind"}]}, "small"),
        ({"Fn::Equals": [{"Ref": "Flag"}, "true"]}, True),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Not": [{"Condition": "No"}]}]}, True),
        ({"Fn::Or": [{"Condition": "No"}, {"Fn::Equals": [1, 2]}]}, False),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": [{"Ref": "AWS::NoValue"}, 2]}, {"b": [2]}),
        ({"Condition": {"StringEquals": {"a": {"Ref": "Kind"}}}}, {"Condition": {"StringEquals": {"a": "small"}}}),
    ],
)
def test_resolving(value: Any, expected: Any) -> None:
    assert Resolver(Scope()).resolve(value) == expected


@pytest.mark.parametrize("value", [{"Fn::ImportValue": "x"}, {"Fn::FindInMap": ["Sizes", "large", "memory"]}])
def test_what_is_unknown_is_refused(value: Any) -> None:
    with pytest.raises(TemplateError):
        Resolver(Scope()).resolve(value)
