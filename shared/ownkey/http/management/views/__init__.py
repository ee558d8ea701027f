"""What responses show. Each view is written out field by field: what is not named here never leaves.

By room: `accounts`, `gateway_keys`, `credentials`, `vault`, `providers`, `sharing`, `limits`, `money`, `statements`,
`reconciliations`, `audit`; `tables`, cells of files.
"""

from ownkey.http.management.views.accounts import account, invitation, me, member, received_invitation, settings
from ownkey.http.management.views.audit import audit_csv, audit_entry, audit_jsonl
from ownkey.http.management.views.credentials import Shown, credential, finding, provider_keys, provider_name
from ownkey.http.management.views.gateway_keys import gateway_key
from ownkey.http.management.views.limits import limit
from ownkey.http.management.views.money import attempt, balance, deposit, entry, rollup, rollup_totals, usage
from ownkey.http.management.views.providers import catalog_state, provider
from ownkey.http.management.views.reconciliations import (
    RECONCILIATION_COLUMNS,
    admin_credential,
    leak_settings,
    reconciliation,
    reconciliation_cells,
    reconciliation_row,
)
from ownkey.http.management.views.sharing import reward, sharing
from ownkey.http.management.views.statements import statement, statement_line, statement_month
from ownkey.http.management.views.vault import kms_key, pool, rewrap

__all__ = [
    "RECONCILIATION_COLUMNS",
    "Shown",
    "account",
    "admin_credential",
    "attempt",
    "audit_csv",
    "audit_entry",
    "audit_jsonl",
    "balance",
    "catalog_state",
    "credential",
    "deposit",
    "entry",
    "finding",
    "gateway_key",
    "invitation",
    "kms_key",
    "leak_settings",
    "limit",
    "me",
    "member",
    "pool",
    "provider",
    "provider_keys",
    "provider_name",
    "received_invitation",
    "reconciliation",
    "reconciliation_cells",
    "reconciliation_row",
    "reward",
    "rewrap",
    "rollup",
    "rollup_totals",
    "settings",
    "sharing",
    "statement",
    "statement_line",
    "statement_month",
    "usage",
]
