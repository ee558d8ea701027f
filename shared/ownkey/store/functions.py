"""Invoking another function and waiting for its answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from ownkey.domain.errors import GatewayFailure
from ownkey.store.aws import AwsClient


class Functions:
    """Synchronous Lambda invocations: never retried here, since the callee acts on the world."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def invoke(self, name: str, payload: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """The function's JSON result.

        Raises:
            GatewayFailure: the function could not be invoked, failed or did not answer in time.
        """
        path = f"/2015-03-31/functions/{quote(name, safe='')}/invocations"
        headers = {"x-amz-invocation-type": "RequestResponse", "content-type": "application/json"}
        body = json.dumps(payload).encode()
        try:
            answer = await self._aws.send("lambda", "POST", path, body, headers, timeout_s=timeout_s)
        except OSError as e:
            raise GatewayFailure("An internal function did not answer.", retry_after_s=1) from e
        if answer.status != 200 or "x-amz-function-error" in answer.headers:
            raise GatewayFailure(f"An internal function failed (status {answer.status}).", retry_after_s=1)
        return json.loads(answer.body)  # type: ignore[no-any-return]
