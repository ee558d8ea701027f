"""What an update expression makes of an item.

Every value is computed from the item as it was; nothing is changed in place, so a refused update leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local.aws.call import validation
from local.aws.dynamodb.expressions import Scope, Steps, check_overlap, find
from local.aws.dynamodb.tree import Action, Arithmetic, Function, Operand, Path, Ref
from local.aws.dynamodb.values import SETS, Item, Value, add_numbers, union

_WRONG_TYPE = "An operand in the update expression has an incorrect data type"
_NO_ATTRIBUTE = "The provided expression refers to an attribute that does not exist in the item"
_BAD_PATH = "The document path provided in the update expression is invalid for update"
_SECTION_TYPES = {"ADD": {"N", *SETS}, "DELETE": {*SETS}}
_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
    "L": "LIST",
    "M": "MAP",
}


def check_update(actions: Iterable[Action], scope: Scope, key_names: tuple[str, ...]) -> None:
    """Refuses what no item could make right: overlapping paths, key attributes, values of a wrong type.

    Raises:
        AwsError: ValidationException.
    """
    actions = list(actions)
    paths = [scope.steps(action.path) for action in actions]
    check_overlap("UpdateExpression", paths)
    for steps in paths:
        if steps[0] in key_names:
            raise validation(
                f"One or more parameter values were invalid: Cannot update attribute {steps[0]}. "
                "This attribute is part of the key"
            )
    for action in actions:
        if action.section in _SECTION_TYPES:
            (kind,) = scope.values[action.value.name]  # type: ignore[union-attr]
            if kind not in _SECTION_TYPES[action.section]:
                raise validation(
                    "Invalid UpdateExpression: Incorrect operand type for operator or function; "
                    f"operator: {action.section}, operand type: {_TYPE_NAMES[kind]}"
                )


def updated(item: Item, actions: Iterable[Action], scope: Scope) -> Item:
    """The item with all actions applied; the given one is left as it is.

    Raises:
        AwsError: ValidationException where a path or an operand does not fit the item.
    """
    result = dict(item)
    writes: list[tuple[Steps, Value]] = []
    removals: list[Steps] = []
    for action in actions:
        steps = scope.steps(action.path)
        value = _CHANGES[action.section](action, find(item, steps), item, scope)
        if value is None:
            removals.append(steps)
        else:
            writes.append((steps, value))
    # Indexes mean the list as it was: elements beyond its end are appended in their order, removals go from the back.
    for steps, value in sorted(writes, key=lambda write: _index(write[0])):
        _write(result, steps, value)
    for steps in sorted(removals, key=_index, reverse=True):
        _remove(result, steps)
    return result


def _index(steps: Steps) -> int:
    return steps[-1] if isinstance(steps[-1], int) else -1


# ------------------------------------------------------------------ one action's new value; None: to be removed
def _set(action: Action, old: Value | None, item: Item, scope: Scope) -> Value | None:
    return _term(action.value, item, scope)


def _unset(action: Action, old: Value | None, item: Item, scope: Scope) -> Value | None:
    return None


def _add(action: Action, old: Value | None, item: Item, scope: Scope) -> Value | None:
    value = _term(action.value, item, scope)
    if old is None:
        return value
    ((kind, content),) = value.items()
    if kind not in old:
        raise validation(_WRONG_TYPE)
    return {kind: add_numbers(old["N"], content) if kind == "N" else union(kind, old[kind], content)}


def _delete(action: Action, old: Value | None, item: Item, scope: Scope) -> Value | None:
    ((kind, content),) = _term(action.value, item, scope).items()
    if old is None:
        return None
    if kind not in old:
        raise validation(_WRONG_TYPE)
    left = [element for element in old[kind] if element not in content]
    return {kind: left} if left else None  # there are no empty sets


_CHANGES: dict[str, Callable[[Action, Value | None, Item, Scope], Value | None]] = {
    "SET": _set,
    "REMOVE": _unset,
    "ADD": _add,
    "DELETE": _delete,
}


def _term(term: Operand | Arithmetic | None, item: Item, scope: Scope) -> Value:
    match term:
        case Ref():
            return scope.values[term.name]
        case Path():
            value = find(item, scope.steps(term))
            if value is None:
                raise validation(_NO_ATTRIBUTE)
            return value
        case Arithmetic():
            left, right = (_term(side, item, scope) for side in (term.left, term.right))
            if "N" not in left or "N" not in right:
                raise validation(_WRONG_TYPE)
            return {"N": add_numbers(left["N"], right["N"], 1 if term.operator == "+" else -1)}
        case Function(name="if_not_exists", arguments=(Path() as path, otherwise)):
            return find(item, scope.steps(path)) or _term(otherwise, item, scope)
        case Function(arguments=(first, second)):
            left, right = (_term(side, item, scope) for side in (first, second))
            if "L" not in left or "L" not in right:
                raise validation(_WRONG_TYPE)
            return {"L": left["L"] + right["L"]}
    raise AssertionError(f"not a term: {term}")


# ------------------------------------------------------------------ copies along a path
def _write(item: Item, steps: Steps, value: Value) -> None:
    container, last = _opened(item, steps)
    if isinstance(last, int) and last >= len(container):
        container.append(value)
    else:
        container[last] = value


def _remove(item: Item, steps: Steps) -> None:
    container, last = _opened(item, steps)
    if _has(container, last):
        del container[last]


def _opened(item: Item, steps: Steps) -> tuple[Any, str | int]:
    """The map or list that holds the path's last step, copied together with all that lead to it."""
    container: Any = item
    for at, step in enumerate(steps[:-1]):
        inner = container[step] if _has(container, step) else None
        wanted = "L" if isinstance(steps[at + 1], int) else "M"
        if inner is None or wanted not in inner:
            raise validation(_BAD_PATH)
        copy = inner[wanted].copy()
        container[step] = {wanted: copy}
        container = copy
    return container, steps[-1]


def _has(container: Any, step: str | int) -> bool:
    return step < len(container) if isinstance(step, int) else step in container
