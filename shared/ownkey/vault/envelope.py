"""One data key, one secret: AES-256-GCM with a key commitment. Pure; the data key comes from KMS.

```
data key (256 bits, KMS) ──HKDF-SHA256──▶ encryption key, commitment
fields ──canonical JSON──▶ AES-256-GCM(encryption key, 96-bit random nonce, AAD = the binding) ──▶ ciphertext
```

GCM does not commit to its key: a ciphertext can be made that opens under two keys. Whoever could swap the wrapped key
could then choose what is read. The commitment, checked before decryption, rules that out (the AWS Encryption SDK
does the same: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/concepts.html#key-commitment).
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ownkey.domain.credentials import SEAL_SCHEMA, Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.secrets import Secret

NONCE_BYTES = 12
_KEY_BYTES = 32
_ENCRYPTION = f"ownkey/vault/{SEAL_SCHEMA}/encryption".encode()
_COMMITMENT = f"ownkey/vault/{SEAL_SCHEMA}/commitment".encode()


@dataclass(frozen=True, slots=True)
class DerivedKeys:
    """What HKDF makes of a data key: `encryption` is secret, `commitment` is stored beside the ciphertext."""

    encryption: bytes = field(repr=False)
    commitment: bytes


def derive(data_key: bytes) -> DerivedKeys:
    """The two keys of a data key (32 bytes each). The data key is uniformly random, so HKDF needs no salt."""
    return DerivedKeys(_expand(data_key, _ENCRYPTION), _expand(data_key, _COMMITMENT))


def seal_bytes(key: bytes, nonce: bytes, associated_data: bytes, plaintext: bytes) -> bytes:
    """AES-GCM: the ciphertext and its 16-byte tag. Every secret goes through here, and Wycheproof's vectors do."""
    return AESGCM(key).encrypt(nonce, plaintext, associated_data)


def open_bytes(key: bytes, nonce: bytes, associated_data: bytes, ciphertext: bytes) -> bytes:
    """The inverse of `seal_bytes`.

    Raises:
        CredentialUndecryptable: any bit of nonce, ciphertext, tag or associated data differs from what was sealed, or
            the nonce has a length that GCM does not take here (8 to 128 bytes).
    """
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated_data)
    except (InvalidTag, ValueError) as e:
        raise CredentialUndecryptable("The stored secret was altered, or sealed for another credential.") from e


def encrypt(keys: DerivedKeys, binding: Binding, fields: Mapping[str, Secret]) -> tuple[bytes, bytes]:
    """A fresh nonce and the ciphertext of the fields, bound to the identity."""
    nonce = os.urandom(NONCE_BYTES)
    plaintext = json.dumps(
        {name: value.reveal() for name, value in fields.items()}, sort_keys=True, separators=(",", ":")
    ).encode()
    return nonce, seal_bytes(keys.encryption, nonce, binding.associated_data(), plaintext)


def check_openable(binding: Binding, sealed: SealedSecret) -> None:
    """What can be told without KMS.

    Raises:
        CredentialUndecryptable: the secret is of another version, or its data key's wrapping is deleted.
    """
    if sealed.version != binding.version:
        raise CredentialUndecryptable("The stored secret is of another version than its credential.")
    if not sealed.wrapped_key:
        raise CredentialUndecryptable(
            "The stored secret was shredded: its data key is deleted.",
            fix="Paste the provider key again (POST /api/byok/{id}/rotate): nothing brings the shredded one back.",
        )


def check_commitment(keys: DerivedKeys, commitment: bytes) -> None:
    """Compares in constant time.

    Raises:
        CredentialUndecryptable: the data key is not the one the secret was sealed under.
    """
    if not hmac.compare_digest(keys.commitment, commitment):
        raise CredentialUndecryptable("The stored secret does not belong to its data key.")


def decrypt(encryption_key: bytes, binding: Binding, nonce: bytes, ciphertext: bytes) -> dict[str, Secret]:
    """The fields.

    Raises:
        CredentialUndecryptable: any bit of nonce, ciphertext or binding differs from what was sealed.
    """
    plaintext = open_bytes(encryption_key, nonce, binding.associated_data(), ciphertext)
    return {name: Secret(value) for name, value in json.loads(plaintext).items()}


def _expand(data_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(data_key)
