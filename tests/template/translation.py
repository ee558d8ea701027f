"""The template as CloudFormation gets it: after SAM's transform, which is where its traps show."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
Json = dict[str, Any]

FUNCTIONS = ("inference", "keys", "validation", "billing", "upkeep", "payments")


def logical_id(function: str) -> str:
    """`inference` → `InferenceFunction`."""
    return f"{function.capitalize()}Function"


@cache
def source() -> str:
    """The template as written."""
    return TEMPLATE.read_text()


def translated(**parameters: str) -> Json:
    """The translated template; parameters that are not given have their defaults."""
    return json.loads(_translated(tuple(sorted(parameters.items()))))


@cache
def _translated(parameters: tuple[tuple[str, str], ...]) -> str:
    template = yaml_parse(source())
    for resource in template["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            # As `sam deploy` would have put them; SAM's transform takes no local path.
            resource["Properties"][code] = f"s3://bucket/{resource['Properties'][code]}"
    values = {name: str(each["Default"]) for name, each in template["Parameters"].items() if "Default" in each}
    values |= {"OperatorEmail": "operator@example.com", **dict(parameters)}
    return json.dumps(transform(template, values, _NoManagedPolicies()))


class _NoManagedPolicies:
    """SAM asks AWS for managed policies by name; the template names none."""

    def load(self) -> dict[str, str]:
        return {}


def resources(kind: str, **parameters: str) -> dict[str, Json]:
    """Properties of all resources of a type, by logical id."""
    found = translated(**parameters)["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in found if each["Type"] == kind}


def refs(value: object) -> set[str]:
    """Every name that a value refers to, by `Ref`, `Fn::GetAtt` or `${…}` in an `Fn::Sub`."""
    match value:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), _]}:
            return {name}
        case {"Fn::Sub": str(text)}:
            return {part.partition("}")[0].partition(".")[0] for part in text.split("${")[1:]}
        case dict():
            return set[str]().union(*map(refs, value.values()))
        case list():
            return set[str]().union(*map(refs, value))
    return set()
