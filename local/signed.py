"""Calls to AWS on loopback for the stack's own pollers: signed, asynchronous, without a client per service."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.resources import SECRET_ACCESS_KEY

Json = dict[str, Any]
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class AwsFailure(Exception):
    """AWS on loopback refused a call, or did not answer; `code` is the service's word for why, if it gave one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class SignedCalls:
    """Calls under one access key."""

    def __init__(self, endpoint_url: str, region: str, access_key: str) -> None:
        self._endpoint_url = endpoint_url.rstrip("/") + "/"
        self._region = region
        self._credentials = Credentials(access_key, SECRET_ACCESS_KEY)
        self._http: aiohttp.ClientSession | None = None

    async def call(self, service: str, target: str, body: Json) -> Json:
        """Calls an operation of a JSON-protocol service, as `DynamoDBStreams_20120810.GetRecords`.

        Raises:
            AwsFailure: it was refused, or there was no answer.
        """
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
        try:
            status, answer = await self._send(service, "POST", "", json.dumps(body).encode(), headers)
            parsed: Json = json.loads(answer)
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            raise AwsFailure(f"{target}: {type(e).__name__}: {e}") from e
        if status != 200:
            code = str(parsed.get("__type", "")).rpartition("#")[2]
            raise AwsFailure(f"{target}: {code}: {parsed.get('message') or parsed.get('Message')}", code)
        return parsed

    async def put_object(self, bucket: str, key: str, body: bytes) -> None:
        """Puts an object into a bucket.

        Raises:
            AwsFailure: it was refused, or there was no answer.
        """
        try:
            status, answer = await self._send("s3", "PUT", f"{bucket}/{key}", body, {})
        except (aiohttp.ClientError, TimeoutError) as e:
            raise AwsFailure(f"PutObject: {type(e).__name__}: {e}") from e
        if status != 200:
            raise AwsFailure(f"PutObject: {status}: {answer.decode(errors='replace')}")

    async def close(self) -> None:
        """Closes the connections."""
        if self._http is not None:
            await self._http.close()

    async def _send(
        self, service: str, method: str, path: str, payload: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        request = AWSRequest(method=method, url=self._endpoint_url + path, data=payload, headers=headers)
        SigV4Auth(self._credentials, service, self._region).add_auth(request)
        async with self._http.request(
            method, self._endpoint_url + path, data=payload, headers=dict(request.headers.items())
        ) as answer:
            return answer.status, await answer.read()
