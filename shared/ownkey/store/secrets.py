"""Secrets Manager: the text of one secret. Only functions that hold a secret of the operator's use it."""

from __future__ import annotations

from ownkey.domain.errors import StoreUnavailable
from ownkey.domain.secrets import Secret
from ownkey.store.aws import AwsClient, AwsError


class Secrets:
    """Reads secrets by ARN."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def read(self, arn: str) -> Secret:
        """The current version's text; empty where it has none.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        try:
            answer = await self._aws.call_json(
                "secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": arn}, json_version="1.1"
            )
        except AwsError as e:
            raise StoreUnavailable(f"Secrets Manager refused ({e.code}).") from e
        return Secret(answer.get("SecretString") or "")
