"""STS's two calls that prove who one is: identity tokens really signed, roles assumed where their trust allows it.

moto knows no GetWebIdentityToken, and lets anyone assume any role. Verification keys are at `/.well-known/jwks.json`;
the issuer is a URL of the form AWS gives each account, and nothing answers there.

Sources: botocore's model of `sts`; the IAM user guide on outbound identity federation (claims, permissions, issuer).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends

from local.aws.call import ACCOUNT_ID, AwsError, Call
from local.aws.policies import Access, Statement, UnsupportedPolicy
from local.aws_keys import simulated_secret

API_VERSION = "2011-06-15"
ISSUER = f"https://{uuid.uuid5(uuid.NAMESPACE_URL, ACCOUNT_ID)}.tokens.sts.global.api.aws"
JWKS_PATH = "/.well-known/jwks.json"
NAMESPACE = "https://sts.amazonaws.com/"
"""The claim that holds AWS's own claims."""

_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/([\w+=,.@/-]+)")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_MEMBERS = {
    "GetWebIdentityToken": ("Audience.member.", "SigningAlgorithm", "DurationSeconds", "Tags.member."),
    "AssumeRole": ("RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId"),
}
_ENVELOPE = ("Action", "Version")

Params = Mapping[str, str]


def caller_arn(access_key: str) -> str:
    """The ARN of the role that an access key stands for."""
    return f"arn:aws:iam::{ACCOUNT_ID}:role/{access_key}"


def members(params: Params, name: str) -> list[str]:
    """A list of the query protocol: the values of `Name.member.1`, `Name.member.2` and so on."""
    found: list[str] = []
    while (value := params.get(f"{name}.member.{len(found) + 1}")) is not None:
        found.append(value)
    return found


def tags(params: Params) -> dict[str, str]:
    """The tags of a call."""
    found: dict[str, str] = {}
    while (key := params.get(f"Tags.member.{len(found) + 1}.Key")) is not None:
        found[key] = params.get(f"Tags.member.{len(found) + 1}.Value", "")
    return found


class Sts:
    """GetWebIdentityToken and AssumeRole; the keys that sign are made when first needed."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def serves(self, operation: str) -> bool:
        """Whether the operation is answered here; moto serves the others."""
        return operation in _MEMBERS

    def call(self, call: Call) -> Mapping[str, Any]:
        """The members of the answer's result, as text or as further members.

        Raises:
            AwsError: with STS's code.
        """
        known = _MEMBERS[call.operation]
        if unknown := [name for name in call.params if not name.startswith(known) and name not in _ENVELOPE]:
            raise _invalid(f"The local stack does not know these parameters: {', '.join(sorted(unknown))}")
        return self._token(call) if call.operation == "GetWebIdentityToken" else self._assume(call)

    def jwks(self) -> dict[str, Any]:
        """The public halves of the signing keys, as a JSON Web Key Set."""
        keys = []
        for algorithm, (private, as_jwk) in self._signing.items():
            public = json.loads(as_jwk(private.public_key()))
            keys.append({**public, "kid": self._key_ids[algorithm], "alg": algorithm, "use": "sig"})
        return {"keys": keys}

    # -------------------------------------------------------------- identity tokens
    @cached_property
    def _signing(self) -> dict[str, tuple[Any, Callable[[Any], str]]]:
        return {
            "RS256": (rsa.generate_private_key(65537, 2048), RSAAlgorithm.to_jwk),
            "ES384": (ec.generate_private_key(ec.SECP384R1()), ECAlgorithm.to_jwk),
        }

    @cached_property
    def _key_ids(self) -> dict[str, str]:
        return {algorithm: f"{algorithm}-{secrets.token_hex(4)}" for algorithm in self._signing}

    def _token(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        audience, algorithm, wanted = members(params, "Audience"), params.get("SigningAlgorithm"), tags(params)
        if not 1 <= len(audience) <= 10:
            raise _invalid("Value at 'audience' must have 1 to 10 members")
        if algorithm not in self._signing:
            raise _invalid("Value at 'signingAlgorithm' must be RS256 or ES384")
        if len(wanted) > 50:
            raise _invalid("Value at 'tags' must have at most 50 members")
        issued_at = int(self._clock())
        ends_at = issued_at + _seconds(params, 300, 60, 3600)
        subject = caller_arn(call.access_key or "")
        own: dict[str, Any] = {"aws_account": ACCOUNT_ID, "source_region": call.region, "principal_id": subject}
        if wanted:
            own["request_tags"] = wanted
        claims = {
            "iss": ISSUER,
            "aud": audience[0] if len(audience) == 1 else audience,
            "sub": subject,
            "iat": issued_at,
            "exp": ends_at,
            "jti": str(uuid.uuid4()),
            NAMESPACE: own,
        }
        signed = jwt.encode(claims, self._signing[algorithm][0], algorithm, {"kid": self._key_ids[algorithm]})
        return {"WebIdentityToken": signed, "Expiration": _time(ends_at)}

    # -------------------------------------------------------------- roles
    def _assume(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        arn, session = params.get("RoleArn", ""), params.get("RoleSessionName", "")
        if not _ROLE_ARN.fullmatch(arn):
            raise _invalid(f"{arn} is invalid")
        if not _SESSION_NAME.fullmatch(session):
            raise _invalid("Value at 'roleSessionName' is not of its pattern")
        ends_at = int(self._clock()) + _seconds(params, 3600, 900, 43_200)
        context = {"sts:RoleSessionName": (session,)}
        if "ExternalId" in params:
            context["sts:ExternalId"] = (params["ExternalId"],)
        if not _trusts(arn, caller_arn(call.access_key or ""), context):
            raise AwsError(
                "AccessDenied",
                f"User: {caller_arn(call.access_key or '')} is not authorized to perform: sts:AssumeRole "
                f"on resource: {arn}",
                status=403,
            )
        account, _, name = arn.removeprefix("arn:aws:iam::").partition(":role/")
        access_key_id = "ASIA" + secrets.token_hex(8).upper()
        return {
            "Credentials": {
                "AccessKeyId": access_key_id,
                "SecretAccessKey": simulated_secret(access_key_id),
                "SessionToken": base64.b64encode(secrets.token_bytes(300)).decode(),
                "Expiration": _time(ends_at),
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"AROA{secrets.token_hex(8).upper()}:{session}",
                "Arn": f"arn:aws:sts::{account}:assumed-role/{name.rpartition('/')[2]}/{session}",
            },
        }


def _trusts(role_arn: str, caller: str, context: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a role's trust policy lets the caller in. A role that does not exist lets nobody in."""
    access = Access("sts:AssumeRole", "*", context)
    verdicts = {statement.allows for statement in _trust_statements(role_arn, caller) if statement.applies(access)}
    return verdicts == {True}


def _trust_statements(role_arn: str, caller: str) -> Iterator[Statement]:
    account = role_arn.split(":")[4]
    try:
        role = iam_backends[account]["aws"].get_role_by_arn(role_arn)
    except NotFoundException:
        return
    document = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    for each in statements:
        if not _names(each.get("Principal"), caller):
            continue
        conditions = each.get("Condition") or {}
        try:
            yield Statement.of(
                {"effect": each["Effect"], "actions": each["Action"], "resources": "*", "conditions": conditions}
            )
        except UnsupportedPolicy as e:
            raise AwsError("MalformedPolicyDocument", str(e)) from None


def _names(principal: Any, caller: str) -> bool:
    named = principal.get("AWS", ()) if isinstance(principal, Mapping) else principal
    named = [named] if isinstance(named, str) else named or ()
    return bool({"*", ACCOUNT_ID, f"arn:aws:iam::{ACCOUNT_ID}:root", caller} & set(named))


def _seconds(params: Params, default: int, least: int, most: int) -> int:
    text = params.get("DurationSeconds", str(default))
    if not text.isdigit() or not least <= int(text) <= most:
        raise _invalid(f"Value at 'durationSeconds' must be {least} to {most}")
    return int(text)


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", f"1 validation error detected: {message}")
