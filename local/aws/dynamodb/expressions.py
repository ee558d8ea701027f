"""A request's expressions together with the names and values they refer to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.aws.call import AwsError, validation
from local.aws.dynamodb.tree import Expression, Path
from local.aws.dynamodb.values import Item, Value, canonical

_NAME = re.compile(r"#[A-Za-z0-9_]+")
_VALUE = re.compile(r":[A-Za-z0-9_]+")

Steps = tuple[str | int, ...]
"""A document path with its placeholders replaced."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the placeholders stand for: `names` by "#name", canonical `values` by ":value"."""

    names: Mapping[str, str]
    values: Mapping[str, Value]

    def steps(self, path: Path) -> Steps:
        """The path in real attribute names."""
        names = self.names
        return tuple(
            names[element] if isinstance(element, str) and element[0] == "#" else element for element in path.elements
        )


def read_scope(params: Mapping[str, Any], expressions: Iterable[Expression[Any] | None]) -> Scope:
    """The request's names and values, checked against the expressions that use them.

    Raises:
        AwsError: ValidationException where one is malformed, used and not defined, or defined and not used.
    """
    used = [expression for expression in expressions if expression is not None]
    names = _defined(params, "ExpressionAttributeNames", _NAME, bool(used))
    values = _defined(params, "ExpressionAttributeValues", _VALUE, bool(used))
    for expression in used:
        for name in expression.names - names.keys():
            raise validation(
                f"Invalid {expression.kind}: An expression attribute name used in the document path is not defined; "
                f"attribute name: {name}"
            )
        for name in expression.values - values.keys():
            raise validation(
                f"Invalid {expression.kind}: An expression attribute value used in expression is not defined; "
                f"attribute value: {name}"
            )
    _refuse_unused("Names", names.keys() - frozenset().union(*(each.names for each in used)))
    _refuse_unused("Values", values.keys() - frozenset().union(*(each.values for each in used)))
    return Scope(names, {name: _value(name, value) for name, value in values.items()})


def _defined(
    params: Mapping[str, Any], member: str, pattern: re.Pattern[str], with_expressions: bool
) -> Mapping[str, Any]:
    if (given := params.get(member)) is None:
        return {}
    if not with_expressions:
        raise validation(f"{member} can only be specified when using expressions")
    if not given:
        raise validation(f"{member} must not be empty")
    for name in given:
        if not pattern.fullmatch(name):
            raise validation(f'{member} contains invalid key: Syntax error; key: "{name}"')
    return given  # type: ignore[no-any-return]


def _refuse_unused(what: str, unused: Iterable[str]) -> None:
    if listed := ", ".join(sorted(unused)):
        raise validation(f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{listed}}}")


def _value(name: str, value: Any) -> Value:
    try:
        return canonical(value)
    except AwsError as e:
        if e.code != "ValidationException":
            raise
        raise validation(f"ExpressionAttributeValues contains invalid value: {e.message} for key {name}") from None


# ------------------------------------------------------------------ walking documents
def find(item: Item | None, steps: Steps) -> Value | None:
    """The value at a path, or None where there is none."""
    if item is None:
        return None
    here = item.get(steps[0])  # type: ignore[arg-type]
    for step in steps[1:]:
        if here is None:
            return None
        here = child(here, step)
    return here


def child(value: Value, step: str | int) -> Value | None:
    """A map's member or a list's element; None where the value is another kind or has no such part."""
    if isinstance(step, str):
        return value["M"].get(step) if "M" in value else None
    return value["L"][step] if "L" in value and step < len(value["L"]) else None


def project(item: Item, paths: Iterable[Steps]) -> Item:
    """The parts of an item at the paths, in place within their maps and lists."""
    result: Item = {}
    wanted: dict[str | int, Any] = {}
    for steps in paths:
        branch = wanted
        for step in steps:
            branch = branch.setdefault(step, {})
    for name, branch in wanted.items():
        if name in item:
            part = _part(item[name], branch)
            if part is not None:
                result[name] = part
    return result


def _part(value: Value, wanted: dict[str | int, Any]) -> Value | None:
    if not wanted:
        return value
    found = {
        step: part
        for step, branch in wanted.items()
        if (inner := child(value, step)) is not None and (part := _part(inner, branch)) is not None
    }
    if not found:
        return None
    return {"M": found} if "M" in value else {"L": [found[index] for index in sorted(found)]}


def check_overlap(kind: str, paths: Iterable[Steps]) -> None:
    """Refuses two paths of which one lies within, or is, the other, or that take one value for a map and for a list."""
    seen: list[Steps] = []
    for steps in paths:
        for other in seen:
            if relation := _relation(other, steps):
                raise validation(
                    f"Invalid {kind}: Two document paths {relation} with each other; must remove or rewrite one of "
                    f"these paths; path one: {describe(other)}, path two: {describe(steps)}"
                )
        seen.append(steps)


def _relation(one: Steps, two: Steps) -> str | None:
    for left, right in zip(one, two, strict=False):
        if left != right:
            return "conflict" if type(left) is not type(right) else None
    return "overlap"


def describe(steps: Steps) -> str:
    """A path as DynamoDB's messages write it: `[a, [0], b]`."""
    return "[" + ", ".join(f"[{step}]" if isinstance(step, int) else step for step in steps) + "]"
