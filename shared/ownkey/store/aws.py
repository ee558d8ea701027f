"""One signed call to an AWS API over aiohttp: of the JSON protocols, or of the older query protocol.

```
StoreUnavailable (domain)         503: throttled, out of reach or failing after the retries
AwsError                          the service's own verdict: a code, a message and the body
```
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

import aiohttp
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session

from ownkey.domain.errors import StoreUnavailable

Json = dict[str, Any]
_Answer = TypeVar("_Answer")

_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.05
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=2, sock_read=5)
_THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "TooManyRequestsException",
    }
)
_KEEPALIVE_S = 30.0


class AwsError(Exception):
    """What the service answered with: `code` as in its `__type`, the HTTP status, the parsed body."""

    def __init__(self, service: str, code: str, message: str, status: int, body: Json) -> None:
        super().__init__(f"{service}: {code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.body = body


class AwsClient:
    """Signed calls to AWS for one event loop; connections are kept and reused over invocations.

    Endpoints are AWS's own for the region, or `AWS_ENDPOINT_URL` / `AWS_ENDPOINT_URL_<SERVICE>` as in AWS's SDKs.
    Credentials are botocore's business: its chain covers the function's environment, the container endpoint that
    SnapStart uses, and refreshes them.
    """

    def __init__(self, region: str | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self.region = region or self._environ.get("AWS_REGION") or self._environ.get("AWS_DEFAULT_REGION", "us-east-1")
        self._credentials: Credentials | None = None
        self._endpoints: dict[str, str] = {}
        self._http: aiohttp.ClientSession | None = None

    async def call_json(self, service: str, target: str, body: Json, *, json_version: str = "1.0") -> Json:
        """Calls `target` (`DynamoDB_20120810.GetItem`) of an AWS JSON-protocol service.

        Throttles, 5xx and broken connections are tried up to four times with jittered backoff.

        Raises:
            AwsError: the service refused.
            StoreUnavailable: it could not be reached, or kept failing.
        """
        headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{json_version}"}
        payload = json.dumps(body, separators=(",", ":")).encode()

        async def once() -> Json:
            status, _, data = await self.send(service, "POST", "/", payload, headers)
            answer = json.loads(data) if data else {}
            if status == 200:
                return answer
            code = str(answer.get("__type", "Unknown")).rpartition("#")[2]
            message = str(answer.get("message") or answer.get("Message") or "")
            raise AwsError(service, code, message, status, answer)

        return await self._retried(service, once)

    async def call_query(self, service: str, version: str, action: str, params: Mapping[str, str]) -> dict[str, str]:
        """Calls `action` of an AWS query-protocol service: a form in, XML out; retries as `call_json`.

        Returns the texts of the answer's innermost elements by their names: enough where no name stands twice.

        Raises:
            AwsError: the service refused.
            StoreUnavailable: it could not be reached, or kept failing.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        payload = urlencode({"Action": action, "Version": version, **params}).encode()

        async def once() -> dict[str, str]:
            status, _, data = await self.send(service, "POST", "/", payload, headers)
            texts = _innermost(data)
            if status == 200:
                return texts
            raise AwsError(service, texts.get("Code", "Unknown"), texts.get("Message", ""), status, {})

        return await self._retried(service, once)

    async def send(
        self, service: str, method: str, path: str, payload: bytes, headers: Mapping[str, str], *, timeout_s: float = 10
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One signed HTTP exchange, no retry: status, headers, body."""
        url = self._endpoint(service) + path
        request = AWSRequest(method=method, url=url, data=payload, headers=dict(headers))
        self._signer(service).add_auth(request)
        timeout = _TIMEOUT if timeout_s == 10 else aiohttp.ClientTimeout(total=timeout_s, sock_connect=2)
        async with self._session().request(
            method, url, data=payload, headers=dict(request.headers.items()), allow_redirects=False, timeout=timeout
        ) as response:
            return response.status, response.headers, await response.read()

    async def close(self) -> None:
        """Closes the connections; the client may be used again afterwards."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _retried(self, service: str, once: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for attempt in range(_ATTEMPTS):
            try:
                return await once()
            except AwsError as e:
                if e.status < 500 and e.code not in _THROTTLES:
                    raise
                cause: Exception = e
            except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError, ElementTree.ParseError) as e:
                cause = e
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(_FIRST_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        raise StoreUnavailable(f"AWS {service} did not answer.", retry_after_s=1) from cause

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None or self._http.closed:
            connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=_KEEPALIVE_S)
            self._http = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
            )
        return self._http

    def _signer(self, service: str) -> SigV4Auth:
        if self._credentials is None:
            self._credentials = get_session().get_credentials()
            if self._credentials is None:
                raise StoreUnavailable("The function has no AWS credentials.", fix="Run it under an execution role.")
        # Frozen anew for each call: refreshable credentials renew themselves here.
        return SigV4Auth(self._credentials.get_frozen_credentials(), service, self.region)

    def _endpoint(self, service: str) -> str:
        if service not in self._endpoints:
            override = self._environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or self._environ.get("AWS_ENDPOINT_URL")
            suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
            self._endpoints[service] = (override or f"https://{service}.{self.region}.{suffix}").rstrip("/")
        return self._endpoints[service]


def _innermost(xml: bytes) -> dict[str, str]:
    # From AWS over TLS; and expat itself stops entities that grow.
    elements = ElementTree.fromstring(xml).iter()  # noqa: S314
    return {each.tag.rpartition("}")[2]: each.text or "" for each in elements if len(each) == 0}
