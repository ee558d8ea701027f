"""Event patterns, as event source mappings filter with them. No I/O.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from local.intrinsics import TemplateError

_MISSING = object()
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether every field that `pattern`, which was checked, names is in `event` as it says."""
    for name, wanted in pattern.items():
        value = event.get(name, _MISSING)
        if isinstance(wanted, Mapping):
            # A field that is not there has no fields either, which a rule deeper down may ask for.
            if not matches(wanted, value if isinstance(value, Mapping) else {}):
                return False
        elif not any(_fits(rule, value) for rule in wanted):
            return False
    return True


def check(pattern: Mapping[str, Any]) -> None:
    """Makes sure that `matches` knows every rule in `pattern`.

    Raises:
        TemplateError: it does not.
    """
    for wanted in pattern.values():
        if isinstance(wanted, Mapping):
            check(wanted)
            continue
        for kind in (kind for rule in wanted if isinstance(rule, Mapping) for kind in rule):
            if kind not in _RULES:
                raise TemplateError(f"The local stack does not know the event pattern rule {kind}.")


def _fits(rule: Any, value: Any) -> bool:
    if isinstance(value, list):
        return any(_fits(rule, item) for item in value)
    if not isinstance(rule, Mapping):
        return value is not _MISSING and type(value) is type(rule) and value == rule
    kind, argument = next(iter(rule.items()))
    return _RULES[kind](argument, value)


def _numeric(argument: list[Any], value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    pairs = zip(argument[::2], argument[1::2], strict=True)
    return all(_COMPARE[comparison](value, bound) for comparison, bound in pairs)


_RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "anything-but": lambda argument, value: (
        value is not _MISSING and value not in (argument if isinstance(argument, list) else [argument])
    ),
    "exists": lambda argument, value: (value is not _MISSING) == argument,
    "numeric": _numeric,
    "prefix": lambda argument, value: isinstance(value, str) and value.startswith(argument),
    "suffix": lambda argument, value: isinstance(value, str) and value.endswith(argument),
}
