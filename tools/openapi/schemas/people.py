"""What answers say of accounts: their people, settings, gateway keys and log."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.accounts import OnDisconnect, Role
from ownkey.domain.audit import TARGETS, ActorKind, AuditOutcome
from ownkey.domain.surfaces import Surface
from tools.openapi.schemas.forms import (
    BOOLEAN,
    INTEGER,
    STRATEGY,
    STRING,
    STRINGS,
    TIME,
    Schema,
    nullable,
    one_of,
    record,
    several,
)

_ROLE = one_of(Role)
_ON_DISCONNECT = one_of(OnDisconnect)
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
_TARGET: dict[str, Schema] = dict.fromkeys(TARGETS, STRING) | {"version": INTEGER}

SCHEMAS: Mapping[str, Schema] = {
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
            "pools": {"type": "object", "additionalProperties": STRATEGY},
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
}
