"""Bodies of `/api/gateway-keys`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ownkey.http.management.bodies.common import ABSENT, Alias, Body, Expiry, Key


class CreateGatewayKey(Body):
    """`POST /api/gateway-keys`."""

    alias: Alias = "default"
    expires_at: Expiry | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    usage_cost_mode: Literal["charge", "provider"] = "charge"
    key: Key | None = None
    """A key from another gateway, to be taken over as it is (where the deployment allows it)."""


class UpdateGatewayKey(Body):
    """`PATCH /api/gateway-keys/{id}`."""

    alias: Alias = ABSENT
    expires_at: Expiry | None = None
    usage_cost_mode: Literal["charge", "provider"] = ABSENT
