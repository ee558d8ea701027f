"""A gateway key's scope on a request: where it comes from, and which endpoint it calls.

Looked at right behind authentication, on one path for all routes: nothing that a key does not allow depends on the
header it came in, or on the route's prefix. Models and providers are looked at in the plan, where it is known which
provider would serve.
"""

from __future__ import annotations

from typing import Any

from ownkey.domain.errors import AddressNotAllowed, OriginNotAllowed, SurfaceNotAllowed
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.scopes import admits_address
from ownkey.domain.surfaces import Surface

PARTS = ("models", "providers", "surfaces", "addresses", "origins")
"""A scope's members."""


def check_caller(key: GatewayKey, *, address: str | None, origin: str | None) -> None:
    """Whether the key may be used from there.

    Args:
        address: Whose connection API Gateway took; nothing that a header says.
        origin: The request's `Origin`: of the web page that sends it. None: no browser does.

    Raises:
        AddressNotAllowed, OriginNotAllowed.
    """
    if key.addresses is not None and not admits_address(key.addresses, address):
        raise AddressNotAllowed(f"This gateway key may not be used from {address or 'an unknown address'}.")
    if key.origins is not None and origin is not None and origin not in key.origins:
        raise OriginNotAllowed("This gateway key may not be used from a page of this origin.")


def check_surface(key: GatewayKey, surface: Surface) -> None:
    """Whether the key may call the endpoint.

    Raises:
        SurfaceNotAllowed: and what it may call.
    """
    if key.surfaces is not None and surface not in key.surfaces:
        raise SurfaceNotAllowed(
            f"This gateway key may not call the surface {surface}: its scope has {', '.join(key.surfaces)}.",
            details={"scope": {"surfaces": list(key.surfaces)}},
        )


def scope_of(key: GatewayKey) -> dict[str, Any]:
    """The scope as people see it; null is everything."""
    values = {name: getattr(key, name) for name in PARTS}
    return {name: None if value is None else list(value) for name, value in values.items()}
