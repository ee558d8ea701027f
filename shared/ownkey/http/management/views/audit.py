"""How the audit log is shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from ownkey.domain.audit import TARGETS, AuditEntry

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
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


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
    """RFC 4180 with a head; target and details as JSON. No cell is a formula to a spreadsheet."""
    out = io.StringIO()
    rows = csv.writer(out, quoting=csv.QUOTE_ALL)
    rows.writerow(COLUMNS)
    for each in entries:
        shown = audit_entry(each)
        rows.writerow([_cell(shown[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
