"""A validation call to one of the clouds that host models, whose hosts stand in the path on a local stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.simulator.replies import JSON, Whole


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """One request: to the vendor's `host`, there to `/tail`."""

    host: str
    tail: str
    method: str
    path: str
    """As it stands on the wire."""
    headers: Mapping[str, str]
    body: bytes
    now_s: float


def answer(status: int, body: Any, **headers: str) -> Whole:
    """A JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Whole(json.dumps(body).encode(), named, status, JSON)
