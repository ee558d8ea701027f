"""`GET /api/byok/export`: what there is to know of an account's provider keys, in one file; never a key."""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.http.management.access import Access, Right
from ownkey.http.management.cards import Cards
from ownkey.http.management.credentials import CredentialDesk
from ownkey.http.management.views.tables import csv_table

COLUMNS = (
    "id",
    "provider",
    "provider_name",
    "alias",
    "form",
    "mask",
    "status",
    "status_until",
    "status_reason",
    "validation",
    "version",
    "previous_version",
    "previous_share_percent",
    "fields",
    "base_url",
    "organization",
    "project",
    "priority",
    "weight",
    "allowed_models",
    "gateway_keys",
    "disabled",
    "always_use",
    "keyless",
    "created_at",
    "updated_at",
    "validated_at",
    "last_used_at",
    "expires_at",
)
"""Of the CSV file. The JSON file has credentials as the API shows them."""

_MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}


def routes(access: Access, desk: CredentialDesk, cards: Cards) -> APIRouter:
    """The endpoint."""
    router = APIRouter(prefix="/api/byok")

    @router.get("/export")
    async def export_credentials(request: Request, format: Literal["json", "csv"] = "json") -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS)
        rows = await cards.of(caller.account_id, await desk.credentials(caller.account_id))
        text = csv_table(COLUMNS, map(_flat, rows)) if format == "csv" else json.dumps({"data": rows}, indent=2)
        headers = {"Content-Disposition": f'attachment; filename="provider-keys.{format}"'}
        return Response(text, media_type=_MEDIA_TYPES[format], headers=headers)

    return router


def _flat(view: dict[str, Any]) -> dict[str, Any]:
    """One line: the previous version, where there is one, in columns of its own."""
    _, *previous = view["versions"]
    kept = previous[0] if previous else {"version": None, "share_percent": None}
    return {**view, "previous_version": kept["version"], "previous_share_percent": kept["share_percent"]}
