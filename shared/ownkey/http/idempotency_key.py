"""The header `Idempotency-Key`, alike on both APIs.

After draft-ietf-httpapi-idempotency-key-header, but for its form: clients send the bare value, not a quoted string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import InvalidParameter

HEADER = "idempotency-key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")


def given_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request names; None where it names none.

    Args:
        headers: By name in lower case.

    Raises:
        InvalidParameter: it is none.
    """
    key = headers.get(HEADER)
    if key is not None and not _KEY.match(key):
        raise InvalidParameter(
            "The Idempotency-Key is not 1 to 255 printable ASCII characters without space.", param="Idempotency-Key"
        )
    return key


def canonical(values: Any) -> bytes:
    """A body's JSON, however it was spaced and ordered."""
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
