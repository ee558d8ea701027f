"""The gateway key a request presents: `Authorization: Bearer`, or `x-api-key` as older Anthropic clients send it."""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.errors import InvalidGatewayKey, MissingGatewayKey
from ownkey.domain.gateway_keys import PresentedKey, present
from ownkey.domain.secrets import Secret


def presented_key(headers: Mapping[str, str], *, allow_foreign: bool) -> PresentedKey:
    """The key in the headers, checked as far as that goes without asking anybody.

    Args:
        headers: By name in lower case.
        allow_foreign: Whether keys of another gateway's format may have been imported here.

    Raises:
        MissingGatewayKey: there is none.
        InvalidGatewayKey: it cannot be one, or two different ones are given.
    """
    key = _given(headers)
    presented = present(key, allow_foreign=allow_foreign)
    if presented is None:
        raise InvalidGatewayKey("What was presented is not an Ownkey gateway key.")
    return presented


def presented_secret(headers: Mapping[str, str]) -> Secret:
    """The key itself, of a request that was let in."""
    return Secret(_given(headers))


def _given(headers: Mapping[str, str]) -> str:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = {bearer.strip()} if scheme.lower() == "bearer" else set()
    given = {key for key in (*given, headers.get("x-api-key", "").strip()) if key}
    if not given:
        raise MissingGatewayKey("The request has no gateway key.")
    if len(given) > 1:
        raise InvalidGatewayKey(
            "The request presents two different keys.", fix="Send one: `Authorization: Bearer …` or `x-api-key: …`."
        )
    return given.pop()
