"""Accounts, members, gateway keys and credentials in DynamoDB: what a request reads, what management writes.

============= =========================================================================
`reads`       `Registry.read_for_request`: one round trip, snapshots cached by version
`changes`     credentials created, rotated, updated, deleted: all or nothing
`settings`    what an account says of its credentials as a whole; `limits`, its budgets and rate limits
`sharing`     its consent to sharing them; `donors`, accounts that share, read for a request
`health`      `HealthBook`: what the fleet has learnt of credentials and providers
`rewraps`     jobs that bring secrets under another KMS key
`reconciliations` what was recorded against what providers report, and what came of it
`people`      accounts and members; `invitations`, who is asked to become one
`idempotency` notes of creations that may be repeated; `kept_answers`, sealed answers of requests that may be
`audit`       `AuditTrail`: the log of who did what, in a table of its own
`gateway_keys`  created, changed, rotated, revoked
`key_use`     when gateway keys were last used, in the table of health
`items`       dataclasses to items and back; `table`, what all parts share
============= =========================================================================

Every change of a credential or setting raises the account's version in the same transaction; a warm function that
reads a new version reads the account's credentials again. That is why a rotation holds on the next request.
"""

from ownkey.registry.changes import (
    CreateCredential,
    CredentialChange,
    CredentialChanges,
    DeleteCredential,
    RetirePrevious,
    RotateCredential,
    ShareCredential,
    ShredCredential,
    UpdateCredential,
)
from ownkey.registry.donors import Donor, DonorReader
from ownkey.registry.gateway_keys import GatewayKeys
from ownkey.registry.idempotency import RequestNotes
from ownkey.registry.invitations import Invitations
from ownkey.registry.limits import AccountLimits
from ownkey.registry.people import People
from ownkey.registry.reads import RequestReader, RequestView, Snapshot
from ownkey.registry.reconciliations import Reconciliations
from ownkey.registry.rewraps import Rewraps
from ownkey.registry.settings import AccountSettings
from ownkey.registry.sharing import SharingSettings
from ownkey.store.dynamodb import DynamoDb


class Registry(
    DonorReader,
    SharingSettings,
    CredentialChanges,
    AccountSettings,
    AccountLimits,
    Rewraps,
    Reconciliations,
    GatewayKeys,
    People,
    Invitations,
    RequestNotes,
):
    """All of it over one table; health, which requests read along, is in one of its own, as is the audit log."""

    def __init__(self, db: DynamoDb, table: str, health_table: str | None = None) -> None:
        RequestReader.__init__(self, db, table, health_table)


__all__ = [
    "CreateCredential",
    "CredentialChange",
    "DeleteCredential",
    "Donor",
    "Registry",
    "RequestView",
    "RetirePrevious",
    "RotateCredential",
    "ShareCredential",
    "ShredCredential",
    "Snapshot",
    "UpdateCredential",
]
