"""Key conditions: one partition, and limits of the sort key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.aws.call import AwsError, validation
from local.aws.dynamodb.expressions import Scope
from local.aws.dynamodb.tables import Bounds
from local.aws.dynamodb.tree import Between, Comparison, Condition, Function, Junction, Operand, Path, Ref
from local.aws.dynamodb.values import Value, sortable

_BOUNDS: dict[str, Callable[[Any], Bounds]] = {
    "=": lambda value: Bounds(value, value),
    "<": lambda value: Bounds(high=value, high_open=True),
    "<=": lambda value: Bounds(high=value),
    ">": lambda value: Bounds(low=value, low_open=True),
    ">=": lambda value: Bounds(low=value),
}
_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def read_key_condition(
    condition: Condition, scope: Scope, hash_name: str, sort_names: tuple[str, ...], types: Mapping[str, str]
) -> tuple[Any, Bounds]:
    """The hash value that a query asks for, and its limits of the sort key.

    Raises:
        AwsError: ValidationException where the condition is not one on the keys.
    """
    by_name: dict[str, tuple[str, list[Value]]] = {}
    for part in _parts(condition):
        name, operator, values = _reading(part, scope)
        if name in by_name:
            raise validation("KeyConditionExpressions must only contain one condition per key")
        by_name[name] = operator, values
    if hash_name not in by_name:
        raise validation(f"Query condition missed key schema element: {hash_name}")
    if extra := by_name.keys() - {hash_name, *sort_names[:1]}:
        missed = next((name for name in sort_names[:1] if name not in by_name), None)
        raise validation(f"Query condition missed key schema element: {missed}" if missed else _unsupported(extra))
    for name, (_, values) in by_name.items():
        if any(types[name] not in value for value in values):
            raise validation(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
    operator, (hash_value,) = by_name.pop(hash_name)
    if operator != "=":
        raise validation("Query key condition not supported")
    return sortable(hash_value), next((_bounds(*found) for found in by_name.values()), Bounds())


def _unsupported(names: set[str]) -> str:
    return f"Query key condition not supported: {', '.join(sorted(names))}"


def _parts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, Junction) and condition.operator == "AND":
        for part in condition.parts:
            yield from _parts(part)
    else:
        yield condition


def _reading(part: Condition, scope: Scope) -> tuple[str, str, list[Value]]:
    """One condition as the attribute's name, an operator and its values."""
    match part:
        case Comparison(operator=operator, left=Path() as path, right=Ref() as ref) if operator in _BOUNDS:
            return _name(path, scope), operator, _literals(scope, ref)
        case Comparison(operator=operator, left=Ref() as ref, right=Path() as path) if operator in _BOUNDS:
            return _name(path, scope), _FLIPPED[operator], _literals(scope, ref)
        case Between(operand=Path() as path, low=Ref() as low, high=Ref() as high):
            return _name(path, scope), "BETWEEN", _literals(scope, low, high)
        case Function(name="begins_with", arguments=(Path() as path, Ref() as ref)):
            return _name(path, scope), "begins_with", _literals(scope, ref)
    raise _invalid(part)


def _invalid(part: Condition) -> AwsError:
    symbol = getattr(part, "operator", None) or getattr(part, "name", None) or type(part).__name__.upper()
    return validation(f"Invalid operator used in KeyConditionExpression: {symbol}")


def _name(path: Path, scope: Scope) -> str:
    steps = scope.steps(path)
    if len(steps) > 1:
        raise validation("KeyConditionExpressions cannot have conditions on nested attributes")
    return str(steps[0])


def _literals(scope: Scope, *operands: Operand) -> list[Value]:
    return [scope.values[operand.name] for operand in operands if isinstance(operand, Ref)]


def _bounds(operator: str, values: list[Value]) -> Bounds:
    first = sortable(values[0])
    if operator == "BETWEEN":
        return Bounds(first, sortable(values[1]))
    if operator == "begins_with":
        if "N" in values[0]:
            raise validation("Invalid KeyConditionExpression: begins_with takes strings and binaries")
        return Bounds(prefix=first)
    return _BOUNDS[operator](first)
