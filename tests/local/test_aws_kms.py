"""KMS: data keys under a context, and what a key's state allows."""

from __future__ import annotations

import pytest

from tests.local.aws_clients import Aws, code, refusal

CONTEXT = {"account": "acc_1", "credential": "cred_1"}


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Aws:
    return Aws(aws_endpoint)


@pytest.fixture(scope="module")
def key_id(aws: Aws) -> str:
    return str(aws.kms.create_key()["KeyMetadata"]["Arn"])


def test_a_data_key_comes_back_under_its_context_alone(aws: Aws, key_id: str) -> None:
    made = aws.kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=CONTEXT)
    blob = made["CiphertextBlob"]
    opened = aws.kms.decrypt(KeyId=key_id, CiphertextBlob=blob, EncryptionContext=dict(reversed(CONTEXT.items())))
    assert opened["Plaintext"] == made["Plaintext"]
    assert (len(made["Plaintext"]), opened["KeyId"], made["KeyId"]) == (32, key_id, key_id)
    for context in ({}, {"account": "acc_1"}, {**CONTEXT, "credential": "cred_2"}, {**CONTEXT, "more": ""}):
        refused = code(aws.kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
        assert refused == "InvalidCiphertextException"


def test_a_changed_ciphertext_is_refused(aws: Aws, key_id: str) -> None:
    blob = aws.kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    for at in (0, 5, len(blob) - 1):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        assert code(aws.kms.decrypt, CiphertextBlob=changed) in ("InvalidCiphertextException", "AccessDeniedException")
    assert code(aws.kms.decrypt, CiphertextBlob=b"x") == "InvalidCiphertextException"


def test_reencryption_takes_the_old_context_and_sets_the_new(aws: Aws, key_id: str) -> None:
    other = aws.kms.create_key()["KeyMetadata"]["Arn"]
    blob = aws.kms.encrypt(KeyId=key_id, Plaintext=b"secret", EncryptionContext=CONTEXT)["CiphertextBlob"]
    again = {"CiphertextBlob": blob, "DestinationKeyId": other, "DestinationEncryptionContext": {"new": "1"}}
    assert code(aws.kms.re_encrypt, **again, SourceEncryptionContext={"account": "x"}) == "InvalidCiphertextException"
    answer = aws.kms.re_encrypt(**again, SourceEncryptionContext=CONTEXT)
    assert (answer["SourceKeyId"], answer["KeyId"]) == (key_id, other)
    opened = aws.kms.decrypt(CiphertextBlob=answer["CiphertextBlob"], EncryptionContext={"new": "1"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", other)


def test_a_key_is_found_by_id_arn_alias_and_alias_arn(aws: Aws, key_id: str) -> None:
    alias = f"alias/vault-{key_id[-8:]}"
    aws.kms.create_alias(AliasName=alias, TargetKeyId=key_id)
    for name in (key_id, key_id.rpartition("/")[2], alias, key_id.partition("key/")[0] + alias):
        assert aws.kms.encrypt(KeyId=name, Plaintext=b"x")["KeyId"] == key_id
    for unknown in ("alias/nobody", "00000000-0000-0000-0000-000000000000"):
        assert code(aws.kms.encrypt, KeyId=unknown, Plaintext=b"x") == "NotFoundException"


def test_a_keys_state_is_set_by_id_or_arn_not_by_alias(aws: Aws) -> None:
    """As KMS documents EnableKey, DisableKey, ScheduleKeyDeletion and CancelKeyDeletion."""
    key_id = aws.kms.create_key()["KeyMetadata"]["Arn"]
    alias = f"alias/state-{key_id[-8:]}"
    aws.kms.create_alias(AliasName=alias, TargetKeyId=key_id)
    for name in (alias, key_id.partition("key/")[0] + alias):
        assert code(aws.kms.disable_key, KeyId=name) == "NotFoundException"
    assert aws.kms.describe_key(KeyId=alias)["KeyMetadata"]["Enabled"]


def test_a_scheduled_deletion_can_be_cancelled_and_leaves_the_key_disabled(aws: Aws) -> None:
    key_id = aws.kms.create_key()["KeyMetadata"]["Arn"]
    assert code(aws.kms.cancel_key_deletion, KeyId=key_id) == "KMSInvalidStateException"
    answer = aws.kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert (answer["KeyId"], answer["KeyState"]) == (key_id, "PendingDeletion")
    assert code(aws.kms.schedule_key_deletion, KeyId=key_id) == "KMSInvalidStateException"
    aws.kms.cancel_key_deletion(KeyId=key_id)
    assert aws.kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Disabled"
    assert code(aws.kms.encrypt, KeyId=key_id, Plaintext=b"x") == "DisabledException"


@pytest.mark.parametrize("size", [{}, {"KeySpec": "AES_256", "NumberOfBytes": 32}, {"NumberOfBytes": 1025}])
def test_a_data_key_has_one_size(size: dict[str, object], aws: Aws, key_id: str) -> None:
    status, answer = aws.raw("kms", "GenerateDataKey", {"KeyId": key_id, **size})
    assert (status, answer["__type"]) == (400, "ValidationException")


def test_reencryption_needs_a_usable_key_at_both_ends(aws: Aws) -> None:
    source, destination = (str(aws.kms.create_key()["KeyMetadata"]["Arn"]) for _ in range(2))
    blob = aws.kms.encrypt(KeyId=source, Plaintext=b"secret", EncryptionContext=CONTEXT)["CiphertextBlob"]
    again = {
        "CiphertextBlob": blob,
        "SourceKeyId": source,
        "DestinationKeyId": destination,
        "SourceEncryptionContext": CONTEXT,
        "DestinationEncryptionContext": CONTEXT,
    }
    for key in (source, destination):
        aws.kms.disable_key(KeyId=key)
        answer = refusal(aws.kms.re_encrypt, **again)
        assert answer["Error"]["Code"] == "DisabledException"
        assert key in answer["Error"]["Message"]
        aws.kms.schedule_key_deletion(KeyId=key)
        assert code(aws.kms.re_encrypt, **again) == "KMSInvalidStateException"
        aws.kms.cancel_key_deletion(KeyId=key)
        aws.kms.enable_key(KeyId=key)
        assert aws.kms.re_encrypt(**again)["KeyId"] == destination
    assert code(aws.kms.re_encrypt, **again | {"SourceKeyId": destination}) == "IncorrectKeyException"
    assert code(aws.kms.re_encrypt, **again | {"DestinationKeyId": "alias/nobody"}) == "NotFoundException"


def test_reencryption_within_a_key_makes_another_ciphertext_of_the_same(aws: Aws, key_id: str) -> None:
    blob = aws.kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]
    again = aws.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key_id)["CiphertextBlob"]
    assert again != blob
    assert aws.kms.decrypt(CiphertextBlob=again)["Plaintext"] == b"secret"


def test_an_arn_of_another_account_or_region_is_another_key(aws: Aws, key_id: str) -> None:
    for arn in (key_id.replace("us-east-1", "eu-west-1"), key_id.replace("123456789012", "999999999999")):
        assert code(aws.kms.generate_data_key, KeyId=arn, KeySpec="AES_256") == "NotFoundException"
    assert code(Aws(aws.endpoint_url, region="eu-west-1").kms.describe_key, KeyId=key_id) == "NotFoundException"


def test_an_asymmetric_key_wraps_no_data_keys(aws: Aws, key_id: str) -> None:
    pair = aws.kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    blob = aws.kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    assert code(aws.kms.generate_data_key, KeyId=pair, KeySpec="AES_256") == "InvalidKeyUsageException"
    assert code(aws.kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=pair) == "InvalidKeyUsageException"


def test_a_disabled_key_opens_again_once_enabled(aws: Aws) -> None:
    key_id = aws.kms.create_key()["KeyMetadata"]["Arn"]
    blob = aws.kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=CONTEXT)["CiphertextBlob"]
    aws.kms.disable_key(KeyId=key_id)
    assert code(aws.kms.decrypt, CiphertextBlob=blob, EncryptionContext=CONTEXT) == "DisabledException"
    aws.kms.enable_key(KeyId=key_id)
    assert len(aws.kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"]) == 32
