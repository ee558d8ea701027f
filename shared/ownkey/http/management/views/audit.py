"""How the audit log is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ownkey.domain.audit import TARGETS, AuditEntry
from ownkey.http.management.views.tables import csv_table

Json = dict[str, Any]

COLUMNS = (
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "action",
    "outcome",
    "status",
    "error_code",
    "target",
    "details",
    "source_ip",
    "user_agent",
    "request_id",
)


def audit_entry(entry: AuditEntry) -> Json:
    """One entry; `target` is what was acted on."""
    return {
        "id": entry.id,
        "at": entry.at,
        "actor_kind": entry.actor_kind.value,
        "actor_id": entry.actor_id,
        "action": entry.action,
        "outcome": entry.outcome.value,
        "status": entry.status,
        "error_code": entry.error_code,
        "target": {name: _plain(entry.facts[name]) for name in TARGETS if name in entry.facts},
        "details": {name: _plain(value) for name, value in entry.facts.items() if name not in TARGETS},
        "source_ip": entry.source_ip,
        "user_agent": entry.user_agent,
        "request_id": entry.request_id,
    }


def audit_jsonl(entries: Iterable[AuditEntry]) -> str:
    """One JSON object a line."""
    return "".join(f"{json.dumps(audit_entry(each), separators=(',', ':'))}\n" for each in entries)


def audit_csv(entries: Iterable[AuditEntry]) -> str:
    """A table with a head; target and details as JSON."""
    return csv_table(COLUMNS, map(audit_entry, entries))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
