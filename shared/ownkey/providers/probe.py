"""Validating a credential: the one call that its form describes, and what the answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ownkey.catalog import Form, Provider, Verdict
from ownkey.domain.errors import CredentialsExhausted
from ownkey.domain.secrets import Secret
from ownkey.providers.authorize import authorize
from ownkey.providers.credentials import credential_headers
from ownkey.providers.failures import decode_failure

_SAYS_NOTHING_ELSE = (401, 403)


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """The call, key included: send it once, to nowhere else."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What was learned of the key. `reason` is in the provider's words, scrubbed; None where all is well."""

    verdict: Verdict
    reason: str | None = None


def key_probe(
    provider: Provider,
    form: Form,
    base_url: str | None,
    public: Mapping[str, str],
    fields: Mapping[str, Secret],
    headers: Mapping[str, str],
    now: datetime,
) -> ProbeRequest:
    """The validation call of a credential.

    Args:
        form: The one it was given in.
        base_url: What the credential is sealed for; None for the provider's.
        public: Its public fields.
        fields: The secret as it is presented (`{"key": …}` for a plain key or a token).
        headers: Further headers of the credential, by their name in our API.
        now: Aware.

    Raises:
        ValueError: the provider has no base URL of its own and none is given, or a public field is missing.
        UnsafeBaseUrl: the public fields belong to another address.
    """
    validation = form.validation
    url, body = provider.validation_url(base_url, form=form, public=public), (validation.body or "").encode()
    sent = {
        "accept": "application/json",
        **({"content-type": "application/json"} if body else {}),
        **{name.lower(): value for name, value in provider.headers.items()},
        **credential_headers(provider, headers),
    }
    authorized = authorize(
        form,
        fields,
        method=validation.method,
        url=url,
        headers=sent,
        body=body,
        region=public.get("region"),
        now=now,
    )
    return ProbeRequest(validation.method, url, sent | authorized, body)


def read_probe(form: Form, status: int, headers: Mapping[str, str], body: bytes) -> ProbeAnswer:
    """The verdict of the answer to `key_probe`.

    A rate limit or an empty account in the provider's own JSON says that the key is known: no such words come to one
    that is not. The same status from a proxy in front says nothing.
    """
    verdict = form.validation.verdict(status)
    if verdict is Verdict.ACCEPTED:
        return ProbeAnswer(verdict)
    failure = decode_failure(status, headers, body)
    named = [failure.details[name] for name in ("provider_code", "provider_type") if name in failure.details]
    verdict = form.validation.verdict(status, " ".join([*map(str, named), failure.message]))
    known = (isinstance(failure, CredentialsExhausted) and status not in _SAYS_NOTHING_ELSE) or status == 429
    if verdict is Verdict.INCONCLUSIVE and known and named:
        verdict = Verdict.LIMITED
    return ProbeAnswer(verdict, failure.message)
