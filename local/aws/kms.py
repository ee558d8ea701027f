"""KMS's data plane and key states: moto keeps the keys, their material is used here.

moto decrypts with keys that are disabled or waiting for deletion, runs the names and values of an encryption context
together, so that {"a": "bc"} opens what {"ab": "c"} sealed, and ignores ReEncrypt's SourceKeyId.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto.core.utils import unix_time, utcnow
from moto.kms import models as moto_kms
from moto.kms.models import Key, KmsBackend, kms_backends

from local.aws.call import ACCOUNT_ID, AwsError, Call

Params = Mapping[str, Any]

_VERSION = b"\x01"
_NONCE_BYTES = 12
_MAX_PLAINTEXT_BYTES = 4096
_DATA_KEY_BYTES = {"AES_256": 32, "AES_128": 16}

_generate_private_key = moto_kms.generate_private_key  # type: ignore[attr-defined]


def _no_key_pair_for_symmetric_keys(key_spec: str) -> Any:
    """moto would make an RSA key pair, 0.1 s, for every symmetric key; nothing ever uses it."""
    return None if key_spec == "SYMMETRIC_DEFAULT" else _generate_private_key(key_spec)


moto_kms.generate_private_key = _no_key_pair_for_symmetric_keys  # type: ignore[attr-defined]


class Kms:
    """The operations that use a key's material or change its state."""

    def serves(self, operation: str) -> bool:
        """Whether the operation is answered here; moto serves the others."""
        return operation in _OPERATIONS

    def call(self, call: Call) -> dict[str, Any]:
        """The answer to one operation.

        Raises:
            AwsError: with KMS's code.
        """
        return _OPERATIONS[call.operation](kms_backends[ACCOUNT_ID][call.region], call.params)

    def arns(self, call: Call, *identifiers: str | None) -> list[str]:
        """The ARNs of the keys that these ids, ARNs or aliases stand for; those that do not exist are left out."""
        backend = kms_backends[ACCOUNT_ID][call.region]
        found = [_found(backend, identifier) for identifier in identifiers if identifier]
        return [key.arn for key in found if key is not None]

    def arn_of_ciphertext(self, call: Call) -> str | None:
        """The ARN of the key that sealed a call's CiphertextBlob, None where the blob is not one of ours."""
        try:
            key_id, _, _ = _unpacked(call.params)
        except AwsError:
            return None
        key = _found(kms_backends[ACCOUNT_ID][call.region], key_id)
        return key.arn if key else None


# ------------------------------------------------------------------ keys
def _found(backend: KmsBackend, identifier: str) -> Key | None:
    owner, _, name = identifier.rpartition(":")
    if name.startswith("alias/"):
        found = next((key for key in backend.keys.values() if name in key.aliases), None)
    else:
        found = backend.keys.get(name.removeprefix("key/"))
    # An ARN of another account or region is another key, whatever its id.
    return found if found is None or owner in ("", found.arn.rpartition(":")[0]) else None


def _key(backend: KmsBackend, identifier: Any) -> Key:
    if not isinstance(identifier, str) or not identifier:
        raise AwsError("ValidationException", "1 validation error detected: Value null at 'keyId'")
    key = _found(backend, identifier)
    if key is None:
        raise AwsError("NotFoundException", f"Key or alias '{identifier}' does not exist")
    return key


def _usable(key: Key) -> Key:
    """The key, where its kind and its state allow its use.

    Raises:
        AwsError: InvalidKeyUsageException, DisabledException, KMSInvalidStateException.
    """
    if key.key_spec != "SYMMETRIC_DEFAULT":
        raise AwsError("InvalidKeyUsageException", f"{key.arn} is no symmetric key for encryption.")
    if key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if not key.enabled:
        raise AwsError("DisabledException", f"{key.arn} is disabled.")
    return key


# ------------------------------------------------------------------ sealing
def _context(params: Params, member: str) -> bytes:
    """An encryption context as associated data, in which no two contexts look alike."""
    context = params.get(member) or {}
    if not all(isinstance(value, str) for value in context.values()):
        raise AwsError("SerializationException", f"{member} must map strings to strings.")
    return json.dumps(context, sort_keys=True, separators=(",", ":")).encode()


def _decoded(params: Params, member: str) -> bytes:
    try:
        return base64.b64decode(params[member], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise AwsError("SerializationException", f"{member} must be base64.") from None


def _seal(key: Key, plaintext: bytes, context: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    key_id = key.id.encode()
    sealed = AESGCM(key.key_material).encrypt(nonce, plaintext, context)
    return base64.b64encode(_VERSION + bytes([len(key_id)]) + key_id + nonce + sealed).decode()


def _unpacked(params: Params) -> tuple[str, bytes, bytes]:
    """A ciphertext's key id, nonce and content."""
    blob = _decoded(params, "CiphertextBlob")
    end = 2 + blob[1] if len(blob) > 1 else 0
    if blob[:1] != _VERSION or len(blob) < end + _NONCE_BYTES + 16:
        raise AwsError("InvalidCiphertextException", "")
    return blob[2:end].decode("ascii", "replace"), blob[end : end + _NONCE_BYTES], blob[end + _NONCE_BYTES :]


def _open(backend: KmsBackend, params: Params, key_member: str, context_member: str) -> tuple[Key, bytes]:
    key_id, nonce, sealed = _unpacked(params)
    key = backend.keys.get(key_id)
    if key is None:
        raise AwsError("AccessDeniedException", "The ciphertext refers to a key that does not exist in this region.")
    if (asked := params.get(key_member)) and _key(backend, asked) is not key:
        raise AwsError("IncorrectKeyException", "The key ID in the request does not identify the ciphertext's key.")
    _usable(key)
    try:
        return key, AESGCM(key.key_material).decrypt(nonce, sealed, _context(params, context_member))
    except InvalidTag:
        raise AwsError("InvalidCiphertextException", "") from None


# ------------------------------------------------------------------ operations
def _encrypt(backend: KmsBackend, params: Params) -> dict[str, Any]:
    key = _usable(_key(backend, params.get("KeyId")))
    plaintext = _decoded(params, "Plaintext")
    if not 1 <= len(plaintext) <= _MAX_PLAINTEXT_BYTES:
        raise AwsError("ValidationException", "1 validation error detected: 'plaintext' must have 1 to 4096 bytes")
    blob = _seal(key, plaintext, _context(params, "EncryptionContext"))
    return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def _decrypt(backend: KmsBackend, params: Params) -> dict[str, Any]:
    key, plaintext = _open(backend, params, "KeyId", "EncryptionContext")
    encoded = base64.b64encode(plaintext).decode()
    return {"Plaintext": encoded, "KeyId": key.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def _re_encrypt(backend: KmsBackend, params: Params) -> dict[str, Any]:
    source, plaintext = _open(backend, params, "SourceKeyId", "SourceEncryptionContext")
    destination = _usable(_key(backend, params.get("DestinationKeyId")))
    return {
        "CiphertextBlob": _seal(destination, plaintext, _context(params, "DestinationEncryptionContext")),
        "SourceKeyId": source.arn,
        "KeyId": destination.arn,
        "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


def _generate_data_key(backend: KmsBackend, params: Params) -> dict[str, Any]:
    key = _usable(_key(backend, params.get("KeyId")))
    spec, size = params.get("KeySpec"), params.get("NumberOfBytes")
    if (spec is None) == (size is None):
        raise AwsError("ValidationException", "Please specify either number of bytes or key spec.")
    length = _DATA_KEY_BYTES.get(spec, 0) if spec else size
    if not isinstance(length, int) or not 1 <= length <= 1024:
        raise AwsError("ValidationException", "1 validation error detected: 'keySpec' or 'numberOfBytes' is invalid")
    plaintext = os.urandom(length)
    return {
        "CiphertextBlob": _seal(key, plaintext, _context(params, "EncryptionContext")),
        "Plaintext": base64.b64encode(plaintext).decode(),
        "KeyId": key.arn,
    }


def _generate_data_key_without_plaintext(backend: KmsBackend, params: Params) -> dict[str, Any]:
    answer = _generate_data_key(backend, params)
    del answer["Plaintext"]
    return answer


# ------------------------------------------------------------------ states
def _lifecycle_key(backend: KmsBackend, params: Params, *, pending: bool) -> Key:
    """The key of an operation on states, which takes no alias, and is or is not for keys that await deletion."""
    identifier = params.get("KeyId")
    if isinstance(identifier, str) and "alias/" in identifier:
        raise AwsError("NotFoundException", f"Invalid keyId '{identifier}'")
    key = _key(backend, identifier)
    if (key.key_state == "PendingDeletion") != pending:
        raise AwsError("KMSInvalidStateException", f"{key.arn} is {'not ' if pending else ''}pending deletion.")
    return key


def _set_state(key: Key, state: str) -> Key:
    key.key_state = state
    key.enabled = state == "Enabled"
    return key


def _enable(backend: KmsBackend, params: Params) -> dict[str, Any]:
    _set_state(_lifecycle_key(backend, params, pending=False), "Enabled")
    return {}


def _disable(backend: KmsBackend, params: Params) -> dict[str, Any]:
    _set_state(_lifecycle_key(backend, params, pending=False), "Disabled")
    return {}


def _schedule_deletion(backend: KmsBackend, params: Params) -> dict[str, Any]:
    days = params.get("PendingWindowInDays", 30)
    if not 7 <= days <= 30:
        raise AwsError("ValidationException", "1 validation error detected: 'pendingWindowInDays' must be 7 to 30")
    key = _set_state(_lifecycle_key(backend, params, pending=False), "PendingDeletion")
    key.deletion_date = utcnow() + timedelta(days=days)
    return {
        "KeyId": key.arn,
        "KeyState": key.key_state,
        "DeletionDate": unix_time(key.deletion_date),
        "PendingWindowInDays": days,
    }


def _cancel_deletion(backend: KmsBackend, params: Params) -> dict[str, Any]:
    key = _set_state(_lifecycle_key(backend, params, pending=True), "Disabled")
    key.deletion_date = None
    return {"KeyId": key.arn}


_OPERATIONS: dict[str, Callable[[KmsBackend, Params], dict[str, Any]]] = {
    "Encrypt": _encrypt,
    "Decrypt": _decrypt,
    "ReEncrypt": _re_encrypt,
    "GenerateDataKey": _generate_data_key,
    "GenerateDataKeyWithoutPlaintext": _generate_data_key_without_plaintext,
    "EnableKey": _enable,
    "DisableKey": _disable,
    "ScheduleKeyDeletion": _schedule_deletion,
    "CancelKeyDeletion": _cancel_deletion,
}
