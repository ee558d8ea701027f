"""What answers say of credentials: provider keys, pools, sharing, admin credentials, KMS keys."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.catalog import ValidationStatus
from ownkey.domain.cards import CardStatus
from ownkey.domain.faults import FaultKind
from ownkey.domain.pricing import PricingMode
from ownkey.domain.rewraps import JobState
from ownkey.domain.sharing import Hindrance
from ownkey.domain.surfaces import Surface
from ownkey.validation import Verdict
from tools.openapi.schemas.forms import (
    BOOLEAN,
    COUNT,
    DATE,
    INTEGER,
    REQUEST,
    STRATEGY,
    STRING,
    STRINGS,
    TEXTS,
    TIME,
    USD,
    Schema,
    nullable,
    one_of,
    record,
    ref,
    several,
)

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
                "disable": REQUEST,
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

SCHEMAS: Mapping[str, Schema] = {
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
    "CatalogState": record(
        "The catalog of providers and prices that the deployment has.",
        {
            "version": STRING,
            "as_of": DATE,
            "stale_after": DATE,
            "stale": {**BOOLEAN, "description": "The prices are too old to be relied on: deploy a newer version."},
            "providers": COUNT,
        },
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
            "strategy": STRATEGY,
            "credentials": several(
                record(
                    "",
                    {"id": STRING, "alias": STRING, "priority": INTEGER, "weight": INTEGER, "disabled": BOOLEAN},
                )
            ),
        },
    ),
    "AdminCredential": record("What reads a provider's report: everything but the secret.", _ADMIN_CREDENTIAL),
    "SavedAdminCredential": record(
        "The same, and what its owner should know.", _ADMIN_CREDENTIAL | {"warnings": STRINGS}
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
    "CredentialExport": record("All of an account's provider keys.", {"data": several(ref("Credential"))}),
}
