"""Bedrock's list of foundation models at its control plane: AWS's signature, recomputed, or an API key as a bearer.

Access keys are `AKIASIM…` (temporary ones `ASIA…`, with a session token) and have the secrets of `local.aws_keys`; a
session token with `expired` in it has expired. The signature is recomputed with botocore: not with what the product
signs with. Codes and the words that clients look for are AWS's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.aws_keys import simulated_secret
from local.simulator.keys import MODELS, Keys
from local.simulator.probe_call import ProbeCall, answer
from local.simulator.replies import Whole

PROVIDER = "bedrock"
_HOST = re.compile(r"bedrock\.(?P<region>[a-z0-9-]+)\.amazonaws\.com")
API_KEY = re.compile(r"(ABSK|bedrock-api-key-)[\w-]*sim-[\w=-]+")
ACCESS_KEY = re.compile(r"(AKIASIM|ASIA)[A-Z0-9]+")
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>\w+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW_S = 300


class BadSignature(Exception):
    """In AWS's words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def key_of(call: ProbeCall) -> tuple[str | None, str | None]:
    """How the credential is presented, and the API key or the access key's id."""
    presented = call.headers.get("Authorization", "")
    if signed := _SIGNED.fullmatch(presented):
        return "sigv4", signed["key"]
    scheme, _, key = presented.partition(" ")
    return ("bearer", key) if scheme == "Bearer" and key else (None, None)


def judge(call: ProbeCall, keys: Keys) -> Whole:
    """The answer."""
    host = _HOST.fullmatch(call.host)
    if host is None or (call.method, call.tail) != ("GET", "foundation-models"):
        return _error(404, "UnknownOperationException", "")
    scheme, key = key_of(call)
    try:
        if scheme is None or key is None:
            raise BadSignature("MissingAuthenticationTokenException", "Missing Authentication Token")
        if scheme == "sigv4":
            check_signature(call, host["region"], PROVIDER)
        state = keys.state(PROVIDER, key, API_KEY if scheme == "bearer" else ACCESS_KEY)
        if state.refuses(MODELS) and state.refusal != "invalid_key":
            action = "is not authorized to perform: bedrock:ListFoundationModels"
            raise BadSignature("AccessDeniedException", f"User: arn:aws:iam::123456789012:user/sim {action}")
        if state.refuses(MODELS) and scheme == "sigv4":
            raise BadSignature("UnrecognizedClientException", "The security token included in the request is invalid.")
        if state.refuses(MODELS):
            raise BadSignature(
                "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."
            )
    except BadSignature as e:
        return _error(403, e.code, str(e))
    return answer(200, {"modelSummaries": [{"modelId": "amazon.titan-embed-text-v2:0"}]})


def check_signature(call: ProbeCall, region: str, service: str) -> None:
    """Whether it is signed for this service and region, by keys of the simulated kind.

    Raises BadSignature.
    """
    signed = _SIGNED.fullmatch(call.headers.get("Authorization", ""))
    if signed is None:
        raise BadSignature("MissingAuthenticationTokenException", "Missing Authentication Token")
    token = call.headers.get("X-Amz-Security-Token")
    if not ACCESS_KEY.fullmatch(signed["key"]) or signed["key"].startswith("ASIA") != bool(token):
        raise BadSignature("UnrecognizedClientException", "The security token included in the request is invalid.")
    if token and "expired" in token:
        raise BadSignature("ExpiredTokenException", "The security token included in the request is expired")
    if (signed["region"], signed["service"]) != (region, service):
        raise BadSignature("InvalidSignatureException", "Credential should be scoped to a valid region.")
    at = call.headers.get("X-Amz-Date", "")
    if not at.startswith(signed["day"]) or abs(_seconds(at) - call.now_s) > _SKEW_S:
        raise BadSignature("InvalidSignatureException", "Signature expired")
    if (
        "host" not in signed["headers"].split(";")
        or _recomputed(call, signed, token, at, service) != signed["signature"]
    ):
        raise BadSignature(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method.",
        )


def _recomputed(call: ProbeCall, signed: re.Match[str], token: str | None, at: str, service: str) -> str:
    named = {name: call.headers[name] for name in signed["headers"].split(";") if name in call.headers}
    url = f"http://{call.headers['Host']}{call.path}"
    request = AWSRequest(method=call.method, url=url, data=call.body, headers=named)
    request.context["timestamp"] = at
    auth = SigV4Auth(Credentials(signed["key"], simulated_secret(signed["key"]), token), service, signed["region"])
    signature: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return signature


def _seconds(at: str) -> float:
    try:
        return datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _error(status: int, code: str, message: str) -> Whole:
    return answer(status, {"Message": message}, x_amzn_ErrorType=f"{code}:http://internal.amazon.com/")
