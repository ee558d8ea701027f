"""A call's arguments for an API that takes them as an object, not as JSON text."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def object_of(arguments: str) -> dict[str, Any]:
    """The object that the text is. One that is none, which a model has garbled or a limit has cut, stands under `input`
    as a whole: it is in the history for good, and a conversation has to go on from there.
    """
    try:
        values = _decode(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {"input": arguments}


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(number: str) -> float:
    """A number that JSON can be written with again."""
    if not math.isfinite(value := float(number)):
        raise ValueError(number)
    return value


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode
