"""Whether an item satisfies a condition or a filter.

Comparisons are typed: a string is never equal to, or less than, a number; a missing attribute is unequal to everything
and neither less nor greater than anything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from local.aws.call import AwsError, validation
from local.aws.dynamodb.expressions import Scope, find
from local.aws.dynamodb.tree import (
    Between,
    Comparison,
    Condition,
    Expression,
    Function,
    Junction,
    Membership,
    Negation,
    Operand,
    Path,
    Ref,
)
from local.aws.dynamodb.values import SETS, Item, Value, sortable

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = frozenset({"S", "N", "B"})
_TYPES = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", *SETS})


def holds(condition: Condition, item: Item | None, scope: Scope) -> bool:
    """Evaluates a condition on an item, None for one that does not exist."""
    match condition:
        case Comparison():
            return _compare(condition.operator, *_values((condition.left, condition.right), item, scope))
        case Function():
            return _PREDICATES[condition.name](*condition.arguments, item=item, scope=scope)
        case Junction(operator="AND"):
            return all(holds(part, item, scope) for part in condition.parts)
        case Junction():
            return any(holds(part, item, scope) for part in condition.parts)
        case Negation():
            return not holds(condition.part, item, scope)
        case Between():
            value, low, high = _values((condition.operand, condition.low, condition.high), item, scope)
            return _compare(">=", value, low) and _compare("<=", value, high)
        case Membership():
            value, *options = _values((condition.operand, *condition.options), item, scope)
            return value is not None and value in options


def _values(operands: tuple[Operand, ...], item: Item | None, scope: Scope) -> Iterator[Value | None]:
    return (_value(operand, item, scope) for operand in operands)


def _value(operand: Operand, item: Item | None, scope: Scope) -> Value | None:
    match operand:
        case Ref():
            return scope.values[operand.name]
        case Path():
            return find(item, scope.steps(operand))
        case Function():  # size, the only function that is an operand here
            (sized,) = _values(operand.arguments, item, scope)
            return _size(sized)


def _compare(symbol: str, left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return symbol == "<>"
    if symbol in ("=", "<>"):
        return (left == right) == (symbol == "=")
    ((kind, _),) = left.items()
    if kind not in _ORDERED or kind not in right:
        return False
    return _ORDERINGS[symbol](sortable(left), sortable(right))


def _size(value: Value | None) -> Value | None:
    if value is None:
        return None
    ((kind, content),) = value.items()
    if kind == "S":
        return {"N": str(len(content.encode()))}
    if kind == "B":
        return {"N": str(len(sortable(value)))}
    return {"N": str(len(content))} if kind in ("L", "M", *SETS) else None


# ------------------------------------------------------------------ functions
def _exists(path: Operand, *, item: Item | None, scope: Scope) -> bool:
    return _value(path, item, scope) is not None


def _has_type(path: Operand, kind: Operand, *, item: Item | None, scope: Scope) -> bool:
    value, wanted = _values((path, kind), item, scope)
    return value is not None and wanted is not None and wanted["S"] in value


def _begins_with(path: Operand, prefix: Operand, *, item: Item | None, scope: Scope) -> bool:
    value, wanted = _values((path, prefix), item, scope)
    if value is None or wanted is None or value.keys() != wanted.keys() or "N" in value:
        return False
    whole, start = sortable(value), sortable(wanted)
    return whole is not None and whole.startswith(start)


def _contains(path: Operand, part: Operand, *, item: Item | None, scope: Scope) -> bool:
    value, wanted = _values((path, part), item, scope)
    if value is None or wanted is None:
        return False
    ((kind, content),) = value.items()
    if kind == "L":
        return wanted in content
    if kind in SETS:
        return wanted.get(SETS[kind]) in content
    return kind in ("S", "B") and kind in wanted and sortable(wanted) in sortable(value)


_PREDICATES: dict[str, Callable[..., bool]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": lambda path, **context: not _exists(path, **context),
    "attribute_type": _has_type,
    "begins_with": _begins_with,
    "contains": _contains,
}


# ------------------------------------------------------------------ operands that can never be right
def check_operands(expression: Expression[Condition], scope: Scope) -> None:
    """Refuses values of a type that their operator never takes.

    Raises:
        AwsError: ValidationException.
    """
    for part in _walk(expression.tree):
        match part:
            case Comparison(operator=symbol) if symbol in _ORDERINGS:
                _require_types(expression.kind, symbol, (part.left, part.right), _ORDERED, scope)
            case Between():
                _check_bounds(expression.kind, part, scope)
            case Function(name="begins_with"):
                _require_types(expression.kind, part.name, part.arguments, frozenset({"S", "B"}), scope)
            case Function(name="attribute_type"):
                _check_type_name(expression.kind, part, scope)


def paths_of(condition: Condition) -> Iterator[Path]:
    """Every document path that a condition reads."""
    for part in _walk(condition):
        for operand in _operands(part):
            yield from _paths_within(operand)


def _operands(part: Condition) -> tuple[Operand, ...]:
    match part:
        case Comparison():
            return (part.left, part.right)
        case Between():
            return (part.operand, part.low, part.high)
        case Membership():
            return (part.operand, *part.options)
        case Function():
            return part.arguments
    return ()


def _paths_within(operand: Operand) -> Iterator[Path]:
    if isinstance(operand, Path):
        yield operand
    elif isinstance(operand, Function):
        for argument in operand.arguments:
            yield from _paths_within(argument)


def _walk(condition: Condition) -> Iterator[Condition]:
    yield condition
    if isinstance(condition, Junction):
        for part in condition.parts:
            yield from _walk(part)
    elif isinstance(condition, Negation):
        yield from _walk(condition.part)


def _incorrect_type(kind: str, name: str, found: str) -> AwsError:
    return validation(
        f"Invalid {kind}: Incorrect operand type for operator or function; "
        f"operator or function: {name}, operand type: {found}"
    )


def _require_types(kind: str, name: str, operands: tuple[Operand, ...], allowed: frozenset[str], scope: Scope) -> None:
    for operand in operands:
        if isinstance(operand, Ref):
            (found,) = scope.values[operand.name]
            if found not in allowed:
                raise _incorrect_type(kind, name, found)


def _check_bounds(kind: str, between: Between, scope: Scope) -> None:
    _require_types(kind, "BETWEEN", (between.operand, between.low, between.high), _ORDERED, scope)
    if not (isinstance(between.low, Ref) and isinstance(between.high, Ref)):
        return
    low, high = scope.values[between.low.name], scope.values[between.high.name]
    if low.keys() != high.keys():
        raise validation(_bounds_message(kind, "same data type for lower and upper bounds", low, high))
    if sortable(low) > sortable(high):
        raise validation(_bounds_message(kind, "upper bound to be greater than or equal to lower bound", low, high))


def _bounds_message(kind: str, requirement: str, low: Value, high: Value) -> str:
    written = ["AttributeValue: {" + ":".join(*bound.items()) + "}" for bound in (low, high)]
    return (
        f"Invalid {kind}: The BETWEEN operator requires {requirement}; "
        f"lower bound operand: {written[0]}, upper bound operand: {written[1]}"
    )


def _check_type_name(kind: str, function: Function, scope: Scope) -> None:
    wanted = function.arguments[1]
    value = scope.values[wanted.name] if isinstance(wanted, Ref) else {"": ""}
    ((found, name),) = value.items()
    if found != "S":
        raise _incorrect_type(kind, function.name, found)
    if name not in _TYPES:
        raise validation(
            f"Invalid {kind}: Invalid attribute type name found; type: {name}, "
            f"valid types: {{{','.join(sorted(_TYPES))}}}"
        )
