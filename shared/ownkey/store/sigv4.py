"""AWS Signature Version 4 for the requests made here: one path, no query, the payload at hand.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html

botocore's own signs any request of any service, and takes seven times as long over it; where credentials come from
stays its business. A property test holds the two against each other (docs/decisions/0011-hot-path.md).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class SigningKeys(Protocol):
    """Keys of AWS, as botocore's frozen credentials have them."""

    @property
    def access_key(self) -> str | None:
        """Its id."""

    @property
    def secret_key(self) -> str | None:
        """What signs."""

    @property
    def token(self) -> str | None:
        """Of temporary keys."""


class Signer:
    """Signs for one service in one region. Keeps the day's signing key: it is four HMACs, the same for every call."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._key_of = ("", "")
        self._key = b""

    def headers(
        self,
        credentials: SigningKeys,
        method: str,
        host: str,
        path: str,
        headers: Mapping[str, str],
        payload: bytes,
        now_s: float,
    ) -> dict[str, str]:
        """All of the request's headers but its length: `headers`, the host, the date, the signature.

        Args:
            path: As it stands in the request: quoted, no `//`, no `.` or `..`, no query.
            headers: Names in lower case; all are signed.
            now_s: Epoch seconds.
        """
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        signed = {**headers, "host": host, "x-amz-date": at}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        # Runs of white space count as one space in what is signed.
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        signed_names = ";".join(names)
        # Of a path that is quoted, the quotes are quoted again: so it is for every service but S3.
        canonical = f"{method}\n{quote(path, safe='/~')}\n\n{lines}\n{signed_names}\n{sha256(payload).hexdigest()}"
        day = at[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"{_ALGORITHM}\n{at}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(credentials.secret_key or "", day), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed_names}, "
            f"Signature={signature}"
        )
        return signed

    def _signing_key(self, secret_key: str, day: str) -> bytes:
        if self._key_of != (secret_key, day):
            key = f"AWS4{secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key_of, self._key = (secret_key, day), key
        return self._key
