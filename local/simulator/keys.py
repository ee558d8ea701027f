"""Which keys each provider accepts, and what is wrong with those it accepts only half.

A key nobody registered is judged by its form: the provider's profile has the pattern of simulated keys. Keys are kept
as digests.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.simulator.behaviour import digest_of

EVERYTHING = "everything"
MODELS = "models"
INFERENCE = "inference"


@dataclass(frozen=True, slots=True)
class KeyState:
    """What becomes of a request with such a key: the kind of refusal, and the endpoints it is refused at."""

    refusal: str | None = None
    endpoints: str = EVERYTHING

    def refuses(self, endpoint: str) -> bool:
        """Whether a request to a `models` or an `inference` endpoint is refused."""
        return self.refusal is not None and self.endpoints in (EVERYTHING, endpoint)


STATES: dict[str, KeyState] = {
    "accepted": KeyState(),
    "refused": KeyState("invalid_key"),
    "no-quota": KeyState("no_quota", INFERENCE),
    "no-payment": KeyState("payment_required", INFERENCE),
    "rate-limited": KeyState("rate_limit", INFERENCE),
    "forbidden": KeyState("forbidden", INFERENCE),
    "no-models-scope": KeyState("restricted", MODELS),
}


class Keys:
    """The keys registered, by provider."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._states: dict[tuple[str, str | None], str] = {}
        self._until_s: dict[tuple[str, str | None], float] = {}

    def set(self, provider: str, key: str, accepted: bool | str = True, *, until_s: float | None = None) -> None:
        """Register a key: True, False (revoked, unknown) or the name of one of `STATES`; for good, or until a time.

        Raises ValueError.
        """
        state = accepted if isinstance(accepted, str) else "accepted" if accepted else "refused"
        if state not in STATES:
            raise ValueError(f"accepted is true, false or one of {', '.join(STATES)}")
        at = provider, digest_of(key)
        self._states[at] = state
        self._until_s.pop(at, None)
        if until_s is not None:
            self._until_s[at] = until_s

    def revoke(self, provider: str, key: str) -> None:
        """Refuse the key from now on."""
        self.set(provider, key, False)

    def state(self, provider: str, key: str, pattern: re.Pattern[str]) -> KeyState:
        """The state of a key, by its form where it was not registered."""
        at = provider, digest_of(key)
        if self._until_s.get(at, math.inf) <= self.clock():
            return STATES["refused"]
        by_form = "accepted" if pattern.fullmatch(key) else "refused"
        return STATES[self._states.get(at, by_form)]

    def clear(self) -> None:
        """Forget every registration: keys are judged by their form again."""
        self._states.clear()
        self._until_s.clear()

    def to_json(self) -> list[dict[str, str | None]]:
        """The registrations, keys as digests."""
        return [
            {"provider": provider, "key_sha256": digest, "accepted": state}
            for (provider, digest), state in self._states.items()
        ]

    def load(self, path: Path) -> None:
        """Register what a JSON file lists: `[{"provider": …, "key": …, "accepted": true}, …]`."""
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        for row in rows:
            self.set(row["provider"], row["key"], row.get("accepted", True))
