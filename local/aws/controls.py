"""The other side of `/_ownkey/`: what tests and the local stack steer a running server with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

CONTROL_PREFIX = "/_ownkey/"
_TIMEOUT_S = 10


class ControlRefused(ValueError):
    """The server did not take what was sent, and says why."""


class Controls:
    """One server's controls, over HTTP, so that it does not matter whose process it is in."""

    def __init__(self, endpoint_url: str) -> None:
        self._base = endpoint_url.rstrip("/") + CONTROL_PREFIX

    def calls(self) -> dict[str, Any]:
        """`{"total": {"kms.Decrypt": 2}, "by_access_key": {"AKIA…": {"kms.Decrypt": 2}}}` since the last reset."""
        return self._send("GET", "calls")

    def reset_calls(self) -> None:
        """Counts from nought."""
        self._send("DELETE", "calls")

    def add_faults(self, *rules: Mapping[str, Any]) -> None:
        """Adds rules as `local.aws.faults` describes them."""
        self._send("POST", "faults", list(rules))

    def clear_faults(self) -> None:
        """Removes all rules."""
        self._send("DELETE", "faults")

    def set_policies(self, policies: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Sets what each access key may do, as `local.aws.policies` describes statements, replacing all."""
        self._send("PUT", "policies", {access_key: list(statements) for access_key, statements in policies.items()})

    def sweep_expired(self, now_s: float | None = None) -> dict[str, int]:
        """Deletes what has expired by now, or by `now_s`; how many items, by table."""
        deleted: dict[str, int] = self._send("POST", "ttl-sweep", {} if now_s is None else {"now_s": now_s})["deleted"]
        return deleted

    def clear(self, tables: Iterable[str]) -> None:
        """Empties these tables, and their streams."""
        self._send("POST", "clear", {"tables": list(tables)})

    def _send(self, method: str, name: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._base + name, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:
                return json.load(answer)  # type: ignore[no-any-return]
        except HTTPError as e:
            with e:
                raise ControlRefused(e.read().decode()) from None
