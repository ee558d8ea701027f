"""Wycheproof's AES-GCM vectors, through the functions that every secret is sealed and opened with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ownkey.domain.credentials import Binding
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.secrets import Secret
from ownkey.vault import envelope

VECTORS = Path(__file__).parent.parent / "contract" / "fixtures" / "wycheproof" / "aes_gcm_test.json"
NONCE_BYTES = range(8, 129)
"""What the library takes. Wycheproof calls other lengths valid but for the empty one; the vault's own is 12."""


@dataclass(frozen=True)
class Vector:
    """One test of the file; bytes are decoded."""

    id: int
    key: bytes
    nonce: bytes
    aad: bytes
    plaintext: bytes
    ciphertext: bytes
    """With its tag behind it, as the vault stores it."""
    valid: bool

    @property
    def applicable(self) -> bool:
        """Refusing an invalid vector is right whatever its reason."""
        return not self.valid or len(self.nonce) in NONCE_BYTES

    @property
    def as_in_the_vault(self) -> bool:
        return len(self.key) == 32 and len(self.nonce) == envelope.NONCE_BYTES


def read() -> list[Vector]:
    def vector(test: dict[str, str]) -> Vector:
        key, nonce, aad, plaintext, body, tag = (
            bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        return Vector(int(test["tcId"]), key, nonce, aad, plaintext, body + tag, test["result"] == "valid")

    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [vector(test) for group in groups for test in group["tests"]]


ALL = read()


def opens(vector: Vector) -> bytes | None:
    """What the vault's primitive makes of it; None where it refuses."""
    try:
        return envelope.open_bytes(vector.key, vector.nonce, vector.aad, vector.ciphertext)
    except CredentialUndecryptable:
        return None


def passes(vector: Vector) -> bool:
    if not vector.valid:
        return opens(vector) is None
    sealed = envelope.seal_bytes(vector.key, vector.nonce, vector.aad, vector.plaintext)
    return opens(vector) == vector.plaintext and sealed == vector.ciphertext


def test_every_vector_passes(record_property: Callable[[str, object], None]) -> None:
    """Valid ones open, and seal to the same bytes; invalid ones are refused."""
    applicable = [vector for vector in ALL if vector.applicable]
    failed = [vector.id for vector in applicable if not passes(vector)]
    assert failed == []
    assert (len(ALL), len(applicable)) == (316, 289)
    assert Counter(vector.valid for vector in applicable) == {True: 202, False: 87}
    assert sum(vector.as_in_the_vault for vector in applicable) == 66
    record_property("vectors_passed", len(applicable))
    record_property("vectors_of_the_vaults_own_sizes", 66)


def test_the_vectors_that_do_not_apply_are_those_of_nonces_the_library_refuses(
    record_property: Callable[[str, object], None],
) -> None:
    """Refused both ways, never taken for something else."""
    outside = [vector for vector in ALL if not vector.applicable]
    assert Counter(len(vector.nonce) for vector in outside) == {1: 6, 2: 6, 4: 6, 6: 6, 257: 3}
    for vector in outside:
        assert opens(vector) is None
        with pytest.raises(ValueError):
            envelope.seal_bytes(vector.key, vector.nonce, vector.aad, vector.plaintext)
    record_property("vectors_not_applicable", len(outside))


def test_secrets_go_through_the_same_two_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a 256-bit key, a 96-bit nonce, and the binding as associated data."""
    seen: list[tuple[str, int, int, bytes]] = []

    def watched(name: str) -> None:
        function = getattr(envelope, name)

        def call(key: bytes, nonce: bytes, aad: bytes, text: bytes) -> bytes:
            seen.append((name, len(key), len(nonce), aad))
            return function(key, nonce, aad, text)

        monkeypatch.setattr(envelope, name, call)

    watched("seal_bytes")
    watched("open_bytes")
    binding, keys = Binding("acme", "openai", "cred_1", 1, "https://api.openai.com/v1"), envelope.derive(bytes(32))
    nonce, ciphertext = envelope.encrypt(keys, binding, {"key": Secret("sk-plain")})
    assert envelope.decrypt(keys.encryption, binding, nonce, ciphertext)["key"].reveal() == "sk-plain"
    assert seen == [(name, 32, 12, binding.associated_data()) for name in ("seal_bytes", "open_bytes")]
