"""The management API's operations: one row for each route. A route without a row fails the build of the document.

Examples of bodies are requests that work (of an id in one, that of the path): the tests of the API send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ownkey.catalog.sharing import consent_text
from ownkey.http.management.access import Right
from tools.openapi.schemas import STATEMENT, USAGE, Schema, page, ref


class Who(StrEnum):
    """May call it, where no right in an account decides."""

    OPERATOR = "the operator"
    SIGNED_IN = "anybody who is signed in"
    INVITED = "whoever has the invitation's verified e-mail address"
    EVERYBODY = "everybody, without a session"


@dataclass(frozen=True, slots=True)
class Operation:
    """What FastAPI does not know of a route."""

    summary: str
    may: Right | Who
    answer: Schema
    status: int = 200
    example: Any = None
    """Of the body."""
    creates: bool = False
    """Takes an `Idempotency-Key`."""
    conditional: bool = False
    """Takes an `If-Match`."""
    tagged: bool = False
    """Answers with an `ETag`."""
    also: tuple[int, ...] = ()
    """Further statuses of success, with the same answer."""
    media: tuple[str, ...] = ()
    """Of answers that are no JSON."""


EXAMPLES: Mapping[str, str] = {
    "account_id": "acme",
    "user_id": "a1b2c3d4-0000-4000-8000-000000000001",
    "invitation_id": "inv_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "deposit_id": "dep_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "credential_id": "cred_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "limit_id": "lim_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "key_id": "gk_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "keyId": "gk_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "admin_id": "adm_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "reconciliation_id": "rec_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "job_id": "rw_01jd4w3m8qk6v5t2r9x7y1z0ab",
    "provider": "openai",
}
"""Of parameters in paths, and required ones of queries."""

_KEY = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD"
_ADMIN_KEY = "sk-admin-0123456789abcdefghijklmnopqrstuvwxyzABCD"
_CREDENTIAL, _SAVED, _DELETED = ref("Credential"), ref("SavedCredential"), ref("Deleted")
_READ_KEYS, _CHANGE_KEYS = Right.READ_CREDENTIALS, Right.CHANGE_CREDENTIALS
_CREATE_GATEWAY_KEYS = Right.CREATE_GATEWAY_KEYS

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    # ── about the caller and the deployment ──
    ("GET", "/api/openapi.json"): Operation("This document", Who.EVERYBODY, ref("OpenApi")),
    ("GET", "/api/me"): Operation("Who calls, and where they belong", Who.SIGNED_IN, ref("Me")),
    ("GET", "/api/catalog"): Operation("How current the catalog's prices are", Who.SIGNED_IN, ref("CatalogState")),
    ("GET", "/api/providers"): Operation(
        "Providers that credentials can be saved for", Who.SIGNED_IN, page("Provider")
    ),
    ("GET", "/api/providers/{provider}"): Operation("One provider", Who.SIGNED_IN, ref("Provider")),
    # ── provider keys ──
    ("GET", "/api/byok"): Operation("The account's provider keys", _READ_KEYS, page("Credential")),
    ("POST", "/api/byok"): Operation(
        "Save a provider key that its provider accepts",
        _CHANGE_KEYS,
        _SAVED,
        201,
        {"provider": "OpenAI", "key": _KEY},
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/byok/export"): Operation(
        "Everything but the keys, in one file", _READ_KEYS, ref("CredentialExport"), media=("text/csv",)
    ),
    ("GET", "/api/byok/{credential_id}"): Operation("One provider key", _READ_KEYS, _CREDENTIAL, tagged=True),
    ("PATCH", "/api/byok/{credential_id}"): Operation(
        "Change its settings", _CHANGE_KEYS, _SAVED, 200, {"alias": "main"}, conditional=True, tagged=True
    ),
    ("DELETE", "/api/byok/{credential_id}"): Operation("Remove it", _CHANGE_KEYS, _DELETED, conditional=True),
    ("POST", "/api/byok/{credential_id}/rotate"): Operation(
        "Replace the secret, or keep the old one beside it",
        _CHANGE_KEYS,
        _SAVED,
        200,
        {"key": _KEY, "keep_previous": True},
        conditional=True,
        tagged=True,
    ),
    ("POST", "/api/byok/{credential_id}/retire"): Operation(
        "Drop the version before the current one", _CHANGE_KEYS, _CREDENTIAL, conditional=True, tagged=True
    ),
    ("POST", "/api/byok/{credential_id}/shred"): Operation(
        "Delete its data keys: nobody opens it again",
        _CHANGE_KEYS,
        _CREDENTIAL,
        200,
        {"confirm": EXAMPLES["credential_id"]},
        conditional=True,
        tagged=True,
    ),
    ("POST", "/api/byok/{credential_id}/validate"): Operation(
        "Ask the provider about the stored key", _CHANGE_KEYS, ref("Finding")
    ),
    ("PUT", "/api/byok/{credential_id}/sharing"): Operation(
        "Share it with other accounts, or no longer",
        _CHANGE_KEYS,
        _CREDENTIAL,
        200,
        {"shared": False},
        conditional=True,
        tagged=True,
    ),
    ("GET", "/api/sharing"): Operation(
        "What sharing goes by, and which credentials serve others", _READ_KEYS, ref("Sharing")
    ),
    ("PUT", "/api/sharing/consent"): Operation(
        "Consent to the text about sharing",
        _CHANGE_KEYS,
        ref("Sharing"),
        200,
        {"version": consent_text().version, "digest": consent_text().digest},
    ),
    ("DELETE", "/api/sharing/consent"): Operation(
        "Take the consent back: nothing is shared any more", _CHANGE_KEYS, ref("Sharing")
    ),
    ("GET", "/api/sharing/rewards"): Operation(
        "Credits given for requests of others, the latest hour first", Right.READ_MONEY, page("Reward")
    ),
    ("PATCH", "/api/auth"): Operation(
        "Set and clear the provider keys of one gateway key",
        _CHANGE_KEYS,
        ref("ProviderKeys"),
        200,
        {"providerKeys": {"OpenAI": _KEY}},
    ),
    ("GET", "/api/pools"): Operation("In which order credentials serve", _READ_KEYS, page("Pool")),
    ("GET", "/api/pools/{provider}"): Operation(
        "In which order one provider's credentials serve", _READ_KEYS, ref("Pool"), tagged=True
    ),
    ("PUT", "/api/pools/{provider}"): Operation(
        "Change the order for one provider",
        _CHANGE_KEYS,
        ref("Pool"),
        200,
        {"strategy": "round_robin"},
        conditional=True,
        tagged=True,
    ),
    # ── gateway keys ──
    ("GET", "/api/gateway-keys"): Operation("The account's gateway keys", Right.READ_GATEWAY_KEYS, page("GatewayKey")),
    ("POST", "/api/gateway-keys"): Operation(
        "Create a gateway key: it is shown this once",
        _CREATE_GATEWAY_KEYS,
        ref("NewGatewayKey"),
        201,
        {"alias": "checkout"},
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/gateway-keys/{key_id}"): Operation(
        "One gateway key", Right.READ_GATEWAY_KEYS, ref("GatewayKey"), tagged=True
    ),
    ("PATCH", "/api/gateway-keys/{key_id}"): Operation(
        "Change it",
        _CREATE_GATEWAY_KEYS,
        ref("GatewayKey"),
        200,
        {"alias": "checkout 2"},
        conditional=True,
        tagged=True,
    ),
    ("POST", "/api/gateway-keys/{key_id}/rotate"): Operation(
        "Replace its secret; the old one goes on for a while",
        _CREATE_GATEWAY_KEYS,
        ref("NewGatewayKey"),
        200,
        {"overlap_hours": 24},
        conditional=True,
        tagged=True,
    ),
    ("DELETE", "/api/gateway-keys/{key_id}"): Operation(
        "Revoke it: the next request that presents it is refused",
        _CREATE_GATEWAY_KEYS,
        ref("GatewayKey"),
        conditional=True,
        tagged=True,
    ),
    # ── budgets and rate limits ──
    ("GET", "/api/limits"): Operation("Budgets and rate limits", Right.READ_LIMITS, page("Limit")),
    ("POST", "/api/limits"): Operation(
        "Set a budget or a rate limit: it holds from the next request on",
        Right.CHANGE_LIMITS,
        ref("Limit"),
        201,
        {
            "scope": "user",
            "value": "ada",
            "measure": "spend",
            "window": "month",
            "amount": "50.00",
            "include_byok": True,
        },
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/limits/{limit_id}"): Operation(
        "One limit, and how much of it is used", Right.READ_LIMITS, ref("Limit"), tagged=True
    ),
    ("PATCH", "/api/limits/{limit_id}"): Operation(
        "Change it", Right.CHANGE_LIMITS, ref("Limit"), 200, {"hard": False}, conditional=True, tagged=True
    ),
    ("DELETE", "/api/limits/{limit_id}"): Operation("Remove it", Right.CHANGE_LIMITS, _DELETED, conditional=True),
    # ── reconciliation ──
    ("GET", "/api/admin-credentials"): Operation(
        "What reads providers' reports of usage", Right.RECONCILE, page("AdminCredential")
    ),
    ("POST", "/api/admin-credentials"): Operation(
        "Save an admin key that its provider lets read the report: one a provider",
        Right.RECONCILE,
        ref("SavedAdminCredential"),
        201,
        {"provider": "OpenAI", "key": _ADMIN_KEY},
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/admin-credentials/{admin_id}"): Operation(
        "One of them", Right.RECONCILE, ref("AdminCredential"), tagged=True
    ),
    ("POST", "/api/admin-credentials/{admin_id}/rotate"): Operation(
        "Replace the secret",
        Right.RECONCILE,
        ref("SavedAdminCredential"),
        200,
        {"key": _ADMIN_KEY},
        conditional=True,
        tagged=True,
    ),
    ("DELETE", "/api/admin-credentials/{admin_id}"): Operation(
        "Remove it", Right.RECONCILE, _DELETED, conditional=True
    ),
    ("GET", "/api/reconciliations"): Operation(
        "Comparisons with providers' reports, the newest first",
        Right.READ_RECONCILIATIONS,
        page("Reconciliation"),
    ),
    ("POST", "/api/reconciliations"): Operation(
        "Compare some days with what the provider reports",
        Right.RECONCILE,
        ref("Reconciliation"),
        202,
        {"provider": "OpenAI", "from": "2026-11-18", "to": "2026-11-20"},
        creates=True,
    ),
    ("GET", "/api/reconciliations/{reconciliation_id}"): Operation(
        "One comparison, and how far it is", Right.READ_RECONCILIATIONS, ref("Reconciliation")
    ),
    ("GET", "/api/reconciliations/{reconciliation_id}/rows"): Operation(
        "What it found, by day and credential",
        Right.READ_RECONCILIATIONS,
        page("ReconciliationRow"),
        media=("text/csv",),
    ),
    ("GET", "/api/reconciliation-settings"): Operation(
        "What is done about spend that no record explains",
        Right.READ_RECONCILIATIONS,
        ref("LeakSettings"),
        tagged=True,
    ),
    ("PUT", "/api/reconciliation-settings"): Operation(
        "Set it",
        Right.RECONCILE,
        ref("LeakSettings"),
        200,
        {"leak_threshold_usd": "2.50", "disable_credential": False},
        conditional=True,
        tagged=True,
    ),
    # ── accounts and people ──
    ("GET", "/api/accounts"): Operation("The caller's accounts; for the operator all", Who.SIGNED_IN, page("Account")),
    ("POST", "/api/accounts"): Operation(
        "Create an account", Who.OPERATOR, ref("Account"), 201, {"name": "Acme"}, creates=True, tagged=True
    ),
    ("GET", "/api/accounts/{account_id}"): Operation("One account", Right.READ_ACCOUNT, ref("Account"), tagged=True),
    ("PATCH", "/api/accounts/{account_id}"): Operation(
        "Change it",
        Right.CHANGE_ACCOUNT,
        ref("Account"),
        200,
        {"platform_allowed": False},
        conditional=True,
        tagged=True,
    ),
    ("GET", "/api/settings"): Operation(
        "What the account's requests go by", Right.READ_ACCOUNT, ref("Settings"), tagged=True
    ),
    ("PATCH", "/api/settings"): Operation(
        "Change it",
        Right.CHANGE_ACCOUNT,
        ref("Settings"),
        200,
        {"platform_allowed": False},
        conditional=True,
        tagged=True,
    ),
    ("GET", "/api/accounts/{account_id}/members"): Operation(
        "The account's members", Right.READ_MEMBERS, page("Member")
    ),
    ("POST", "/api/accounts/{account_id}/members"): Operation(
        "Add a member (201), or change a member's role (200)",
        Right.CHANGE_MEMBERS,
        ref("Member"),
        201,
        {"email": "neo@example.com", "role": "member"},
        also=(200,),
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/accounts/{account_id}/members/{user_id}"): Operation(
        "One member", Right.READ_MEMBERS, ref("Member"), tagged=True
    ),
    ("PATCH", "/api/accounts/{account_id}/members/{user_id}"): Operation(
        "Change a member's role",
        Right.CHANGE_MEMBERS,
        ref("Member"),
        200,
        {"role": "billing"},
        conditional=True,
        tagged=True,
    ),
    ("DELETE", "/api/accounts/{account_id}/members/{user_id}"): Operation(
        "End a membership; never the last owner's", Right.CHANGE_MEMBERS, ref("RemovedMember"), conditional=True
    ),
    ("GET", "/api/accounts/{account_id}/invitations"): Operation(
        "The account's open invitations", Right.READ_MEMBERS, page("Invitation")
    ),
    ("POST", "/api/accounts/{account_id}/invitations"): Operation(
        "Invite somebody by e-mail, for 14 days",
        Right.CHANGE_MEMBERS,
        ref("Invitation"),
        201,
        {"email": "trinity@example.com", "role": "member"},
        creates=True,
        tagged=True,
    ),
    ("GET", "/api/accounts/{account_id}/invitations/{invitation_id}"): Operation(
        "One open invitation", Right.READ_MEMBERS, ref("Invitation"), tagged=True
    ),
    ("DELETE", "/api/accounts/{account_id}/invitations/{invitation_id}"): Operation(
        "Take it back", Right.CHANGE_MEMBERS, _DELETED, conditional=True
    ),
    ("GET", "/api/invitations"): Operation("Open invitations to the caller", Who.SIGNED_IN, page("ReceivedInvitation")),
    ("POST", "/api/invitations/{invitation_id}/accept"): Operation("Become a member", Who.INVITED, ref("Account")),
    ("POST", "/api/invitations/{invitation_id}/decline"): Operation("Decline it", Who.INVITED, _DELETED),
    # ── an account's KMS key ──
    ("GET", "/api/accounts/{account_id}/kms-key"): Operation(
        "The KMS key that secrets are wrapped under", _READ_KEYS, ref("KmsKey"), tagged=True
    ),
    ("PUT", "/api/accounts/{account_id}/kms-key"): Operation(
        "Wrap under a KMS key of the account's own",
        _CHANGE_KEYS,
        ref("KmsKey"),
        200,
        {"kms_key_arn": "arn:aws:kms:us-east-1:444455556666:key/4e5f6a7b"},
        conditional=True,
        tagged=True,
    ),
    ("DELETE", "/api/accounts/{account_id}/kms-key"): Operation(
        "Wrap under the deployment's KMS key again", _CHANGE_KEYS, ref("KmsKey"), conditional=True, tagged=True
    ),
    ("POST", "/api/accounts/{account_id}/shred"): Operation(
        "Delete the data keys of all that the account has stored",
        _CHANGE_KEYS,
        ref("Shredded"),
        200,
        {"confirm": EXAMPLES["account_id"]},
    ),
    ("GET", "/api/rewrap"): Operation("Re-wrappings, the newest first", Who.OPERATOR, page("RewrapJob")),
    ("POST", "/api/rewrap"): Operation(
        "Bring every secret under the KMS key that it should be under",
        Who.OPERATOR,
        ref("RewrapJob"),
        202,
        creates=True,
    ),
    ("GET", "/api/rewrap/{job_id}"): Operation("How far one is", Who.OPERATOR, ref("RewrapJob")),
    # ── the audit log ──
    ("GET", "/api/audit"): Operation(
        "Who did what in the account, the newest first", Right.READ_AUDIT, page("AuditEntry")
    ),
    ("GET", "/api/audit/export"): Operation(
        "The same as a file; `X-Ownkey-Next-Cursor` where there is more",
        Right.READ_AUDIT,
        ref("AuditEntry"),
        media=("application/jsonl", "text/csv"),
    ),
    # ── money and usage ──
    ("GET", "/api/accounts/{account_id}/deposits"): Operation(
        "Credits that were given or taken back, the newest first", Right.READ_MONEY, page("Deposit")
    ),
    ("POST", "/api/accounts/{account_id}/deposits"): Operation(
        "Grant credits: billing carries it out",
        Who.OPERATOR,
        ref("Deposit"),
        202,
        {"amount_usd": "10.00"},
        creates=True,
    ),
    ("POST", "/api/accounts/{account_id}/corrections"): Operation(
        "Put the balance right: billing carries it out",
        Who.OPERATOR,
        ref("Deposit"),
        202,
        {"amount_usd": "-10.00", "reason": "The payment was refunded.", "partial": True},
        creates=True,
    ),
    ("GET", "/api/accounts/{account_id}/deposits/{deposit_id}"): Operation(
        "One deposit", Right.READ_MONEY, ref("Deposit")
    ),
    ("GET", "/api/balance"): Operation("Credits", Right.READ_MONEY, ref("Balance")),
    ("GET", "/api/ledger"): Operation(
        "Movements of the balance, the newest first", Right.READ_MONEY, page("LedgerEntry")
    ),
    ("GET", "/api/usage"): Operation("Aggregates of usage and cost", Right.READ_MONEY, USAGE, media=("text/csv",)),
    ("GET", "/api/statements"): Operation(
        "A month's credits and use; as JSON, a table, or FOCUS's columns",
        Right.READ_MONEY,
        STATEMENT,
        media=("text/csv",),
    ),
    ("GET", "/api/statements/months"): Operation(
        "The months that there are statements of", Right.READ_MONEY, page("StatementMonth")
    ),
    ("GET", "/api/activity"): Operation("Attempts, the newest first", Right.READ_ACTIVITY, page("Attempt")),
}
