"""An account's own KMS key: secrets are sealed under it, and what is wrong with it is told as its owner can mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ownkey.domain.credentials import Binding
from ownkey.domain.errors import CredentialUndecryptable, KmsKeyUnusable, StoreUnavailable, VaultUnavailable
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import Opener, Sealer
from tests.support.aws import Tables, boto
from tests.support.kms import kms_of_a_role

NOW = "2026-11-21T08:00:00Z"
BINDING = Binding("acme", "openai", "cred_1", 1, "https://api.openai.com/v1")
FIELDS = {"key": Secret("sk-proj-0123456789abcdefghijABCD")}


def missing(_: Any) -> str:
    return "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"


def elsewhere(kms: Any) -> str:
    """The right id in another region."""
    return usable(kms).replace("us-east-1", "eu-west-1")


def no_arn(_: Any) -> str:
    return "my key"


def usable(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["Arn"])


def disabled(kms: Any) -> str:
    key = usable(kms)
    kms.disable_key(KeyId=key)
    return key


def awaiting_deletion(kms: Any) -> str:
    key = usable(kms)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    return key


def asymmetric(kms: Any) -> str:
    return str(kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"])


UNUSABLE = [
    (missing, "NotFoundException", "ARN of a KMS key that exists"),
    (elsewhere, "NotFoundException", "in the stack's region"),
    (no_arn, "NotFoundException", "whole ARN"),
    (disabled, "DisabledException", "Enable"),
    (awaiting_deletion, "KMSInvalidStateException", "Cancel"),
    (asymmetric, "InvalidKeyUsageException", "symmetric"),
]


async def test_a_secret_is_sealed_under_the_accounts_own_key(tables: Tables) -> None:
    kms, own = Kms(tables.aws), usable(boto("kms", tables.endpoint))
    sealer = Sealer(kms, tables.kms_key_id)
    sealed = await sealer.seal(BINDING, FIELDS, now=NOW, kms_key_id=own)
    assert sealed.kms_key_id == own
    assert await Opener(kms, on_open=lambda _: None).open(BINDING, sealed) == FIELDS
    assert (await sealer.seal(BINDING, FIELDS, now=NOW)).kms_key_id == tables.kms_key_id


async def test_its_disabling_is_an_off_switch_for_its_secrets_alone(tables: Tables) -> None:
    kms, keys = Kms(tables.aws), boto("kms", tables.endpoint)
    own, sealer = usable(keys), Sealer(kms, tables.kms_key_id)
    under_own = await sealer.seal(BINDING, FIELDS, now=NOW, kms_key_id=own)
    under_the_stacks = await sealer.seal(BINDING, FIELDS, now=NOW)
    keys.disable_key(KeyId=own)
    opener = Opener(kms, on_open=lambda _: None)
    with pytest.raises(CredentialUndecryptable, match="DisabledException"):
        await opener.open(BINDING, under_own)
    assert await opener.open(BINDING, under_the_stacks) == FIELDS


@pytest.mark.parametrize(("make", "code", "fix"), UNUSABLE, ids=lambda value: value.__name__ if callable(value) else "")
async def test_an_unusable_key_is_the_accounts_to_mend(
    make: Callable[[Any], str], code: str, fix: str, tables: Tables
) -> None:
    sealer = Sealer(Kms(tables.aws), tables.kms_key_id)
    with pytest.raises(KmsKeyUnusable, match=code) as refused:
        await sealer.seal(BINDING, FIELDS, now=NOW, kms_key_id=make(boto("kms", tables.endpoint)))
    assert (refused.value.status, refused.value.code) == (400, "kms_key_unusable")
    assert fix in refused.value.fix


async def test_a_key_that_ownkey_may_not_use_is_told_with_the_parameter(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = usable(boto("kms", tables.endpoint))
    async with kms_of_a_role(tables, monkeypatch, BINDING, GenerateDataKey=[tables.kms_key_id]) as kms:
        with pytest.raises(KmsKeyUnusable, match="AccessDeniedException") as refused:
            await Sealer(kms, tables.kms_key_id).seal(BINDING, FIELDS, now=NOW, kms_key_id=own)
    assert "policy" in refused.value.fix
    assert "AccountKmsKeyArns" in refused.value.fix


@pytest.mark.parametrize(("make", "code", "_"), UNUSABLE, ids=lambda value: value.__name__ if callable(value) else "")
async def test_an_unusable_key_of_the_stacks_is_the_operators(
    make: Callable[[Any], str], code: str, _: str, tables: Tables
) -> None:
    """Given or not: naming the stack's own key makes it no account's."""
    key = make(boto("kms", tables.endpoint))
    for given in (None, key):
        with pytest.raises(VaultUnavailable, match=code):
            await Sealer(Kms(tables.aws), key).seal(BINDING, FIELDS, now=NOW, kms_key_id=given)


class NoAws:
    """KMS out of reach."""

    async def call_json(self, *_: Any, **__: Any) -> Any:
        raise StoreUnavailable("AWS kms did not answer.", retry_after_s=1)


async def test_kms_that_does_not_answer_is_nobodys_key() -> None:
    kms = Kms(NoAws())
    for given in (None, "arn:aws:kms:us-east-1:123456789012:key/own"):
        with pytest.raises(VaultUnavailable):
            await Sealer(kms, "arn:aws:kms:us-east-1:123456789012:key/stack").seal(
                BINDING, FIELDS, now=NOW, kms_key_id=given
            )
    with pytest.raises(VaultUnavailable):
        await kms.re_encrypt("a", "b", b"wrapped", BINDING.encryption_context())
