"""People in the Cognito user pool: found by e-mail, invited where they are not there yet."""

from __future__ import annotations

from typing import Any

from ownkey.domain.errors import StoreUnavailable
from ownkey.store.aws import AwsClient, AwsError, Json

_TARGET = "AWSCognitoIdentityProviderService."


class UserPool:
    """The calls management makes.

    Args:
        invite: Whether Cognito sends new people its e-mail with a temporary password.
    """

    def __init__(self, aws: AwsClient, pool_id: str, *, invite: bool = True) -> None:
        self._aws = aws
        self._pool_id = pool_id
        self._invite = invite

    async def email(self, user_id: str) -> str:
        """The e-mail address of somebody who is signed in.

        Raises:
            StoreUnavailable: the pool refuses or does not answer.
        """
        return (await self._attributes(user_id))["email"]

    async def verified_email(self, user_id: str) -> str | None:
        """The address, in lower case, that somebody who is signed in has proven to be theirs; None: there is none.

        Raises:
            StoreUnavailable: the pool refuses or does not answer.
        """
        attributes = await self._attributes(user_id)
        return attributes["email"].lower() if attributes.get("email_verified") == "true" else None

    async def user_id(self, email: str) -> str:
        """The id (`sub`) of the person with this e-mail address, invited if need be.

        Raises:
            StoreUnavailable: the pool refuses or does not answer.
        """
        try:
            return await self._find(email) or await self._create(email)
        except AwsError as e:
            raise StoreUnavailable(f"The user pool refused ({e.code}).") from e

    async def _attributes(self, user_id: str) -> dict[str, str]:
        try:
            answer = await self._call("AdminGetUser", {"Username": user_id})
        except AwsError as e:
            raise StoreUnavailable(f"The user pool refused ({e.code}).") from e
        return {row["Name"]: str(row["Value"]) for row in answer["UserAttributes"]}

    async def _find(self, email: str) -> str | None:
        try:
            answer = await self._call("AdminGetUser", {"Username": email})
        except AwsError as e:
            if e.code == "UserNotFoundException":
                return None
            raise
        return _attribute(answer["UserAttributes"], "sub")

    async def _create(self, email: str) -> str:
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        how: Json = {"DesiredDeliveryMediums": ["EMAIL"]} if self._invite else {"MessageAction": "SUPPRESS"}
        try:
            answer = await self._call("AdminCreateUser", {"Username": email, "UserAttributes": attributes, **how})
        except AwsError as e:
            # Somebody else was quicker: the person is there now.
            if e.code == "UsernameExistsException" and (found := await self._find(email)):
                return found
            raise
        return _attribute(answer["User"]["Attributes"], "sub")

    async def _call(self, operation: str, body: Json) -> Json:
        request = {"UserPoolId": self._pool_id, **body}
        return await self._aws.call_json("cognito-idp", _TARGET + operation, request, json_version="1.1")


def _attribute(attributes: list[dict[str, Any]], name: str) -> str:
    return next(str(row["Value"]) for row in attributes if row["Name"] == name)
