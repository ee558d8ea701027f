"""OpenAI's workload identity federation.

Sources: openai-python 3.52, `openai/auth/_workload.py`; developers.openai.com, "Workload identity token exchange".
The token lives an hour at most, and never longer than the identity token it was exchanged for.
"""

from __future__ import annotations

from ownkey.providers.exchanges.grant import Exchange, Grant, TokenRequest

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
_SUBJECT_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105 - a type, no token


def _encode(grant: Grant) -> TokenRequest:
    assert grant.identity is not None
    return TokenRequest.of_json(
        grant.token_url,
        {
            "grant_type": _GRANT_TYPE,
            "subject_token": grant.identity.reveal(),
            "subject_token_type": _SUBJECT_TOKEN_TYPE,
            "identity_provider_id": grant.public["identity_provider_id"],
            "service_account_id": grant.public["service_account_id"],
        },
    )


OPENAI = Exchange("OpenAI", _encode, audience="https://api.openai.com/v1")
