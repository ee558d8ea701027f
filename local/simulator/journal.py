"""What reached the simulated provider, and what became of it.

Of a key only its SHA-256 and its last four characters are kept.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from local.simulator.behaviour import digest_of

MAX_REQUESTS = 2_000
MAX_BODY_CHARACTERS = 100_000
SECRET_HEADERS = frozenset(
    {
        *("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token", "cookie"),
        "proxy-authorization",
    }
)
REDACTED = "[redacted]"
SHORTEST_SCRUBBED = 8  # a shorter one is no secret, and would tear words apart


@dataclass(slots=True)
class Entry:
    """One request. Times are milliseconds since 1970; None while the thing has not happened.

    `outcome`: `open`, `answered`, `cut` (by a script) or `disconnected` (the client went away first).
    """

    id: int
    provider: str
    method: str
    path: str
    query: str
    auth: str | None
    key_sha256: str | None
    key_last4: str | None
    headers: dict[str, str]
    body: Any
    received_ms: float
    request_id: str | None = None
    status: int | None = None
    first_byte_ms: float | None = None
    ended_ms: float | None = None
    chunks_sent: int = 0
    bytes_sent: int = 0
    outcome: str = "open"
    knobs: dict[str, Any] = field(default_factory=dict)
    served: str | None = None
    """The model that answered."""
    used: dict[str, int] | None = None
    """What it used: input, of it cached and written (for 5 minutes, for an hour), and output."""

    def wrote(self, data: bytes, chunks: int = 0) -> None:
        """Count bytes of the body that were handed to the network."""
        self.first_byte_ms = self.first_byte_ms or now_ms()
        self.bytes_sent += len(data)
        self.chunks_sent += chunks

    def end(self, outcome: str) -> None:
        """Close the entry; the first outcome stays."""
        if self.ended_ms is None:
            self.ended_ms = now_ms()
            self.outcome = outcome

    def to_json(self) -> dict[str, Any]:
        """The entry as the admin API gives it."""
        return {**asdict(self), "disconnected": self.outcome == "disconnected"}


class Journal:
    """The last requests, the oldest first, and counters of all of them since the last `clear`."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_REQUESTS)
        self._last_id = 0
        self._received: Counter[str] = Counter()

    def open(
        self,
        provider: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        credential: tuple[str | None, str | None],
        body: bytes,
    ) -> Entry:
        """Enter a request as it arrives. `credential` is the scheme (`bearer`, `x-api-key`) and the key."""
        scheme, key = credential
        self._last_id += 1
        self._received[provider] += 1
        entry = Entry(
            id=self._last_id,
            provider=provider,
            method=method,
            path=path,
            query=query,
            auth=scheme,
            key_sha256=digest_of(key),
            key_last4=key[-4:] if key else None,
            headers=_without_secrets(headers, key),
            body=_readable(body, key),
            received_ms=now_ms(),
        )
        self._entries.append(entry)
        return entry

    def entries(self, provider: str | None = None, after_id: int = 0) -> list[Entry]:
        """The requests kept, of one provider or of all, later than the one with `after_id`."""
        return [each for each in self._entries if each.id > after_id and provider in (None, each.provider)]

    def counters(self) -> dict[str, dict[str, Any]]:
        """By provider: requests received ever, and of those kept how they were answered and how they ended."""
        return {provider: self._counters_of(provider) for provider in sorted(self._received)}

    def _counters_of(self, provider: str) -> dict[str, Any]:
        entries = self.entries(provider)
        return {
            "received": self._received[provider],
            "by_status": dict(Counter(str(each.status) for each in entries)),
            "by_outcome": dict(Counter(each.outcome for each in entries)),
            "chunks_sent": sum(each.chunks_sent for each in entries),
        }

    def clear(self) -> None:
        """Forget everything but the numbering."""
        self._entries.clear()
        self._received.clear()


def now_ms() -> float:
    """Milliseconds since 1970."""
    return round(time.time() * 1000, 3)


def _without_secrets(headers: Mapping[str, str], key: str | None) -> dict[str, str]:
    return {
        name.lower(): REDACTED if name.lower() in SECRET_HEADERS else _scrubbed(value, key)
        for name, value in headers.items()
    }


def _readable(body: bytes, key: str | None) -> Any:
    """The body as JSON where it is JSON and not too long, as (the start of) its text otherwise."""
    text = _scrubbed(body.decode(errors="replace"), key)
    if len(text) <= MAX_BODY_CHARACTERS:
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text
    return text[:MAX_BODY_CHARACTERS]


def _scrubbed(text: str, key: str | None) -> str:
    return text.replace(key, REDACTED) if key and len(key) >= SHORTEST_SCRUBBED else text
