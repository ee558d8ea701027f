"""How a credential authorises one request: the headers that are added last, over the exact bytes that are sent.

Schemes that exchange their secret do so before (`ownkey.tokens`): what comes here is a token, or temporary keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from ownkey.catalog import Auth, Form, Scheme
from ownkey.domain.secrets import Secret
from ownkey.providers.credentials import auth_headers
from ownkey.store.sigv4 import Signer

_SIGNED_HEADERS = ("content-type", "x-amz-target")
"""Of a request's own headers: the transport and proxies on the way leave them alone. Host and date come on top."""


@dataclass(frozen=True, slots=True)
class _Keys:
    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


def authorize(
    form: Form,
    fields: Mapping[str, Secret],
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str | None,
    now: datetime,
    auth: Auth | None = None,
) -> dict[str, str]:
    """The headers to add to a request, names in lower case: secret.

    Args:
        fields: The secret, as it is presented: after the exchange, where the scheme has one.
        url: As it will stand in the request; a signed one without a query, on no port but its scheme's or a local one.
        headers: The request's, names in lower case. A header that the form sends as well is sent with both values.
        body: The very bytes.
        region: Of a signature: the credential's public field.
        now: Aware; of a signature.
        auth: How a translator wants a plain key presented; None: as the form says.

    Raises:
        ValueError: a signature without a region, or of a URL with a query.
    """
    added = {name.lower(): _joined(headers.get(name.lower()), value) for name, value in form.headers.items()}
    if form.scheme.signs:
        return added | _signature(form, fields, method, url, headers, body, region, now)
    stated = auth if auth is not None and form.scheme is Scheme.HEADER else form.auth
    return added | auth_headers(stated, fields)


def _joined(own: str | None, value: str) -> str:
    """Both values of a list header, each once."""
    present = [each.strip() for each in own.split(",")] if own else []
    return ",".join([*present, *([] if value in present else [value])])


def _signature(
    form: Form,
    fields: Mapping[str, Secret],
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str | None,
    now: datetime,
) -> dict[str, str]:
    parts = urlsplit(url)
    if not region or not form.service or parts.query:
        raise ValueError("what is signed needs a region and a service, and has no query")
    token = fields.get("session_token")
    keys = _Keys(
        fields["access_key_id"].reveal(), fields["secret_access_key"].reveal(), token.reveal() if token else None
    )
    own = {name: headers[name] for name in _SIGNED_HEADERS if name in headers}
    signed = Signer(form.service, region).headers(
        keys, method, parts.netloc, parts.path or "/", own, body, now.timestamp()
    )
    return {name: value for name, value in signed.items() if name not in ("host", *own)}
