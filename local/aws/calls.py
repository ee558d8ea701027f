"""How often each operation was called, by whom: what tests count KMS calls and writes with."""

from __future__ import annotations

from collections import Counter
from typing import Any

from local.aws.call import Call

UNSIGNED = "unsigned"


class CallCounter:
    """Counts by access key and `service.operation`, refused and failed calls included."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, call: Call) -> None:
        """Counts one call."""
        self._counts[call.access_key or UNSIGNED, f"{call.service}.{call.operation}"] += 1

    def clear(self) -> None:
        """Starts again at nought."""
        self._counts.clear()

    def summary(self) -> dict[str, Any]:
        """`{"total": {"dynamodb.GetItem": 3}, "by_access_key": {"AKIA…": {"dynamodb.GetItem": 3}}}`."""
        total: Counter[str] = Counter()
        by_access_key: dict[str, dict[str, int]] = {}
        for (access_key, operation), count in sorted(self._counts.items()):
            total[operation] += count
            by_access_key.setdefault(access_key, {})[operation] = count
        return {"total": dict(total), "by_access_key": by_access_key}
