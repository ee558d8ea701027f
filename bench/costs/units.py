"""How DynamoDB counts: the size of an item, and the units that a read or a write of it takes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

WRITE_BYTES = 1024
READ_BYTES = 4096
_NESTED_BYTES = 3
_ELEMENT_BYTES = 1


def item_bytes(attributes: Mapping[str, Any]) -> int:
    """The size of an item in the wire's form, its names included; 0 where there is none."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in attributes.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of one attribute value. A number takes about a byte for two digits, one more, and one for a minus."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0") or "0"
            return (len(digits) + 1) // 2 + 1 + content.startswith("-")
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return _NESTED_BYTES + sum(len(each.encode()) for each in content)
        case "L":
            return _NESTED_BYTES + sum(_ELEMENT_BYTES + value_bytes(each) for each in content)
        case "M":
            return _NESTED_BYTES + sum(
                _ELEMENT_BYTES + len(name.encode()) + value_bytes(each) for name, each in content.items()
            )
    raise ValueError(f"unknown attribute type {kind}")


def write_units(before_bytes: int, after_bytes: int, *, transaction: bool = False) -> int:
    """Of one write: by the larger of the item before and after, at least one; twice that in a transaction."""
    return max(1, -(-max(before_bytes, after_bytes) // WRITE_BYTES)) * (2 if transaction else 1)


def read_units(read_bytes: int, *, consistent: bool = True, transaction: bool = False) -> float:
    """Of one item, or of all that a query reads: half where eventually consistent, twice in a transaction."""
    units = max(1, -(-read_bytes // READ_BYTES))
    return units * (2 if transaction else 1 if consistent else 0.5)
