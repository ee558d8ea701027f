"""Users of the local pool: made, given a password nobody types, signed in as the console would."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

import boto3

from local.resources import SECRET_ACCESS_KEY, STACK_ACCESS_KEY


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user: `token` is what `Authorization: Bearer` takes."""

    user_id: str
    token: str


class Users:
    """The user pool of a running stack."""

    def __init__(self, endpoint_url: str, region: str, pool_id: str, client_id: str) -> None:
        self._cognito: Any = boto3.client(
            "cognito-idp",
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id=STACK_ACCESS_KEY,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )
        self._pool_id = pool_id
        self._client_id = client_id
        self._passwords: dict[str, str] = {}

    def sign_in(self, email: str) -> Session:
        """A session of the user, who is made where there is none."""
        if email not in self._passwords:
            self._admit(email)
        answer = self._cognito.initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH",
            ClientId=self._client_id,
            AuthParameters={"USERNAME": email, "PASSWORD": self._passwords[email]},
        )
        token = answer["AuthenticationResult"]["AccessToken"]
        return Session(_subject(token), token)

    def _admit(self, email: str) -> None:
        # The first operator exists: the template made this user.
        with contextlib.suppress(self._cognito.exceptions.UsernameExistsException):
            self._cognito.admin_create_user(
                UserPoolId=self._pool_id,
                Username=email,
                UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
                MessageAction="SUPPRESS",
            )
        self._passwords[email] = f"Aa1!{secrets.token_urlsafe(24)}"
        self._cognito.admin_set_user_password(
            UserPoolId=self._pool_id, Username=email, Password=self._passwords[email], Permanent=True
        )


def _subject(token: str) -> str:
    """The user's id in a token that the pool has just issued: nothing to verify."""
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])
