"""Anthropic's workload identity federation.

Sources: anthropic-sdk-python 2.11, `anthropic/lib/credentials/_workload.py`, `_constants.py`. The token lives as long
as the rule says, at most twice the identity token's remaining life; each identity token is taken once (its `jti`).
"""

from __future__ import annotations

from ownkey.providers.exchanges.grant import Exchange, Grant, TokenRequest

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_BETAS = "oauth-2025-04-20,oidc-federation-2026-04-01"
_OPTIONAL = ("service_account_id", "workspace_id")


def _encode(grant: Grant) -> TokenRequest:
    assert grant.identity is not None
    public = grant.public
    return TokenRequest.of_json(
        grant.token_url,
        {
            "grant_type": _GRANT_TYPE,
            "assertion": grant.identity.reveal(),
            "federation_rule_id": public["federation_rule_id"],
            "organization_id": public["organization_id"],
            **{name: public[name] for name in _OPTIONAL if public.get(name)},
        },
        {"anthropic-beta": _BETAS},
    )


ANTHROPIC = Exchange("Anthropic", _encode, audience="https://api.anthropic.com")
