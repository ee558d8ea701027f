"""Bodies of `/api/gateway-keys`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from ownkey.domain import scopes
from ownkey.domain.surfaces import Surface
from ownkey.http.management.bodies.common import ABSENT, Alias, Body, Expiry, Ids, Key, printable, scope

MAX_OVERLAP_HOURS = 720
"""Of a rotation: 30 days."""
DEFAULT_OVERLAP_HOURS = 24

_MAX_ORIGINS = 50


def _network(text: str) -> str:
    try:
        return scopes.network(text)
    except ValueError:
        # `from None`: the cause quotes what was sent.
        raise ValueError("must be an IPv4 or IPv6 address, or a network such as 203.0.113.0/24") from None


def _origin(text: str) -> str:
    try:
        return scopes.origin(text)
    except ValueError:
        raise ValueError("must be an origin such as https://app.example or http://localhost:5173") from None


ModelPattern = Annotated[Ids, AfterValidator(scopes.model_pattern)]
ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(printable)]
SurfaceName = Annotated[Surface, Field(strict=False)]
Network = Annotated[str, StringConstraints(max_length=64), AfterValidator(_network)]
Origin = Annotated[str, StringConstraints(max_length=300), AfterValidator(_origin)]


class GatewayKeyScope(Body):
    """What a gateway key may be used for, and from where. Null: everything; an empty list is refused."""

    models: Annotated[list[ModelPattern], Field(max_length=200), AfterValidator(scope("models"))] | None = None
    providers: Annotated[list[ProviderName], Field(max_length=100), AfterValidator(scope("providers"))] | None = None
    surfaces: Annotated[list[SurfaceName], Field(max_length=20), AfterValidator(scope("surfaces"))] | None = None
    addresses: (
        Annotated[list[Network], Field(max_length=scopes.MAX_ADDRESSES), AfterValidator(scope("addresses"))] | None
    ) = None
    origins: Annotated[list[Origin], Field(max_length=_MAX_ORIGINS), AfterValidator(scope("origins"))] | None = None

    def given_scope(self) -> dict[str, Any]:
        """The parts of the scope that the body names, as `GatewayKey` has them; providers are names still."""
        named = {name: getattr(self, name) for name in _SCOPE & self.model_fields_set}
        return {name: None if values is None else tuple(map(str, values)) for name, values in named.items()}


_SCOPE = frozenset(GatewayKeyScope.model_fields)


class CreateGatewayKey(GatewayKeyScope):
    """`POST /api/gateway-keys`."""

    alias: Alias = "default"
    expires_at: Expiry | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    usage_cost_mode: Literal["charge", "provider"] = "charge"
    key: Key | None = None
    """A key from another gateway, to be taken over as it is (where the deployment allows it)."""


class UpdateGatewayKey(GatewayKeyScope):
    """`PATCH /api/gateway-keys/{id}`."""

    alias: Alias = ABSENT
    expires_at: Expiry | None = None
    usage_cost_mode: Literal["charge", "provider"] = ABSENT

    def given(self) -> dict[str, Any]:
        """What the body names, as `GatewayKey` has it; providers are names still."""
        plain = {name: getattr(self, name) for name in self.model_fields_set - _SCOPE}
        return plain | self.given_scope()


class RotateGatewayKey(Body):
    """`POST /api/gateway-keys/{id}/rotate`."""

    overlap_hours: Annotated[int, Field(ge=0, le=MAX_OVERLAP_HOURS)] = DEFAULT_OVERLAP_HOURS
    """How long the secret before goes on. 0: it ends at once."""
