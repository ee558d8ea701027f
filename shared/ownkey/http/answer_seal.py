"""An answer sealed so that only who asked can open it: pure.

```
gateway key, Idempotency-Key, SHA-256 of the request ──HKDF-SHA256, random salt──▶ encryption key, fingerprint
answer ──zlib──▶ AES-256-GCM(encryption key, 96-bit random nonce, AAD = whose and which) ──▶ nonce, ciphertext
```
None of the three is stored: of the gateway key the tables have a digest, of the others nothing. So the tables alone do
not show what was answered, nor can guesses of prompts be tried on them: the gateway key has 256 random bits. The
fingerprint is stored, tells one request from another, and commits to the key as GCM does not.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ownkey.domain.credentials import CredentialSource
from ownkey.domain.secrets import Secret
from ownkey.router import Served

SALT_BYTES = 16
MAX_PLAIN_BYTES = 20_000_000
"""Of an answer before it is compressed: what is sealed has to be opened within a function's memory."""
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PURPOSE = b"ownkey/answers/1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What makes a request the same one again."""

    account_id: str
    gateway_key_id: str
    surface: str
    gateway_key: Secret
    """As presented."""
    idempotency_key: str
    request: bytes
    """SHA-256 of its body."""

    def keys(self, salt: bytes) -> SealKeys:
        """The two keys."""
        # Each part by its length: no two requests run together into the same bytes.
        parts = (self.gateway_key.reveal().encode(), self.idempotency_key.encode(), self.request)
        material = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        derived = HKDF(SHA256(), 2 * _KEY_BYTES, salt, _PURPOSE + b"\x1f" + self._whose()).derive(material)
        return SealKeys(derived[:_KEY_BYTES], derived[_KEY_BYTES:].hex(), self._whose())

    def _whose(self) -> bytes:
        return "\x1f".join((self.account_id, self.gateway_key_id, self.surface)).encode()


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Made by `Asked.keys`: `encryption` is secret, `fingerprint` is stored."""

    encryption: bytes = field(repr=False)
    fingerprint: str
    whose: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """An answer without its body. Its status is 200: no other one is kept."""

    request_id: str
    """Of the request that was served: the key of its records."""
    headers: Mapping[str, str]
    served: Served
    attempts: int

    def to_json(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def of_json(line: bytes) -> Head:
        """The inverse of `to_json`."""
        values: dict[str, Any] = json.loads(line)
        served = values["served"]
        known = {"source": CredentialSource(served["source"]), "dropped": tuple(served.get("dropped", ()))}
        values["served"] = Served(**served | known)
        return Head(**values)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Packer:
    """Compresses an answer while it goes by, up to a bound.

    Args:
        max_bytes: Of the compressed answer.
    """

    def __init__(self, head: Head, max_bytes: int) -> None:
        self._zlib: _Compressor = zlib.compressobj(1)
        self._left = max_bytes
        self._plain_left = MAX_PLAIN_BYTES
        self._packed: list[bytes] | None = []
        self.take(head.to_json() + b"\n")

    def take(self, data: bytes) -> None:
        """The next piece of the body."""
        if self._packed is None:
            return
        self._plain_left -= len(data)
        self._add(self._zlib.compress(data))

    def packed(self) -> bytes | None:
        """All of it; None: it is too large. Once."""
        if self._packed is not None:
            self._add(self._zlib.flush())
        return None if self._packed is None else b"".join(self._packed)

    def _add(self, data: bytes) -> None:
        assert self._packed is not None
        self._left -= len(data)
        if self._left < 0 or self._plain_left < 0:
            self._packed = None
        elif data:
            self._packed.append(data)


def seal(keys: SealKeys, packed: bytes) -> bytes:
    """Nonce and ciphertext."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(keys.encryption).encrypt(nonce, packed, keys.whose)


def unseal(keys: SealKeys, sealed: bytes) -> tuple[Head, bytes]:
    """Head and body.

    Raises:
        cryptography.exceptions.InvalidTag: a bit of it is not as it was sealed, or it was sealed for another request.
    """
    packed = AESGCM(keys.encryption).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], keys.whose)
    line, _, body = zlib.decompress(packed).partition(b"\n")
    return Head.of_json(line), body
