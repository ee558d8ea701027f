"""Moving secrets to another KMS key: nothing is opened on the way, and nothing but the wrapping changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable, KmsKeyUnusable, VaultUnavailable
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import Opener, Rewrapper, Sealer
from tests.support.aws import Tables, boto
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms, kms_of_a_role

NOW = "2026-11-21T08:00:00Z"
BINDING = Binding("acme", "openai", "cred_1", 1, "https://api.openai.com/v1")
FIELDS = {"key": Secret("sk-proj-0123456789abcdefghijABCD")}


def opener_of(kms: Kms | FakeKms) -> Opener:
    return Opener(kms, on_open=lambda _: None)


async def seal(tables: Tables) -> SealedSecret:
    return await Sealer(Kms(tables.aws), tables.kms_key_id).seal(BINDING, FIELDS, now=NOW)


def new_key(tables: Tables) -> str:
    return str(boto("kms", tables.endpoint).create_key()["KeyMetadata"]["Arn"])


async def test_only_the_wrapping_and_its_key_change() -> None:
    kms = FakeKms()
    sealed = await Sealer(kms, KMS_KEY).seal(BINDING, FIELDS, now=NOW)
    moved = await Rewrapper(kms).rewrap(BINDING, sealed, OWN_KMS_KEY)
    assert moved.kms_key_id == OWN_KMS_KEY
    assert moved.wrapped_key != sealed.wrapped_key
    assert replace(moved, wrapped_key=sealed.wrapped_key, kms_key_id=KMS_KEY) == sealed
    assert (kms.made, kms.opened, kms.rewrapped) == (1, 0, 1)


async def test_both_wrappings_open_so_a_killed_run_leaves_nothing_unreadable() -> None:
    kms = FakeKms()
    sealed = await Sealer(kms, KMS_KEY).seal(BINDING, FIELDS, now=NOW)
    moved = await Rewrapper(kms).rewrap(BINDING, sealed, OWN_KMS_KEY)
    opener = opener_of(kms)
    for secret in (sealed, moved, sealed, moved):
        assert await opener.open(BINDING, secret) == FIELDS
    assert kms.opened == 2  # each wrapping is cached by itself
    kms.disabled.add(KMS_KEY)
    assert await opener_of(kms).open(BINDING, moved) == FIELDS


async def test_it_needs_neither_to_open_nor_to_seal(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed, other = await seal(tables), new_key(tables)
    async with kms_of_a_role(
        tables, monkeypatch, BINDING, ReEncryptFrom=[tables.kms_key_id], ReEncryptTo=[other]
    ) as kms:
        moved = await Rewrapper(kms).rewrap(BINDING, sealed, other)
        assert moved.kms_key_id == other
        for secret in (sealed, moved):
            with pytest.raises(CredentialUndecryptable, match="AccessDenied"):
                await opener_of(kms).open(BINDING, secret)
        with pytest.raises(VaultUnavailable, match="AccessDenied"):
            await Sealer(kms, other).seal(BINDING, FIELDS, now=NOW)
    assert await opener_of(Kms(tables.aws)).open(BINDING, moved) == FIELDS


async def test_an_end_that_is_forbidden_is_named_by_the_error(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed, other = await seal(tables), new_key(tables)
    async with kms_of_a_role(tables, monkeypatch, BINDING, ReEncryptFrom=[tables.kms_key_id]) as kms:
        with pytest.raises(KmsKeyUnusable, match="AccessDenied"):
            await Rewrapper(kms).rewrap(BINDING, sealed, other)
    async with kms_of_a_role(tables, monkeypatch, BINDING, ReEncryptTo=[other]) as kms:
        with pytest.raises(CredentialUndecryptable, match="AccessDenied"):
            await Rewrapper(kms).rewrap(BINDING, sealed, other)


async def test_a_destination_that_kms_does_not_wrap_under_is_not_the_secrets_fault(tables: Tables) -> None:
    keys, rewrapper, sealed = boto("kms", tables.endpoint), Rewrapper(Kms(tables.aws)), await seal(tables)
    disabled, going = new_key(tables), new_key(tables)
    keys.disable_key(KeyId=disabled)
    keys.schedule_key_deletion(KeyId=going, PendingWindowInDays=7)
    missing = going[:-12] + "000000000000"
    for destination, code in (
        (disabled, "DisabledException"),
        (going, "KMSInvalidStateException"),
        (missing, "NotFoundException"),
    ):
        with pytest.raises(KmsKeyUnusable, match=code):
            await rewrapper.rewrap(BINDING, sealed, destination)
    assert await opener_of(Kms(tables.aws)).open(BINDING, sealed) == FIELDS


async def test_a_source_that_kms_no_longer_opens_makes_it_undecryptable(tables: Tables) -> None:
    keys, rewrapper, sealed = boto("kms", tables.endpoint), Rewrapper(Kms(tables.aws)), await seal(tables)
    other = new_key(tables)
    keys.disable_key(KeyId=tables.kms_key_id)
    for destination in (other, tables.kms_key_id):
        with pytest.raises(CredentialUndecryptable, match="DisabledException"):
            await rewrapper.rewrap(BINDING, sealed, destination)
    keys.enable_key(KeyId=tables.kms_key_id)
    assert (await rewrapper.rewrap(BINDING, sealed, other)).kms_key_id == other


async def test_only_its_own_identity_and_bytes_are_rewrapped(tables: Tables) -> None:
    rewrapper, sealed, other = Rewrapper(Kms(tables.aws)), await seal(tables), new_key(tables)
    for changes in ({"account_id": "globex"}, {"provider_id": "x"}, {"credential_id": "x"}, {"destination": "x"}):
        with pytest.raises(CredentialUndecryptable, match="KMS"):
            await rewrapper.rewrap(replace(BINDING, **changes), sealed, other)
    altered = sealed.wrapped_key[:-1] + bytes([sealed.wrapped_key[-1] ^ 1])
    for secret in (replace(sealed, wrapped_key=altered), replace(sealed, kms_key_id=other)):
        with pytest.raises(CredentialUndecryptable, match="KMS"):
            await rewrapper.rewrap(BINDING, secret, other)


async def test_what_is_shredded_or_of_another_version_never_reaches_kms() -> None:
    kms = FakeKms()
    sealed = await Sealer(kms, KMS_KEY).seal(BINDING, FIELDS, now=NOW)
    for secret, why in ((replace(sealed, wrapped_key=b""), "shredded"), (replace(sealed, version=2), "version")):
        with pytest.raises(CredentialUndecryptable, match=why):
            await Rewrapper(kms).rewrap(BINDING, secret, OWN_KMS_KEY)
    assert kms.rewrapped == 0
