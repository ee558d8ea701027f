"""Validating a key: the one call that a provider's row describes, and what its answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ownkey.catalog import Provider, Verdict
from ownkey.domain.errors import CredentialsExhausted
from ownkey.domain.secrets import Secret
from ownkey.providers.credentials import auth_headers, credential_headers
from ownkey.providers.failures import decode_failure

_OK = range(200, 300)


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
    provider: Provider, base_url: str | None, fields: Mapping[str, Secret], headers: Mapping[str, str]
) -> ProbeRequest:
    """The validation call of a key.

    Args:
        base_url: The credential's own; None for the provider's.
        fields: The secret (`{"key": …}` for a plain key).
        headers: Further headers of the credential, by their name in our API.

    Raises:
        ValueError: the provider has no base URL of its own and none is given.
    """
    body = (provider.validation.body or "").encode()
    return ProbeRequest(
        provider.validation.method,
        provider.validation_url(base_url),
        {
            "accept": "application/json",
            **({"content-type": "application/json"} if body else {}),
            **{name.lower(): value for name, value in provider.headers.items()},
            **credential_headers(provider, headers),
            **auth_headers(provider.auth, fields),
        },
        body,
    )


def read_probe(provider: Provider, status: int, body: bytes) -> ProbeAnswer:
    """The verdict of the answer to `key_probe`.

    A rate limit or an empty account in the provider's own JSON says that the key is known: no such words come to one
    that is not. The same status from a proxy in front says nothing.
    """
    verdict = provider.validation.verdict(status)
    if verdict is Verdict.ACCEPTED:
        return ProbeAnswer(verdict)
    failure = decode_failure(status, {}, body)
    speaks = "provider_code" in failure.details or "provider_type" in failure.details
    if verdict is Verdict.INCONCLUSIVE and (isinstance(failure, CredentialsExhausted) or status == 429) and speaks:
        verdict = Verdict.LIMITED
    return ProbeAnswer(verdict, failure.message)
