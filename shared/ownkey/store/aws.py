"""One signed call to an AWS API: of the JSON protocols, or of the older query protocol.

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
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

from botocore.credentials import Credentials
from botocore.session import get_session

from ownkey.domain.errors import StoreUnavailable
from ownkey.store.sigv4 import Signer
from ownkey.wire import http1
from ownkey.wire.client import Client, Origin, Patience
from ownkey.wire.http1 import Answer

Json = dict[str, Any]
_Result = TypeVar("_Result")

_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.05
_PATIENCE = Patience()
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
_encode = json.JSONEncoder(separators=(",", ":")).encode


class AwsError(Exception):
    """What the service answered with: `code` as in its `__type`, the HTTP status, the parsed body."""

    def __init__(self, service: str, code: str, message: str, status: int, body: Json) -> None:
        super().__init__(f"{service}: {code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.body = body


class _Service(NamedTuple):
    """An AWS service as this client reaches it."""

    origin: Origin
    signer: Signer


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
        self._services: dict[str, _Service] = {}
        self._client = Client()

    async def call_json(self, service: str, target: str, body: Json, *, json_version: str = "1.0") -> Json:
        """Calls `target` (`DynamoDB_20120810.GetItem`) of an AWS JSON-protocol service.

        Throttles, 5xx and broken connections are tried up to four times with jittered backoff.

        Raises:
            AwsError: the service refused.
            StoreUnavailable: it could not be reached, or kept failing.
        """
        headers = {"content-type": f"application/x-amz-json-{json_version}", "x-amz-target": target}
        return await self._retried(service, headers, _encode(body).encode(), _from_json)

    async def call_query(self, service: str, version: str, action: str, params: Mapping[str, str]) -> dict[str, str]:
        """Calls `action` of an AWS query-protocol service: a form in, XML out; retries as `call_json`.

        Returns the texts of the answer's innermost elements by their names: enough where no name stands twice.

        Raises:
            AwsError: the service refused.
            StoreUnavailable: it could not be reached, or kept failing.
        """
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        payload = urlencode({"Action": action, "Version": version, **params}).encode()
        return await self._retried(service, headers, payload, _from_xml)

    async def send(
        self, service: str, method: str, path: str, payload: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> Answer:
        """One signed HTTP exchange, no retry.

        Args:
            path: Quoted, without a query.
            headers: Names in lower case.
            timeout_s: For all of it; the service may be silent until then.

        Raises:
            OSError: no whole answer (TimeoutError: in time). The service may have acted.
        """
        patience = Patience(silence_s=timeout_s, whole_s=timeout_s)
        return await self._exchange(service, method, path, payload, headers, patience)

    async def close(self) -> None:
        """Closes the connections; the client may be used again afterwards."""
        await self._client.close()

    async def _retried(
        self, service: str, headers: Mapping[str, str], payload: bytes, read: Callable[[str, Answer], _Result]
    ) -> _Result:
        for attempt in range(_ATTEMPTS):
            try:
                return read(service, await self._exchange(service, "POST", "/", payload, headers, _PATIENCE))
            except AwsError as e:
                if e.status < 500 and e.code not in _THROTTLES:
                    raise
                cause: Exception = e
            except (OSError, json.JSONDecodeError, ElementTree.ParseError) as e:
                cause = e
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(_FIRST_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        raise StoreUnavailable(f"AWS {service} did not answer.", retry_after_s=1) from cause

    async def _exchange(
        self, service: str, method: str, path: str, payload: bytes, headers: Mapping[str, str], patience: Patience
    ) -> Answer:
        origin, signer = self._services.get(service) or self._reached(service)
        if origin.prefix:
            path = origin.prefix + path
        # Frozen anew for each call: refreshable credentials renew themselves here.
        credentials = self._known_credentials().get_frozen_credentials()
        signed = signer.headers(credentials, method, origin.authority, path, headers, payload, time.time())
        return await self._client.ask(origin, http1.request(method, path, signed, payload), patience)

    def _known_credentials(self) -> Credentials:
        if self._credentials is None:
            self._credentials = get_session().get_credentials()
            if self._credentials is None:
                raise StoreUnavailable("The function has no AWS credentials.", fix="Run it under an execution role.")
        return self._credentials

    def _reached(self, service: str) -> _Service:
        override = self._environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or self._environ.get("AWS_ENDPOINT_URL")
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        origin = Origin.of(override or f"https://{service}.{self.region}.{suffix}")
        self._services[service] = found = _Service(origin, Signer(service, self.region))
        return found


def _from_json(service: str, answer: Answer) -> Json:
    """What a service of the JSON protocols says.

    Raises:
        AwsError: it refuses.
        JSONDecodeError: it is not the service that speaks.
    """
    body: Json = json.loads(answer.body) if answer.body else {}
    if answer.status == 200:
        return body
    code = str(body.get("__type", "Unknown")).rpartition("#")[2]
    message = str(body.get("message") or body.get("Message") or "")
    raise AwsError(service, code, message, answer.status, body)


def _from_xml(service: str, answer: Answer) -> dict[str, str]:
    """The same of the query protocol.

    Raises:
        AwsError: it refuses.
        ParseError: it is not the service that speaks.
    """
    texts = _innermost(answer.body)
    if answer.status == 200:
        return texts
    raise AwsError(service, texts.get("Code", "Unknown"), texts.get("Message", ""), answer.status, {})


def _innermost(xml: bytes) -> dict[str, str]:
    # From AWS over TLS; and expat itself stops entities that grow.
    elements = ElementTree.fromstring(xml).iter()  # noqa: S314
    return {each.tag.rpartition("}")[2]: each.text or "" for each in elements if len(each) == 0}
