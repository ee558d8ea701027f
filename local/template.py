"""Reading `template.yaml`: CloudFormation's YAML, the SAM transform, parameters and conditions.

What comes out is what CloudFormation would deploy: plain resources, intrinsic functions still in place, those whose
condition is false left out. Nothing here calls AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.intrinsics import NO_VALUE, Resolver, TemplateError

Json = dict[str, Any]

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # It warns of features that only AWS switches.

# SAM takes code from S3 only; `sam package` would upload the folder and put its address here. The local stack runs
# the folder itself, so the address it gives SAM is the folder's path in a bucket that nobody asks for.
_CODE_BUCKET = "code-in-this-folder"
_CODE_PROPERTIES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


@dataclass(frozen=True, slots=True)
class Template:
    """A translated template.

    `resources` holds each resource as CloudFormation has it (`Type`, `Properties`); `parameters` every parameter and
    pseudo parameter by name; `directory` is what code paths are relative to.
    """

    directory: Path
    parameters: Mapping[str, Any]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, bool]
    resources: Mapping[str, Json]

    def of_type(self, *types: str) -> dict[str, Json]:
        """The properties of each resource of these types, by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] in types
        }

    def code_directory(self, code: Json) -> Path:
        """The folder behind a function's `Code` or a layer's `Content`."""
        return self.directory / str(code["S3Key"])


def declared_parameters(path: Path) -> frozenset[str]:
    """The names of the parameters that the template at `path` takes."""
    return frozenset(_parse(path).get("Parameters", {}))


def load_template(
    path: Path, parameters: Mapping[str, str], *, region: str, account_id: str, stack_name: str
) -> Template:
    """Reads and translates the template at `path`.

    Raises:
        TemplateError: it is not a template, SAM refuses it, or a parameter without a default has no value.
    """
    source = _parse(path)
    values = _parameter_values(source, parameters) | {
        "AWS::AccountId": account_id,
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": f"arn:aws:cloudformation:{region}:{account_id}:stack/{stack_name}/local",
        "AWS::StackName": stack_name,
        "AWS::URLSuffix": "amazonaws.com",
    }
    translated = _translate(source, values, region)
    referred = values | _lists(source, values)
    scope = _ConditionScope(referred, translated.get("Mappings", {}), translated.get("Conditions", {}))
    conditions = {name: scope.condition(name) for name in scope.definitions}
    resources = {
        logical_id: resource
        for logical_id, resource in translated["Resources"].items()
        if conditions.get(resource.get("Condition", ""), True)
    }
    return Template(path.resolve().parent, referred, scope.mappings, conditions, resources)


def _translate(source: Json, parameters: Mapping[str, str], region: str) -> Json:
    for resource in source.get("Resources", {}).values():
        property_name = _CODE_PROPERTIES.get(resource.get("Type"))
        if property_name and property_name in resource.get("Properties", {}):
            resource["Properties"][property_name] = f"s3://{_CODE_BUCKET}/{resource['Properties'][property_name]}"
    try:
        session = boto3.Session(region_name=region)  # SAM asks it for its region only.
        return Translator({}, Parser(), boto_session=session).translate(source, dict(parameters))
    except InvalidDocumentException as e:
        raise TemplateError("SAM refuses the template: " + "; ".join(cause.message for cause in e.causes)) from e


def _parameter_values(source: Json, given: Mapping[str, str]) -> dict[str, str]:
    declared = source.get("Parameters", {})
    if unknown := sorted(given.keys() - declared.keys()):
        raise TemplateError(f"The template has no parameter {', '.join(unknown)}.")
    values = {name: str(rule["Default"]) for name, rule in declared.items() if "Default" in rule} | dict(given)
    if missing := sorted(declared.keys() - values.keys()):
        raise TemplateError(f"The template's parameter {', '.join(missing)} has no default and was given no value.")
    return values


def _lists(source: Json, values: Mapping[str, str]) -> dict[str, list[str]]:
    """The parameters that are lists: what a `Ref` to one of them stands for."""
    declared = source.get("Parameters", {}).items()
    names = [name for name, rule in declared if rule.get("Type") == "CommaDelimitedList"]
    return {name: [part.strip() for part in values[name].split(",")] for name in names}


@dataclass(frozen=True, slots=True)
class _ConditionScope:
    """What conditions may refer to: parameters, mappings and one another."""

    parameters: Mapping[str, Any]
    mappings: Mapping[str, Any]
    definitions: Mapping[str, Any]
    known: dict[str, bool] = field(default_factory=dict)

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        try:
            return self.parameters[name]
        except KeyError:
            raise TemplateError(f"A condition refers to {name}, which is no parameter.") from None

    def attribute(self, logical_id: str, name: str) -> Any:
        raise TemplateError(f"A condition refers to {logical_id}.{name}; it may refer to parameters only.")

    def condition(self, name: str) -> bool:
        if name not in self.known:
            if name not in self.definitions:
                raise TemplateError(f"There is no condition {name}.")
            self.known[name] = bool(Resolver(self).resolve(self.definitions[name]))
        return self.known[name]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x`, `!GetAtt a.b`, `!Sub ...` and the like."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)
# A template's version is a date, and CloudFormation wants it as text.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def _parse(path: Path) -> Json:
    try:
        source = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError) as e:
        raise TemplateError(f"{path} cannot be read: {e}") from e
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise TemplateError(f"{path} is not a CloudFormation template.")
    return source
