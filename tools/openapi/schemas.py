"""What the management API answers with, as JSON Schema (2020-12, OpenAPI 3.1). The code's side of it is `views`.

Every field is always there; one without a value is null. A test compares every answer with these, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import ValidationStatus
from ownkey.domain.accounts import OnDisconnect, Role
from ownkey.domain.audit import TARGETS, ActorKind, AuditOutcome
from ownkey.domain.cards import CardStatus
from ownkey.domain.credentials import PoolStrategy
from ownkey.domain.health import FaultKind
from ownkey.domain.ledger import Cause, DepositKind, MovementKind
from ownkey.domain.limits import LimitScope, Measure, Window
from ownkey.domain.pricing import PricingMode
from ownkey.domain.reconciliation import Explanation, RunState
from ownkey.domain.rewraps import JobState
from ownkey.domain.savings import SAVINGS_PARTS
from ownkey.domain.sharing import Hindrance
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import USAGE_BUCKETS, UsageSource
from ownkey.ledger.exports import LINES
from ownkey.ledger.rollups import Dimension
from ownkey.validation import Verdict

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC."}
USD: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$", "description": "Dollars, exact."}
DATE: Schema = {"type": "string", "format": "date"}
STRINGS: Schema = {"type": "array", "items": STRING}
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if "$ref" in schema or "enum" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def one_of(values: Any) -> Schema:
    """One of a few words."""
    return {"type": "string", "enum": [str(value) for value in values]}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def several(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def record(description: str, properties: Mapping[str, Schema], *, sometimes: tuple[str, ...] = ()) -> Schema:
    """An object whose fields are all there, but for those that are there `sometimes`."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": dict(properties),
        "required": [name for name in properties if name not in sometimes],
    }


def page(name: str, **more: Schema) -> Schema:
    """A page of a list, and what else is said of it."""
    fields = {"data": several(ref(name)), "next_cursor": nullable(STRING), **more}
    return record("A page: `next_cursor`, sent as `cursor`, continues it; null at the end.", fields)


_AMOUNT: Schema = {"type": ["integer", "string"]}
_ROLE = one_of(Role)
_STRATEGY = one_of(PoolStrategy)
_ON_DISCONNECT = one_of(OnDisconnect)
_VALIDATION = one_of(each.value for each in ValidationStatus)

_STATUS = {
    "status": one_of(each.value for each in CardStatus),
    "status_until": {**nullable(TIME), "description": "When it is tried again by itself."},
    "status_code": nullable(one_of(each.value for each in FaultKind)),
    "status_reason": {**nullable(STRING), "description": "In the provider's words, without secrets."},
}
_CREDENTIAL_VERSION = {
    "version": INTEGER,
    "mask": STRING,
    **_STATUS,
    "created_at": TIME,
    "share_percent": INTEGER,
    "last_used_at": nullable(TIME),
}
_AMOUNTS: Schema = {"type": "object", "additionalProperties": STRING, "description": "USD, as decimal strings."}
_PRICING = record(
    "The price list that its provider bills it by, as docs/pricing.md has it.",
    {
        "mode": one_of(PricingMode),
        "percent": STRING,
        "models": several(record("", {"model": STRING, "rates": _AMOUNTS, "fees": _AMOUNTS})),
    },
    sometimes=("percent", "models"),
)
_REQUEST = record("A request to send.", {"method": STRING, "path": STRING, "body": {"type": "object"}})
_CREDENTIAL = {
    "id": STRING,
    "provider": STRING,
    "provider_name": STRING,
    "alias": STRING,
    "mask": STRING,
    **_STATUS,
    "status_models": {**nullable(STRINGS), "description": "The only models that the status is of; null: all."},
    "provider_failing_until": nullable(TIME),
    "unexplained_spend": nullable(
        record(
            "Spend at the provider that no record explains: perhaps somebody else has the key.",
            {
                "amount_usd": USD,
                "from": DATE,
                "to": DATE,
                "reconciliation_id": STRING,
                "found_at": TIME,
                "disable": _REQUEST,
            },
        )
    ),
    "validation": _VALIDATION,
    "version": INTEGER,
    "versions": several(record("One version of the secret.", _CREDENTIAL_VERSION)),
    "form": STRING,
    "keyless": BOOLEAN,
    "fields": TEXTS,
    "base_url": STRING,
    "custom_base_url": BOOLEAN,
    "organization": nullable(STRING),
    "project": nullable(STRING),
    "priority": INTEGER,
    "weight": INTEGER,
    "allowed_models": nullable(STRINGS),
    "gateway_keys": nullable(STRINGS),
    "disabled": BOOLEAN,
    "always_use": BOOLEAN,
    "shared": {**BOOLEAN, "description": "Whether it is to serve other accounts: `/api/sharing` says whether it does."},
    "pricing": _PRICING,
    "created_at": TIME,
    "updated_at": TIME,
    "validated_at": nullable(TIME),
    "expires_at": nullable(TIME),
    "last_used_at": nullable(TIME),
}
_ADMIN_CREDENTIAL = {
    "id": STRING,
    "provider": STRING,
    "provider_name": STRING,
    "mask": STRING,
    "version": INTEGER,
    "form": STRING,
    "fields": TEXTS,
    "base_url": STRING,
    "created_at": TIME,
    "updated_at": TIME,
    "validated_at": nullable(TIME),
}
_SIDES = {
    "recorded_usd": USD,
    "reported_usd": USD,
    "recorded_tokens": COUNT,
    "reported_tokens": COUNT,
    "recorded_requests": COUNT,
    "reported_requests": COUNT,
}
_GATEWAY_KEY = {
    "id": STRING,
    "alias": STRING,
    "mask": STRING,
    "status": one_of(("active", "expired", "revoked")),
    "created_at": TIME,
    "created_by": STRING,
    "updated_at": TIME,
    "expires_at": nullable(TIME),
    "revoked_at": nullable(TIME),
    "last_used_at": nullable(TIME),
    "usage_cost_mode": one_of(("charge", "provider")),
    "models": nullable(STRINGS),
    "providers": nullable(STRINGS),
    "surfaces": nullable(several(one_of(Surface))),
    "addresses": nullable(STRINGS),
    "origins": nullable(STRINGS),
    "restricted_by": nullable(STRING),
    "previous": nullable(
        record(
            "The secret that the last rotation replaced.",
            {
                "mask": STRING,
                "status": one_of(("active", "ended")),
                "expires_at": nullable(TIME),
                "last_used_at": nullable(TIME),
            },
        )
    ),
}
_SHOWN_KEY: Schema = {**STRING, "description": "The gateway key itself: shown this once, and kept nowhere."}

_USAGE = {"input_tokens": COUNT, "output_tokens": COUNT, **dict.fromkeys(USAGE_BUCKETS, COUNT)}
_USAGE_SCHEMA = record("Tokens: the sums, and every bucket that is not zero.", _USAGE, sometimes=USAGE_BUCKETS)

_SAVINGS: dict[str, Schema] = {
    "baseline_usd": {**USD, "description": "What was paid and what was saved: docs/savings.md."},
    "saved_usd": {**USD, "description": "The sum of what saved it."},
    **dict.fromkeys((f"saved_{part}_usd" for part in SAVINGS_PARTS), USD),
}
_AGGREGATE = {
    "requests": COUNT,
    "attempts": COUNT,
    "succeeded": COUNT,
    "failed": COUNT,
    "byok_attempts": COUNT,
    "platform_attempts": COUNT,
    "unpriced_attempts": COUNT,
    "estimated_attempts": COUNT,
    "late_attempts": {**COUNT, "description": "Of an earlier month, billed in this one."},
    "latency_ms": COUNT,
    "cost_byok_usd": USD,
    "cost_platform_usd": USD,
    "charge_usd": USD,
    "late_charge_usd": USD,
    **_SAVINGS,
    "usage": _USAGE_SCHEMA,
}

USAGE = page(
    "UsageRow",
    totals=record("The sum of the rows of this page.", _AGGREGATE),
    dimension=one_of(each.value for each in Dimension),
    granularity=one_of(("month", "day", "hour")),
    **{"from": DATE, "to": DATE},
)

_STATEMENT_MONTH = {
    "month": {**STRING, "description": "`2026-11`, UTC."},
    "status": {**one_of(("open", "closed")), "description": "`closed`: it can no longer change."},
    "closes_at": TIME,
    "opening_usd": USD,
    "closing_usd": USD,
}
STATEMENT = page(
    "StatementLine",
    totals=record("All that was used in the month.", _AGGREGATE),
    movements=several(
        record(
            "All movements of one kind.",
            {
                "kind": one_of(each.value for each in MovementKind),
                "count": COUNT,
                "amount_usd": USD,
                "available_usd": USD,
                "held_usd": USD,
            },
        )
    ),
    overrun_usd=USD,
    **_STATEMENT_MONTH,
)

_TARGET: dict[str, Schema] = dict.fromkeys(TARGETS, STRING) | {"version": INTEGER}

COMPONENTS: Mapping[str, Schema] = {
    "Error": record(
        "What every refusal and every failure looks like.",
        {
            "error": record(
                "",
                {
                    "message": {**STRING, "description": "What happened, then what to do about it."},
                    "type": STRING,
                    "param": {**nullable(STRING), "description": "The field or parameter that is wrong."},
                    "code": {**STRING, "description": "Stable: what a program goes by."},
                    "metadata": {
                        **record("", {"source": one_of(("gateway", "provider")), "fix": STRING, "request_id": STRING}),
                        "additionalProperties": True,
                    },
                },
            )
        },
    ),
    "Credential": record("A provider key: everything but the key.", _CREDENTIAL),
    "SavedCredential": record("A provider key, and what its owner should know.", _CREDENTIAL | {"warnings": STRINGS}),
    "Finding": record(
        "What a validation found.",
        {
            "verdict": one_of(each.value for each in Verdict),
            "reason": nullable(STRING),
            "fix": nullable(STRING),
            "provider_status": nullable(INTEGER),
            "credential": ref("Credential"),
        },
    ),
    "ProviderKeys": record(
        "The provider keys of one gateway key, masked, by the provider's name.",
        {"id": STRING, "alias": STRING, "providerKeys": TEXTS, "warnings": STRINGS},
    ),
    "Provider": record(
        "A provider that credentials can be saved for.",
        {
            "id": STRING,
            "name": STRING,
            "aliases": STRINGS,
            "kind": STRING,
            "base_url": nullable(STRING),
            "key_url": nullable(STRING),
            "key_prefixes": STRINGS,
            "validation": _VALIDATION,
            "surfaces": several(one_of(Surface)),
            "settings": STRINGS,
            "forms": several(
                record(
                    "A way to give a credential.",
                    {
                        "id": STRING,
                        "label": STRING,
                        "keyless": BOOLEAN,
                        "available": BOOLEAN,
                        "validation": _VALIDATION,
                        "takes_base_url": BOOLEAN,
                        "fields": several(
                            record(
                                "A part of it; `name` is the body's member, `a.b` a member of a member.",
                                {
                                    "name": STRING,
                                    "label": STRING,
                                    "secret": BOOLEAN,
                                    "required": BOOLEAN,
                                    "default": nullable(STRING),
                                    "choices": nullable(STRINGS),
                                    "pattern": nullable(STRING),
                                    "example": nullable(STRING),
                                    "help": nullable(STRING),
                                },
                            )
                        ),
                    },
                )
            ),
        },
    ),
    "Sharing": record(
        "The deployment's terms for sharing credentials, and what the account says and does.",
        {
            "providers": several(record("", {"id": STRING, "name": STRING})),
            "reward_basis_points": {**COUNT, "description": "Of a request's cost; 100 are 1 %."},
            "consent_text": record("As it is now.", {"version": STRING, "digest": STRING, "text": STRING}),
            "consent": nullable(
                record(
                    "The account's; null: none.",
                    {
                        "version": STRING,
                        "digest": STRING,
                        "given_by": STRING,
                        "given_at": TIME,
                        "outdated": {**BOOLEAN, "description": "The text has changed: nothing is shared."},
                    },
                )
            ),
            "credentials": several(
                record(
                    "",
                    {
                        "id": STRING,
                        "alias": STRING,
                        "provider": STRING,
                        "shared": BOOLEAN,
                        "serves": {**BOOLEAN, "description": "Other accounts, as far as its health allows."},
                        "hindrance": {**nullable(one_of(Hindrance)), "description": "Why it does not."},
                    },
                )
            ),
        },
    ),
    "Reward": record(
        "Credits for a request of another account on a shared credential.",
        {
            "id": STRING,
            "provider": STRING,
            "model": STRING,
            "amount_usd": USD,
            "earned_at": {**TIME, "description": "The hour, RFC 3339, UTC."},
            "state": one_of(("requested", "billed")),
        },
    ),
    "Pool": record(
        "An account's credentials for one provider, and in which order they serve.",
        {
            "provider": STRING,
            "provider_name": STRING,
            "strategy": _STRATEGY,
            "credentials": several(
                record(
                    "",
                    {"id": STRING, "alias": STRING, "priority": INTEGER, "weight": INTEGER, "disabled": BOOLEAN},
                )
            ),
        },
    ),
    "Limit": record(
        "A budget or a rate limit. Amounts of spend are decimal strings of dollars, all others numbers.",
        {
            "id": STRING,
            "scope": one_of(LimitScope),
            "value": nullable(STRING),
            "measure": one_of(Measure),
            "window": one_of(Window),
            "amount": _AMOUNT,
            "include_byok": BOOLEAN,
            "hard": BOOLEAN,
            "alerts": several(INTEGER),
            "created_at": TIME,
            "created_by": STRING,
            "updated_at": TIME,
            "current": record(
                "The period under way.",
                {"used": _AMOUNT, "reserved": _AMOUNT, "remaining": _AMOUNT, "resets_at": nullable(TIME)},
            ),
        },
    ),
    "AdminCredential": record("What reads a provider's report: everything but the secret.", _ADMIN_CREDENTIAL),
    "SavedAdminCredential": record(
        "The same, and what its owner should know.", _ADMIN_CREDENTIAL | {"warnings": STRINGS}
    ),
    "Reconciliation": record(
        "What was recorded against what the provider reports, summed over its days.",
        {
            "id": STRING,
            "provider": STRING,
            "from": DATE,
            "to": DATE,
            "state": one_of(each.value for each in RunState),
            "reason": {**nullable(STRING), "description": "Why it waits, or failed."},
            "recorded_usd": USD,
            "reported_usd": USD,
            "charged_usd": {**nullable(USD), "description": "The provider's bill for these days, whoever spent it."},
            "explained_usd": USD,
            "unexplained_usd": USD,
            "not_known_to_ownkey_usd": {**USD, "description": "Of API keys that no credential is matched to."},
            "ambiguous_api_keys": {
                **STRINGS,
                "description": "They may be more than one credential: compared with none.",
            },
            "leaks": several(
                record(
                    "A credential with more than the account puts up with.",
                    {"credential_id": STRING, "disable": _REQUEST},
                )
            ),
            "started_by": STRING,
            "started_at": TIME,
            "updated_at": TIME,
        },
    ),
    "ReconciliationRow": record(
        "One day of one credential, or of an API key of the provider that is not known to Ownkey.",
        {
            "day": DATE,
            "credential_id": nullable(STRING),
            "api_key_ids": STRINGS,
            "known_to_ownkey": BOOLEAN,
            "ambiguous": BOOLEAN,
            "final": {**BOOLEAN, "description": "Whether the provider's report of the day changes no more."},
            "recorded_usd": USD,
            "charged_usd": nullable(USD),
            "variance_usd": USD,
            "explained": record(
                "How much of the variance each reason carries.",
                {each.value: USD for each in Explanation},
                sometimes=tuple(each.value for each in Explanation),
            ),
            "unexplained_usd": {**USD, "description": "Above 0: spend that no record explains."},
            "unpriced_surplus": BOOLEAN,
            "models": several(record("", {"model": nullable(STRING), **_SIDES, "priced": BOOLEAN})),
        },
    ),
    "LeakSettings": record(
        "What is done about spend that no record explains.",
        {"leak_threshold_usd": USD, "disable_credential": BOOLEAN},
    ),
    "GatewayKey": record("A gateway key: everything but the key.", _GATEWAY_KEY),
    "NewGatewayKey": record(
        "A gateway key that was made or rotated.",
        _GATEWAY_KEY | {"key": _SHOWN_KEY, "warnings": STRINGS},
        sometimes=("key", "warnings"),
    ),
    "Account": record(
        "An account as the caller sees it.",
        {
            "id": STRING,
            "name": STRING,
            "role": {**nullable(_ROLE), "description": "The caller's; null: as the operator."},
            "created_at": TIME,
            "disabled": BOOLEAN,
            "platform_allowed": BOOLEAN,
            "on_disconnect": _ON_DISCONNECT,
        },
    ),
    "Settings": record(
        "What an account's requests go by.",
        {
            "account_id": STRING,
            "platform_allowed": BOOLEAN,
            "on_disconnect": _ON_DISCONNECT,
            "disabled": BOOLEAN,
            "pools": {"type": "object", "additionalProperties": _STRATEGY},
            "kms_key_arn": nullable(STRING),
            "deployment": record(
                "What the stack's parameters allow.",
                {"imported_gateway_keys": BOOLEAN, "keyless_credentials": BOOLEAN},
            ),
        },
    ),
    "Me": record(
        "Who calls.",
        {
            "user_id": STRING,
            "email": STRING,
            "operator": BOOLEAN,
            "accounts": several(record("", {"id": STRING, "name": STRING, "role": _ROLE})),
        },
    ),
    "Member": record("A person in an account.", {"user_id": STRING, "email": STRING, "role": _ROLE, "added_at": TIME}),
    "Invitation": record(
        "An open invitation, as the account sees it.",
        {
            "id": STRING,
            "email": STRING,
            "role": _ROLE,
            "invited_by": STRING,
            "invited_at": TIME,
            "expires_at": TIME,
        },
    ),
    "ReceivedInvitation": record(
        "An open invitation, as whoever is invited sees it.",
        {
            "id": STRING,
            "account_id": STRING,
            "account_name": STRING,
            "role": _ROLE,
            "invited_at": TIME,
            "expires_at": TIME,
        },
    ),
    "Deposit": record(
        "Credits that are given, or taken back by a correction.",
        {
            "id": STRING,
            "kind": one_of(each.value for each in DepositKind),
            "amount_usd": USD,
            "moved_usd": nullable(USD),
            "note": nullable(STRING),
            "payment": nullable(
                record(
                    "Of a payment.",
                    dict.fromkeys(("provider", "payment_id", "payment_intent", "event_id"), nullable(STRING)),
                )
            ),
            "state": one_of(("requested", "billed", "refused")),
            "requested_by": STRING,
            "requested_at": TIME,
            "billed_at": nullable(TIME),
        },
    ),
    "KmsKey": record(
        "The KMS key that the account's secrets are wrapped under; null: the deployment's.",
        {"kms_key_arn": nullable(STRING), "rewrap": nullable(ref("RewrapJob"))},
    ),
    "RewrapJob": record(
        "A re-wrapping and how far it is.",
        {
            "id": STRING,
            "account": nullable(STRING),
            "state": one_of(each.value for each in JobState),
            "total": nullable(COUNT),
            "done": COUNT,
            "skipped": COUNT,
            "failed": COUNT,
            "failures": several(
                record("", {"account": STRING, "credential_id": STRING, "version": INTEGER, "reason": STRING})
            ),
            "started_by": STRING,
            "started_at": TIME,
            "updated_at": TIME,
        },
    ),
    "Shredded": record("What can never be opened again.", {"id": STRING, "shredded": STRINGS}),
    "Deleted": record("What is gone.", {"id": STRING, "deleted": {"const": True}}),
    "RemovedMember": record("Who is gone.", {"user_id": STRING, "deleted": {"const": True}}),
    "AuditEntry": record(
        "Who did what, to what, from where, and what came of it.",
        {
            "id": STRING,
            "at": TIME,
            "actor_kind": one_of(ActorKind),
            "actor_id": STRING,
            "action": STRING,
            "outcome": one_of(AuditOutcome),
            "status": nullable(INTEGER),
            "error_code": nullable(STRING),
            "target": record("What was acted on.", _TARGET, sometimes=TARGETS),
            "details": {"type": "object", "additionalProperties": True},
            "source_ip": nullable(STRING),
            "user_agent": nullable(STRING),
            "request_id": nullable(STRING),
        },
    ),
    "Balance": record("Credits.", {"available_usd": USD, "held_usd": USD, "total_usd": USD}),
    "LedgerEntry": record(
        "A movement of the balance.",
        {
            "id": STRING,
            "kind": one_of(each.value for each in MovementKind),
            "amount_usd": USD,
            "available_usd": USD,
            "held_usd": USD,
            "overrun_usd": USD,
            "cause": one_of(each.value for each in Cause),
            "cause_id": STRING,
            "at": STRING,
        },
    ),
    "UsageRow": record("An aggregate.", {"time": STRING, "value": STRING, **_AGGREGATE, "last_at": nullable(STRING)}),
    "StatementMonth": record("A month.", _STATEMENT_MONTH),
    "StatementLine": record(
        "What was used under one value of a dimension.",
        {"dimension": one_of(LINES), "value": STRING, **_AGGREGATE, "last_at": nullable(STRING)},
    ),
    "Attempt": record(
        "One use of one credential; what is known only at its end is null until then.",
        {
            "request_id": STRING,
            "attempt": COUNT,
            "state": one_of(("started", "ended")),
            "surface": STRING,
            "streamed": BOOLEAN,
            "requested_model": STRING,
            "provider": STRING,
            "model": STRING,
            "source": one_of(("byok", "platform")),
            "credential_id": STRING,
            "credential_version": INTEGER,
            "credential_alias": STRING,
            "gateway_key_id": STRING,
            "app": nullable(STRING),
            "app_title": nullable(STRING),
            "user": nullable(STRING),
            "tags": STRINGS,
            "started_at": STRING,
            "ended_at": nullable(STRING),
            "outcome": nullable(STRING),
            "status": nullable(INTEGER),
            "error_code": nullable(STRING),
            "finish_reason": nullable(STRING),
            "upstream_id": nullable(STRING),
            "response_model": nullable(STRING),
            "latency_ms": nullable(COUNT),
            "ttft_ms": nullable(COUNT),
            "usage": nullable(_USAGE_SCHEMA),
            "usage_source": nullable(one_of(each.value for each in UsageSource)),
            "price_version": nullable(STRING),
            "cost_usd": nullable(USD),
            "charge_usd": nullable(USD),
            "savings": nullable(record("Against the baseline; null until it has ended.", _SAVINGS)),
            "billed_at": nullable(STRING),
        },
    ),
    "CredentialExport": record("All of an account's provider keys.", {"data": several(ref("Credential"))}),
    "OpenApi": {"type": "object", "description": "This document.", "additionalProperties": True},
}
