"""Answers to web pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol).

A preflight carries no gateway key, so it is answered alike for every origin. It is the answer itself that says whether
the page may read it: only where the gateway key names the page's origin. There are no cookies here to be misused.
"""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.domain.gateway_keys import GatewayKey

_PREFLIGHT_KEPT_S = 7_200


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks ahead of a request. `headers` are by name in lower case."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(methods: str) -> dict[str, str]:
    """What any page may ask of a route that has these methods (`GET, HEAD`)."""
    return {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": methods,
        # The wildcard stands for all headers but this one.
        "access-control-allow-headers": "authorization, *",
        "access-control-max-age": str(_PREFLIGHT_KEPT_S),
    }


def sharing_headers(key: GatewayKey, origin: str | None) -> dict[str, str]:
    """What lets a page of this origin read the answer, where the gateway key names it; else nothing."""
    if origin is None or key.origins is None or origin not in key.origins:
        return {}
    return {"access-control-allow-origin": origin, "access-control-expose-headers": "*"}
