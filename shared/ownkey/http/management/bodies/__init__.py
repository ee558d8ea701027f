"""Request bodies: what a client may send, checked before anything else happens. pydantic lives here and nowhere below.

Unknown fields are refused: a misspelt `gateway_key` must not silently make a key account-wide. Provider keys arrive as
`SecretStr` and leave as `Secret`.

============== ======================================
`common`       types of fields, the strictness of all
`credentials`  `/api/byok`, `/api/auth`
`gateway_keys` `/api/gateway-keys`
`accounts`     `/api/accounts`
`limits`       `/api/limits`
`sharing`      consent, which credentials are shared
`reconciliations` `/api/admin-credentials`, `/api/reconciliations`
`vault`        pools, an account's KMS key, shredding
============== ======================================
"""

from ownkey.http.management.bodies.accounts import (
    AddMember,
    ChangeMember,
    Correction,
    CreateAccount,
    CreateInvitation,
    Deposit,
    UpdateAccount,
    UpdateSettings,
)
from ownkey.http.management.bodies.common import MAX_KEY_CHARS, Body
from ownkey.http.management.bodies.credentials import (
    CreateCredential,
    CredentialSettings,
    ProviderKeys,
    RotateCredential,
    UpdateCredential,
)
from ownkey.http.management.bodies.gateway_keys import (
    CreateGatewayKey,
    GatewayKeyScope,
    RotateGatewayKey,
    UpdateGatewayKey,
)
from ownkey.http.management.bodies.limits import CreateLimit, UpdateLimit
from ownkey.http.management.bodies.reconciliations import (
    CreateAdminCredential,
    RotateAdminCredential,
    SetLeakSettings,
    StartReconciliation,
)
from ownkey.http.management.bodies.sharing import GiveConsent, SetSharing
from ownkey.http.management.bodies.vault import Confirmation, SetKmsKey, SetPool

__all__ = [
    "MAX_KEY_CHARS",
    "AddMember",
    "Body",
    "ChangeMember",
    "Confirmation",
    "Correction",
    "CreateAccount",
    "CreateAdminCredential",
    "CreateCredential",
    "CreateGatewayKey",
    "CreateInvitation",
    "CreateLimit",
    "CredentialSettings",
    "Deposit",
    "GatewayKeyScope",
    "GiveConsent",
    "ProviderKeys",
    "RotateAdminCredential",
    "RotateCredential",
    "RotateGatewayKey",
    "SetKmsKey",
    "SetLeakSettings",
    "SetPool",
    "SetSharing",
    "StartReconciliation",
    "UpdateAccount",
    "UpdateCredential",
    "UpdateGatewayKey",
    "UpdateLimit",
    "UpdateSettings",
]
