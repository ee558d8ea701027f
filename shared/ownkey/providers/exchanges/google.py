"""Google's access tokens for a service account's key.

Sources: RFC 7523; google-auth-library-python, `google/oauth2/service_account.py` and `_client.py`. A key file names a
`token_uri` of its own: it is not read, here or anywhere, since whoever wrote the file could send the proof elsewhere.
"""

from __future__ import annotations

from urllib.parse import urlencode

from ownkey.domain.errors import CredentialsExhausted
from ownkey.providers.exchanges.grant import Exchange, Grant, TokenRequest

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ASSERTION_S = 3_600
"""The longest Google takes; the token it gives lives as long."""


def _encode(grant: Grant) -> TokenRequest:
    body = urlencode({"grant_type": _GRANT_TYPE, "assertion": _assertion(grant)})
    return TokenRequest.of_form(grant.token_url, body)


def _assertion(grant: Grant) -> str:
    from jwt import PyJWTError, encode  # 80 ms to import, for those alone who have such a credential

    issuer = grant.public["client_email"]
    issued_at = int(grant.now_s)
    claims = {
        "iss": issuer,
        "sub": issuer,
        "aud": _AUDIENCE,
        "scope": _SCOPE,
        "iat": issued_at,
        "exp": issued_at + _ASSERTION_S,
    }
    key_id = grant.secret.get("private_key_id")
    headers = {"kid": key_id.reveal()} if key_id else None
    try:
        return encode(claims, grant.secret["private_key"].reveal(), algorithm="RS256", headers=headers)
    except (PyJWTError, ValueError, TypeError):
        # `from None`: nothing that was made while reading a private key may go on.
        raise CredentialsExhausted(
            "The service account's private key cannot be read.",
            fix="Paste the whole key file again, as Google's console wrote it (POST /api/byok/{id}/rotate).",
        ) from None


GOOGLE = Exchange("Google", _encode)
