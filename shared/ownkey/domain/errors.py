"""The error tree. Each class has a status, a stable code, whose side it is on, and the fix.

```
OwnkeyError
├── BadRequest                      400  the client's request
│   ├── InvalidJson                 400  invalid_json
│   ├── InvalidParameter            400  invalid_parameter
│   ├── UnsupportedParameter        400  unsupported_parameter      (by the API of the provider that would serve)
│   ├── SurfaceNotSupported         400  surface_not_supported
│   ├── UnsafeBaseUrl               400  unsafe_base_url
│   ├── InvalidCredentialFormat     400  invalid_credential_format
│   ├── KmsKeyUnusable              400  kms_key_unusable           (an account's own KMS key)
│   ├── InvalidSignature            400  invalid_signature          (a payment provider's webhook)
│   ├── MethodNotAllowed            405  method_not_allowed
│   ├── NoWebSocket                 426  websocket_not_supported
│   ├── Conflict                    409  conflict
│   │   ├── IdempotencyInFlight     409  idempotency_in_flight
│   │   ├── IdempotencyNotKept      409  idempotency_not_kept       (answered, but not to be had again)
│   │   └── SharingConsentRequired  409  sharing_consent_required
│   ├── PreconditionFailed          412  precondition_failed
│   ├── RequestTooLarge             413  request_too_large
│   ├── CredentialRejected          422  credential_rejected        (the provider's verdict on a key to be saved)
│   └── IdempotencyMismatch         422  idempotency_mismatch
├── Unauthenticated                 401
│   ├── MissingGatewayKey           401  missing_gateway_key
│   ├── InvalidGatewayKey           401  invalid_gateway_key
│   ├── GatewayKeyExpired           401  gateway_key_expired
│   ├── GatewayKeyRevoked           401  gateway_key_revoked
│   └── InvalidSession              401  invalid_session
├── InsufficientCredits             402  insufficient_credits
├── BudgetExceeded                  402  budget_exceeded            (a limit on spend)
├── RateLimited                     429  rate_limit_exceeded        (a limit on requests or tokens)
├── Forbidden                       403  forbidden
│   ├── AddressNotAllowed           403  address_not_allowed        (a gateway key's IP allow-list)
│   ├── OriginNotAllowed            403  origin_not_allowed         (a gateway key's allowed origins)
│   ├── SurfaceNotAllowed           403  surface_not_allowed        (a gateway key's scope)
│   ├── ModelNotAllowed             403  model_not_allowed          (a gateway key's scope)
│   └── SharingNotPermitted         403  sharing_not_permitted      (the provider's terms)
├── NotFound                        404  not_found
│   ├── ModelNotFound               404  model_not_found
│   ├── NoByokKey                   404  no_byok_key
│   └── NoCredential                404  no_credential
├── GatewayFailure                  500  internal_error
│   ├── CredentialUndecryptable     500  credential_undecryptable
│   ├── StoreUnavailable            503  store_unavailable
│   └── VaultUnavailable            503  vault_unavailable
└── ProviderFailure                      the provider's side
    ├── ProviderRefused             4xx  provider_refused or the provider's own code, its status passed on
    ├── CredentialsExhausted        502  upstream_credentials_exhausted
    ├── CredentialsCooling          429  upstream_credentials_cooling
    ├── ProviderCooling             503  provider_cooling           (its breaker is open: nothing was sent)
    ├── ProviderRateLimited         429  upstream_rate_limited
    ├── ProviderError               502  provider_error
    ├── ProviderOverloaded          503  provider_overloaded        (529 on the Anthropic surface)
    ├── ProviderUnreachable         502  provider_unreachable
    ├── ProviderInvalidResponse     502  provider_invalid_response
    ├── ProviderAnswerTooLarge      502  provider_answer_too_large
    ├── ProviderStreamBroken        502  provider_stream_broken     (in-band: the answer had begun)
    └── ProviderTimeout             504  provider_timeout
```

How each looks on the wire in each dialect: docs/contracts/errors.md. No message may contain a secret: what comes from a
provider is scrubbed before it gets here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Side(StrEnum):
    """Who refused."""

    GATEWAY = "gateway"
    PROVIDER = "provider"


FOR_CLIENTS = "for_clients"
"""Of an error's details: what Anthropic's SDKs act upon by themselves. It goes to them alone, as `error.details`."""


class OwnkeyError(Exception):
    """An answer to the client.

    Args:
        message: What happened, one sentence.
        fix: What to do about it; the class has a default.
        param: The field of the request that is wrong.
        retry_after_s: When it is worth trying again.
        details: Further facts for `error.metadata`: JSON values, never secrets.
    """

    status: int = 500
    code: str = "internal_error"
    side: ClassVar[Side] = Side.GATEWAY
    default_fix: ClassVar[str] = "Try again; if it persists, give the operator the request id."
    retryable: bool | None = None
    """What `x-should-retry` says; None leaves it to the client's own rule for the status."""

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fix = self.default_fix if fix is None else fix
        self.param = param
        self.retry_after_s = retry_after_s
        self.details: dict[str, object] = dict(details or {})


class BadRequest(OwnkeyError):
    status, code, retryable = 400, "invalid_request", False
    default_fix = "Correct the request."


class InvalidJson(BadRequest):
    code = "invalid_json"
    default_fix = "Send a JSON object, UTF-8 encoded, with content-type application/json."


class InvalidParameter(BadRequest):
    code = "invalid_parameter"


class UnsupportedParameter(BadRequest):
    code = "unsupported_parameter"
    default_fix = "Leave it out, or choose a model whose provider has it."


class SurfaceNotSupported(BadRequest):
    code = "surface_not_supported"
    default_fix = "Call the endpoint of the provider's own dialect, or choose a model that this endpoint reaches."


class UnsafeBaseUrl(BadRequest):
    code = "unsafe_base_url"
    default_fix = "Give a public https URL on port 443, without user, query or fragment."


class InvalidCredentialFormat(BadRequest):
    code = "invalid_credential_format"
    default_fix = "Paste the key exactly as the provider shows it."


class KmsKeyUnusable(BadRequest):
    code = "kms_key_unusable"
    default_fix = (
        "Enable the KMS key, let Ownkey's functions use it in its key policy, and have the operator list its ARN in "
        "the stack's parameter AccountKmsKeyArns."
    )


class InvalidSignature(BadRequest):
    code = "invalid_signature"
    default_fix = "Send the webhook from the payment provider, signed with a secret that the deployment knows."


class MethodNotAllowed(BadRequest):
    status, code = 405, "method_not_allowed"


class NoWebSocket(BadRequest):
    """426 is what Codex falls back at once upon; at any other status it tries the socket again for some seconds."""

    status, code = 426, "websocket_not_supported"
    default_fix = "Ask by POST, with `stream: true`: the events are the same."


class Conflict(BadRequest):
    status, code = 409, "conflict"
    default_fix = "Read the resource again and repeat the change on what it says now."


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    default_fix = "Wait for the first request with this Idempotency-Key to be answered, then repeat this one."


class IdempotencyNotKept(Conflict):
    code = "idempotency_not_kept"
    default_fix = "Use a new Idempotency-Key to ask anew, which is charged anew."


class SharingConsentRequired(Conflict):
    code = "sharing_consent_required"
    default_fix = "Read the text (GET /api/sharing), then consent to it (PUT /api/sharing/consent)."


class PreconditionFailed(BadRequest):
    status, code = 412, "precondition_failed"
    default_fix = "Read the resource again, and send the ETag of what it says now in If-Match."


class RequestTooLarge(BadRequest):
    status, code = 413, "request_too_large"
    default_fix = (
        "Keep the body under 6 MB (about 4.5 MB of binary content): link large files instead of inlining them."
    )


class CredentialRejected(BadRequest):
    status, code = 422, "credential_rejected"
    side = Side.PROVIDER
    default_fix = "Check the key in the provider's console and paste it again; nothing was stored."


class IdempotencyMismatch(BadRequest):
    status, code = 422, "idempotency_mismatch"
    default_fix = "Use a new Idempotency-Key for a new request."


class Unauthenticated(OwnkeyError):
    status, code, retryable = 401, "unauthenticated", False


class MissingGatewayKey(Unauthenticated):
    code = "missing_gateway_key"
    default_fix = "Send an Ownkey gateway key as `Authorization: Bearer ok-…` or `x-api-key: ok-…`."


class InvalidGatewayKey(Unauthenticated):
    code = "invalid_gateway_key"
    default_fix = (
        "Use an Ownkey gateway key (it starts with `ok-`), not a provider key; create one with POST /api/gateway-keys."
    )


class GatewayKeyExpired(Unauthenticated):
    code = "gateway_key_expired"
    default_fix = "Create a new gateway key or extend this one's expiry."


class GatewayKeyRevoked(Unauthenticated):
    code = "gateway_key_revoked"
    default_fix = "Use another gateway key: this one was revoked."


class InvalidSession(Unauthenticated):
    code = "invalid_session"
    default_fix = "Sign in again and send the session token as `Authorization: Bearer …`."


class InsufficientCredits(OwnkeyError):
    status, code, retryable = 402, "insufficient_credits", False
    default_fix = "Add credits, or save a key of your own for this provider (POST /api/byok)."


class BudgetExceeded(OwnkeyError):
    status, code, retryable = 402, "budget_exceeded", False
    default_fix = "Have the limit raised (PATCH /api/limits/{id}), or wait for its next period."


@dataclass(frozen=True, slots=True)
class Quota:
    """What a rate limit says of itself, for headers."""

    measure: str
    """`requests` or `tokens`."""
    limit: int
    remaining: int
    reset_s: float | None
    """Until all of it is there again; None: never."""
    resets_at: str | None
    """The same as a time (RFC 3339)."""


class RateLimited(OwnkeyError):
    """One of the account's own limits. `retryable` is False where waiting does not help, or takes too long."""

    status, code = 429, "rate_limit_exceeded"
    default_fix = "Wait as `Retry-After` says, or have the limit raised (PATCH /api/limits/{id})."

    def __init__(
        self,
        message: str,
        *,
        quota: Quota | None = None,
        retryable: bool | None = None,
        fix: str | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, fix=fix, retry_after_s=retry_after_s, details=details)
        self.quota = quota
        self.retryable = retryable


class Forbidden(OwnkeyError):
    status, code, retryable = 403, "forbidden", False
    default_fix = "Ask an owner or admin of the account."


class AddressNotAllowed(Forbidden):
    code = "address_not_allowed"
    default_fix = "Call from an address on the gateway key's allow-list, or have the list changed."


class OriginNotAllowed(Forbidden):
    code = "origin_not_allowed"
    default_fix = "Call from a page of the gateway key's allowed origins, or have the list changed."


class SurfaceNotAllowed(Forbidden):
    code = "surface_not_allowed"
    default_fix = "Use a gateway key whose scope has this endpoint, or have this one's scope changed."


class ModelNotAllowed(Forbidden):
    code = "model_not_allowed"
    default_fix = "GET /v1/models lists what this gateway key reaches."


class SharingNotPermitted(Forbidden):
    code = "sharing_not_permitted"
    default_fix = (
        "The operator lists providers whose terms permit it in the stack's parameter SharingProviders; it is empty "
        "until they do."
    )


class NotFound(OwnkeyError):
    status, code, retryable = 404, "not_found", False
    default_fix = "Check the id."


class ModelNotFound(NotFound):
    code = "model_not_found"
    default_fix = "GET /v1/models lists what this gateway key reaches."


class NoByokKey(NotFound):
    code = "no_byok_key"
    default_fix = "Save a key for this provider (POST /api/byok), or allow fallback to the platform."


class NoCredential(NotFound):
    code = "no_credential"
    default_fix = "Save a key for a provider of this model (POST /api/byok), or ask the operator for a platform key."


class GatewayFailure(OwnkeyError):
    status, code = 500, "internal_error"


class CredentialUndecryptable(GatewayFailure):
    code, retryable = "credential_undecryptable", False
    default_fix = "Paste the provider key again (POST /api/byok/{id}/rotate); if all fail, check the KMS key."


class StoreUnavailable(GatewayFailure):
    status, code = 503, "store_unavailable"
    default_fix = "Try again in a moment: nothing is wrong with the key."


class VaultUnavailable(GatewayFailure):
    status, code = 503, "vault_unavailable"
    default_fix = "Try again in a moment; if it persists, the operator should check the KMS key."


class ProviderFailure(OwnkeyError):
    status, code = 502, "provider_error"
    side = Side.PROVIDER
    default_fix = "Try again; the provider's status page may say more."


class ProviderRefused(ProviderFailure):
    """The provider refused the request itself (400, 404, 413, 422 …): its status and code are passed on."""

    retryable = False
    default_fix = "Correct the request: the message is the provider's."

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, details=details, param=param)
        self.status = status
        self.code = code or "provider_refused"


class CredentialsExhausted(ProviderFailure):
    code, retryable = "upstream_credentials_exhausted", False
    default_fix = "Rotate the named credentials in the vault: the provider refused each of them."


class CredentialsCooling(ProviderFailure):
    """Every credential that could serve is waiting for its rate limit to pass: nothing was sent."""

    status, code = 429, "upstream_credentials_cooling"
    default_fix = "Wait as `Retry-After` says, or add another key for this provider."


class ProviderCooling(ProviderFailure):
    """The provider failed repeatedly: requests wait until a probe finds it well. Nothing was sent."""

    status, code = 503, "provider_cooling"
    default_fix = "Wait as `Retry-After` says, or allow a fallback to another provider."


class ProviderRateLimited(ProviderFailure):
    status, code = 429, "upstream_rate_limited"
    default_fix = "Wait as `Retry-After` says, or add another key for this provider."


class ProviderError(ProviderFailure):
    pass


class ProviderOverloaded(ProviderFailure):
    status, code = 503, "provider_overloaded"


class ProviderUnreachable(ProviderFailure):
    code = "provider_unreachable"
    default_fix = "Try again; if the base URL is your own, check that it answers from the internet."


class ProviderInvalidResponse(ProviderFailure):
    code = "provider_invalid_response"
    default_fix = "Try again; if the base URL is your own, check that it speaks the provider's dialect."


class ProviderAnswerTooLarge(ProviderFailure):
    """It has been generated, and is paid for: asked again, or of another, it would be as large."""

    code, retryable = "provider_answer_too_large", False
    default_fix = "Ask for less at once: fewer texts or pictures, or vectors in base64."


class ProviderStreamBroken(ProviderFailure):
    code = "provider_stream_broken"
    default_fix = "Repeat the request: what arrived so far is incomplete."


class ProviderTimeout(ProviderFailure):
    status, code = 504, "provider_timeout"
