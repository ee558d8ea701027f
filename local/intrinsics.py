"""CloudFormation's intrinsic functions, resolved against a scope."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

# ${Name}, ${Resource.Attribute}, and ${!Literal}, which stands for ${Literal}.
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """The template cannot be read, or asks for something that is not there."""


class _NoValue:
    """`AWS::NoValue`: the property or list item it stands for is left out."""

    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()


class Scope(Protocol):
    """What names mean."""

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The template's mappings."""

    def ref(self, name: str) -> Any:
        """The value of a parameter, a pseudo parameter, or a resource's `Ref`."""

    def attribute(self, logical_id: str, name: str) -> Any:
        """A resource's attribute, as `Fn::GetAtt` gives it."""

    def condition(self, name: str) -> bool:
        """Whether the condition holds."""


class Resolver:
    """Replaces the intrinsic functions in a value by what they stand for."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": scope.ref,
            "Condition": scope.condition,
            "Fn::And": lambda parts: all(self.resolve(part) for part in parts),
            "Fn::Equals": lambda pair: _text(self.resolve(pair[0])) == _text(self.resolve(pair[1])),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAtt": self._attribute,
            "Fn::If": self._if,
            "Fn::Join": lambda args: args[0].join(_text(part) for part in self.resolve(args[1])),
            "Fn::Not": lambda parts: not self.resolve(parts[0]),
            "Fn::Or": lambda parts: any(self.resolve(part) for part in parts),
            "Fn::Select": lambda args: self.resolve(args[1])[int(self.resolve(args[0]))],
            "Fn::Split": lambda args: self.resolve(args[1]).split(args[0]),
            "Fn::Sub": self._substitute,
        }

    def resolve(self, value: Any) -> Any:
        """`value` without intrinsic functions; `NO_VALUE` where it stands for nothing.

        Raises:
            TemplateError: a function or a name in it is unknown.
        """
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            # An IAM statement's "Condition" is a mapping; a reference to a condition is a name.
            if name in self._functions and (name != "Condition" or isinstance(argument, str)):
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"The local stack does not know {name}.")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _if(self, argument: list[Any]) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self._scope.condition(name) else otherwise)

    def _attribute(self, argument: Any) -> Any:
        logical_id, name = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._scope.attribute(logical_id, self.resolve(name))

    def _find_in_map(self, argument: list[Any]) -> Any:
        name, top, second = (self.resolve(part) for part in argument)
        try:
            return self._scope.mappings[name][top][second]
        except KeyError:
            raise TemplateError(f"There is no {name}.{top}.{second} in the template's mappings.") from None

    def _substitute(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in variables:
                return _text(self.resolve(variables[name]))
            if "." in name:
                return _text(self._scope.attribute(*name.split(".", 1)))
            return _text(self._scope.ref(name))

        return _PLACEHOLDER.sub(value, text)


def _text(value: Any) -> str:
    """A scalar as CloudFormation writes it: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
