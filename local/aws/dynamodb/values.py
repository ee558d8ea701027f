"""Attribute values in their canonical form, in which two values are equal exactly where their JSON is.

An `Item` is the wire's own JSON, `{"pk": {"S": "a"}, "n": {"N": "1"}}`, made canonical on the way in: numbers without
leading or trailing zeros or exponents, sets sorted. Items are never changed in place, so that a table, its indexes,
a stream's images and an answer can all hold the same object.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from local.aws.call import AwsError, validation

Value = dict[str, Any]
Item = dict[str, Value]

MAX_ITEM_BYTES = 400 * 1024
_MAX_DIGITS = 38
_MAX_EXPONENT, _MIN_EXPONENT = 125, -130
_MAX_DEPTH = 32

_PLAIN_INTEGER = re.compile(r"-?[1-9]\d{0,37}|0")
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,9})?")
_NOT_ONE = "Supplied AttributeValue {}, must contain exactly one of the supported datatypes"
_INVALID = "One or more parameter values were invalid: "
_OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"


def canonical_item(item: Any) -> Item:
    """Every attribute made canonical.

    Raises:
        AwsError: ValidationException or SerializationException, with DynamoDB's message.
    """
    if not isinstance(item, Mapping):
        raise AwsError("SerializationException", "Expected an object of attribute values.")
    return {name: canonical(value) for name, value in item.items()}


def canonical(value: Any, depth: int = 0) -> Value:
    """One attribute value made canonical; raises as `canonical_item`."""
    if not isinstance(value, Mapping):
        raise AwsError("SerializationException", "Expected an attribute value, an object of one type.")
    if depth > _MAX_DEPTH:
        raise validation("Nesting Levels have exceeded supported limits")
    if len(value) != 1:
        raise validation(_NOT_ONE.format("has more than one datatypes set" if value else "is empty"))
    ((kind, content),) = value.items()
    if kind not in _CANONICAL:
        raise validation(_NOT_ONE.format("is empty"))
    return {kind: _CANONICAL[kind](content, depth)}


def canonical_number(text: Any) -> str:
    """The number as DynamoDB gives it back: plain digits, at most 38 significant ones."""
    if not isinstance(text, str):
        raise AwsError("SerializationException", "NUMBER_VALUE cannot be converted to String")
    if _PLAIN_INTEGER.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise validation(f"The parameter cannot be converted to a numeric value: {text}")
    return plain(Decimal(text))


def plain(number: Decimal) -> str:
    """A decimal in canonical text, or the ValidationException for what DynamoDB cannot hold."""
    if number.is_zero():
        return "0"
    sign, digits, exponent = number.as_tuple()
    significant = len(digits)
    while digits[significant - 1] == 0:
        significant -= 1
    if significant > _MAX_DIGITS:
        raise validation("Attempting to store more than 38 significant digits in a Number")
    if number.adjusted() > _MAX_EXPONENT:
        raise validation(_OVERFLOW)
    if number.adjusted() < _MIN_EXPONENT:
        raise validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    trimmed = Decimal((sign, digits[:significant], int(exponent) + len(digits) - significant))
    return format(trimmed, "f")


_EXACT = Context(prec=_MAX_DIGITS, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation])


def add_numbers(left: str, right: str, sign: int = 1) -> str:
    """`left + sign * right`. DynamoDB calls a sum that needs more than 38 digits an overflow, and refuses it."""
    try:
        return plain(_EXACT.add(Decimal(left), sign * Decimal(right)))
    except Inexact:
        raise validation(_OVERFLOW) from None


def _string(content: Any, _: int) -> str:
    if not isinstance(content, str):
        raise AwsError("SerializationException", "A string was expected.")
    return content


def _binary(content: Any, _: int) -> str:
    try:
        return base64.b64encode(base64.b64decode(content, validate=True)).decode()
    except (TypeError, ValueError, binascii.Error):
        raise AwsError("SerializationException", "Base64 was expected.") from None


def _boolean(content: Any, _: int) -> bool:
    if not isinstance(content, bool):
        raise AwsError("SerializationException", "A boolean was expected.")
    return content


def _null(content: Any, _: int) -> bool:
    if content is not True:
        raise validation(_INVALID + "Null attribute value types must have the value of true")
    return True


def _list(content: Any, depth: int) -> list[Value]:
    if not isinstance(content, list):
        raise AwsError("SerializationException", "A list was expected.")
    return [canonical(each, depth + 1) for each in content]


def _map(content: Any, depth: int) -> dict[str, Value]:
    if not isinstance(content, Mapping):
        raise AwsError("SerializationException", "A map was expected.")
    return {name: canonical(each, depth + 1) for name, each in content.items()}


def _set_of(
    name: str, element: Callable[[Any, int], str], key: Callable[[str], Any]
) -> Callable[[Any, int], list[str]]:
    def of(content: Any, _: int) -> list[str]:
        if not isinstance(content, list):
            raise AwsError("SerializationException", "A list was expected.")
        if not content:
            raise validation(f"{_INVALID}An {name} set  may not be empty")
        elements = sorted({element(each, 0) for each in content}, key=key)
        if len(elements) != len(content):
            raise validation(f"{_INVALID}Input collection [{', '.join(map(str, content))}] contains duplicates.")
        return elements

    return of


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)


_CANONICAL: dict[str, Callable[[Any, int], Any]] = {
    "S": _string,
    "N": lambda content, _: canonical_number(content),
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "L": _list,
    "M": _map,
    "SS": _set_of("string", _string, str),
    "NS": _set_of("number", lambda content, _: canonical_number(content), Decimal),
    "BS": _set_of("binary", _binary, _decoded),
}
SETS = {"SS": "S", "NS": "N", "BS": "B"}
"""Set types and the type of their elements."""


_SORTABLE: dict[str, Callable[[str], Any]] = {"S": str, "N": Decimal, "B": _decoded}


def sortable(value: Value) -> Any:
    """The value of a string, number or binary for comparing with its like: str, Decimal or bytes. Else None."""
    ((kind, content),) = value.items()
    return _SORTABLE[kind](content) if kind in _SORTABLE else None


def union(kind: str, left: list[str], right: list[str]) -> list[str]:
    """Two sets of one kind as one, in canonical order."""
    return sorted({*left, *right}, key=_SORTABLE[SETS[kind]])


# ------------------------------------------------------------------ sizes
def item_bytes(item: Mapping[str, Value]) -> int:
    """An item's size as DynamoDB counts it: names and values, with overheads for numbers and containers."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Value) -> int:
    """One value's size."""
    ((kind, content),) = value.items()
    return _BYTES[kind](content)


def _number_bytes(text: str) -> int:
    digits = text.replace("-", "").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


_BYTES: dict[str, Callable[[Any], int]] = {
    "S": lambda content: len(content.encode()),
    "N": _number_bytes,
    "B": lambda content: len(_decoded(content)),
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "L": lambda content: 3 + sum(1 + value_bytes(each) for each in content),
    "M": lambda content: 3 + sum(1 + len(name.encode()) + value_bytes(each) for name, each in content.items()),
    "SS": lambda content: sum(len(each.encode()) for each in content),
    "NS": lambda content: sum(_number_bytes(each) for each in content),
    "BS": lambda content: sum(len(_decoded(each)) for each in content),
}
