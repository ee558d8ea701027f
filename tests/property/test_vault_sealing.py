"""What no input may break: whatever was sealed opens again for its own identity, and for nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict, replace
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.secrets import Secret
from ownkey.vault import Opener, Rewrapper, Sealer
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms

NOW = "2026-11-21T08:00:00Z"
names = st.text(min_size=1, max_size=24)
bindings = st.builds(
    Binding,
    account_id=names,
    provider_id=names,
    credential_id=names,
    version=st.integers(1, 10**8),
    destination=st.text(min_size=1, max_size=60),
)
fields = st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5)
IDENTITY = ("account_id", "provider_id", "credential_id", "destination")
SEALED_BYTES = ("wrapped_key", "nonce", "ciphertext", "commitment")
examples = settings(max_examples=100, deadline=None)


def sealed_with(kms: FakeKms, binding: Binding, plain: dict[str, str], kms_key_id: str | None = None) -> SealedSecret:
    secrets = {name: Secret(value) for name, value in plain.items()}
    return asyncio.run(Sealer(kms, KMS_KEY).seal(binding, secrets, now=NOW, kms_key_id=kms_key_id))


def opener_of(kms: FakeKms) -> Opener:
    return Opener(kms, on_open=lambda _: None)


def opened(kms: FakeKms, binding: Binding, sealed: SealedSecret, opener: Opener | None = None) -> dict[str, str]:
    fields = asyncio.run((opener or opener_of(kms)).open(binding, sealed))
    return {name: secret.reveal() for name, secret in fields.items()}


@examples
@given(bindings, fields)
def test_any_fields_come_back_as_they_were(binding: Binding, plain: dict[str, str]) -> None:
    kms = FakeKms()
    assert opened(kms, binding, sealed_with(kms, binding, plain)) == plain


@examples
@given(bindings, st.sampled_from(IDENTITY), names)
def test_a_secret_moved_to_another_identity_does_not_open(binding: Binding, field: str, other: str) -> None:
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": "sk-plain"})
    moved = replace(binding, **{field: getattr(binding, field) + other})
    with pytest.raises(CredentialUndecryptable):
        opened(kms, moved, sealed)


@examples
@given(bindings)
def test_two_identities_whose_parts_run_together_differ(binding: Binding) -> None:
    """Length prefixes: moving a character from one part to the next is another identity."""
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": "sk-plain"})
    shifted = replace(
        binding,
        account_id=binding.account_id[:-1],
        provider_id=binding.account_id[-1] + binding.provider_id,
    )
    assert shifted.associated_data() != binding.associated_data()
    with pytest.raises(CredentialUndecryptable):
        opened(kms, shifted, sealed)


@examples
@given(bindings, st.integers(1, 10**8))
def test_an_older_version_does_not_open_as_a_newer_one(binding: Binding, step: int) -> None:
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": "sk-plain"})
    newer = replace(binding, version=binding.version + step)
    with pytest.raises(CredentialUndecryptable):
        opened(kms, newer, sealed)
    with pytest.raises(CredentialUndecryptable):
        opened(kms, newer, replace(sealed, version=newer.version))
    with pytest.raises(CredentialUndecryptable):
        opened(kms, binding, replace(sealed, version=newer.version))


@examples
@given(st.data(), bindings, st.sampled_from(SEALED_BYTES), st.integers(1, 255), st.booleans())
def test_any_changed_byte_is_refused(data: st.DataObject, binding: Binding, field: str, flip: int, warm: bool) -> None:
    """Also by an opener that has the right data key in its cache."""
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": "sk-plain"})
    intact: bytes = getattr(sealed, field)
    at = data.draw(st.integers(0, len(intact) - 1))
    altered = intact[:at] + bytes([intact[at] ^ flip]) + intact[at + 1 :]
    opener = opener_of(kms)
    if warm:
        opened(kms, binding, sealed, opener)
    with pytest.raises(CredentialUndecryptable):
        opened(kms, binding, replace(sealed, **{field: altered}), opener)


@examples
@given(bindings, bindings, st.sets(st.sampled_from((*SEALED_BYTES, "kms_key_id")), min_size=1), st.booleans())
def test_parts_of_another_secret_are_refused(one: Binding, other: Binding, parts: set[str], warm: bool) -> None:
    """Of whatever identity, alone or together, also by an opener that has both data keys in its cache."""
    kms = FakeKms()
    own, foreign = sealed_with(kms, one, {"key": "sk-own"}), sealed_with(kms, other, {"key": "sk-f"}, OWN_KMS_KEY)
    assume(one != other or len(parts) <= len(SEALED_BYTES))
    opener = opener_of(kms)
    if warm:
        opened(kms, one, own, opener)
        opened(kms, other, foreign, opener)
    mixed = replace(own, **{part: getattr(foreign, part) for part in parts})
    with pytest.raises(CredentialUndecryptable):
        opened(kms, one, mixed, opener)


@examples
@given(bindings, fields, st.lists(st.sampled_from((KMS_KEY, OWN_KMS_KEY)), min_size=1, max_size=4))
def test_a_secret_opens_wherever_it_was_rewrapped_to(binding: Binding, plain: dict[str, str], keys: list[str]) -> None:
    kms = FakeKms()
    sealed = first = sealed_with(kms, binding, plain)
    for key in keys:
        sealed = asyncio.run(Rewrapper(kms).rewrap(binding, sealed, key))
    assert opened(kms, binding, sealed) == opened(kms, binding, first) == plain
    assert replace(sealed, wrapped_key=first.wrapped_key, kms_key_id=first.kms_key_id) == first
    assert sealed.kms_key_id == keys[-1]


@examples
@given(st.data(), bindings, st.sampled_from(SEALED_BYTES))
def test_any_shortened_field_is_refused(data: st.DataObject, binding: Binding, field: str) -> None:
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": "sk-plain"})
    intact: bytes = getattr(sealed, field)
    kept = data.draw(st.integers(0, len(intact) - 1))
    with pytest.raises(CredentialUndecryptable):
        opened(kms, binding, replace(sealed, **{field: intact[:kept]}))


@examples
@given(bindings, st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=80))
def test_the_plain_text_is_nowhere_in_what_is_stored(binding: Binding, key: str) -> None:
    kms = FakeKms()
    sealed = sealed_with(kms, binding, {"key": key})
    stored = b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in asdict(sealed).values())
    for form in (key, json.dumps(key)[1:-1], quote(key, safe=""), base64.b64encode(key.encode()).decode()):
        assert form.encode() not in stored
        assert form not in repr(sealed)


@examples
@given(bindings)
def test_each_sealing_has_its_own_data_key_and_nonce(binding: Binding) -> None:
    kms = FakeKms()
    first, second = (sealed_with(kms, binding, {"key": "sk-plain"}) for _ in range(2))
    assert kms.made == 2
    for field in SEALED_BYTES:
        assert getattr(first, field) != getattr(second, field)
