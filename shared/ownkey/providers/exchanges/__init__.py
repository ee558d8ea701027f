"""Asking a vendor's token endpoint for a short-lived token: the request and the answer, without any I/O.

=========== ==========================================================================================
`grant`     the seam: what a token is asked with, the request, the token
`answers`   reading what a token endpoint says (RFC 6749, section 5)
`openai`    workload identity federation: RFC 8693's token exchange, in JSON
`anthropic` workload identity federation: RFC 7523's JWT bearer grant, in JSON
`google`    a service account's key: RFC 7523's JWT bearer grant, in a form
=========== ==========================================================================================

Where a token endpoint is stands in the catalog (`Form.token_url`) and nowhere else: never in a credential.
"""

from collections.abc import Mapping

from ownkey.catalog import Scheme
from ownkey.providers.exchanges.answers import read_token
from ownkey.providers.exchanges.anthropic import ANTHROPIC
from ownkey.providers.exchanges.google import GOOGLE
from ownkey.providers.exchanges.grant import AccessToken, Exchange, Grant, TokenRequest
from ownkey.providers.exchanges.openai import OPENAI

EXCHANGES: Mapping[Scheme, Exchange] = {
    Scheme.OPENAI_WORKLOAD_IDENTITY: OPENAI,
    Scheme.ANTHROPIC_WORKLOAD_IDENTITY: ANTHROPIC,
    Scheme.GOOGLE_SERVICE_ACCOUNT: GOOGLE,
}

__all__ = ["EXCHANGES", "AccessToken", "Exchange", "Grant", "TokenRequest", "read_token"]
