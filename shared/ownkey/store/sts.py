"""STS: the function's own identity as a token for others, and another role's temporary keys.

The wire is AWS's query protocol (botocore's model of `sts`, 2011-06-15). `GetWebIdentityToken` exists at regional
endpoints alone, and for an AWS account that has turned on outbound web identity federation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ownkey.domain.errors import CredentialsExhausted, StoreUnavailable
from ownkey.domain.secrets import Secret
from ownkey.store.aws import AwsClient, AwsError

IDENTITY_S = 900
"""Of an identity token: it bounds the life of what it is exchanged for (OpenAI: as long, Anthropic: twice as long)."""
_SHORT_IDENTITY_S = 60
_ROLE_S = 3_600
"""The longest that a role may have which another role assumes."""
_ALGORITHM = "RS256"
"""Of the two STS has the one that whoever verifies a JWT can."""
_VERSION = "2011-06-15"
_OUTLIVES_SESSION = "SessionDurationEscalationException"

_ENABLE = "Turn on outbound web identity federation for the AWS account, and deploy with KeylessCredentials=true."
_TRUST = (
    "Let the role's trust policy admit Ownkey's roles with this account's external id, and have the operator list the "
    "role in the stack's parameter BedrockRoleArns."
)
_NOT_OURS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
    }
)
"""It does not know the function: that says nothing of the credential."""


@dataclass(frozen=True, slots=True)
class TemporaryKeys:
    """Keys that sign as an assumed role."""

    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret
    expires_at_s: float


class Sts:
    """The two calls that credentials without a secret need. IAM decides which function may make which."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def web_identity_token(self, audience: str, tags: Mapping[str, str]) -> Secret:
        """A JWT, signed by AWS, in which the function's role is the subject and `tags` are claims.

        The claims stand under `https://sts.amazonaws.com/` as `request_tags`. A session of the function's that ends
        before such a token would gets a short one.

        Raises:
            CredentialsExhausted: STS refuses: federation is off, or the role may not.
            StoreUnavailable: STS does not answer.
        """
        params = {"Audience.member.1": audience, "SigningAlgorithm": _ALGORITHM}
        for number, (key, value) in enumerate(tags.items(), 1):
            params |= {f"Tags.member.{number}.Key": key, f"Tags.member.{number}.Value": value}
        answer = await self._identity(params, IDENTITY_S)
        return Secret(answer["WebIdentityToken"])

    async def assume_role(self, role_arn: str, external_id: str, session_name: str) -> TemporaryKeys:
        """Temporary keys of a role, for an hour.

        Raises:
            CredentialsExhausted: STS refuses: the role is not there, does not trust the function under this external
                id, or is none the function may assume.
            StoreUnavailable: STS does not answer.
        """
        params = {
            "RoleArn": role_arn,
            "RoleSessionName": session_name,
            "ExternalId": external_id,
            "DurationSeconds": str(_ROLE_S),
        }
        try:
            answer = await self._aws.call_query("sts", _VERSION, "AssumeRole", params)
        except AwsError as e:
            raise _refusal(e, "role", _TRUST) from e
        return TemporaryKeys(
            Secret(answer["AccessKeyId"]),
            Secret(answer["SecretAccessKey"]),
            Secret(answer["SessionToken"]),
            datetime.fromisoformat(answer["Expiration"]).timestamp(),
        )

    async def _identity(self, params: Mapping[str, str], seconds: int) -> Mapping[str, str]:
        asked = {**params, "DurationSeconds": str(seconds)}
        try:
            return await self._aws.call_query("sts", _VERSION, "GetWebIdentityToken", asked)
        except AwsError as e:
            if e.code == _OUTLIVES_SESSION and seconds > _SHORT_IDENTITY_S:
                return await self._identity(params, _SHORT_IDENTITY_S)
            raise _refusal(e, "identity token", _ENABLE) from e


def _refusal(error: AwsError, wanted: str, fix: str) -> CredentialsExhausted | StoreUnavailable:
    if error.code in _NOT_OURS:
        return StoreUnavailable(f"AWS STS does not know the function ({error.code}).", retry_after_s=1)
    # STS's words name the function's role and AWS account: they are for the operator's log, not for a tenant.
    return CredentialsExhausted(f"AWS STS refused the {wanted} ({error.code}).", fix=fix)
