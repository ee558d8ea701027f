"""Opening: KMS is asked once for a version, shared by those who ask at once, and again when the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ownkey.domain.credentials import Binding, SealedSecret
from ownkey.domain.errors import CredentialUndecryptable, VaultUnavailable
from ownkey.domain.secrets import Secret
from ownkey.store.kms import Kms
from ownkey.vault import Opener, Sealer, UnwrapOutcome, envelope
from ownkey.vault.opener import CACHE_S, CACHED_KEYS
from tests.support.aws import Tables, boto
from tests.support.kms import KMS_KEY, FakeKms

NOW = "2026-11-21T08:00:00Z"
BINDING = Binding("acme", "openai", "cred_1", 1, "https://api.openai.com/v1")
KEY = "sk-proj-0123456789abcdefghijABCD"


def ignore(_: Secret) -> None:
    """The process's own scrubber stays clean of the tests' secrets."""


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class SlowKms(FakeKms):
    """Answers a decrypt when told to, or fails as told."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def decrypt(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        plaintext = await super().decrypt(key_id, wrapped, context)
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return plaintext


async def seal(kms: FakeKms, binding: Binding = BINDING) -> SealedSecret:
    return await Sealer(kms, KMS_KEY).seal(binding, {"key": Secret(KEY)}, now=NOW)


async def test_a_warm_opener_asks_kms_nothing() -> None:
    kms = FakeKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    for _ in range(5):
        assert (await opener.open(BINDING, sealed))["key"].reveal() == KEY
    assert kms.opened == 1


async def test_a_data_key_is_forgotten_after_its_time() -> None:
    kms, clock = FakeKms(), Clock()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore, monotonic=clock)
    await opener.open(BINDING, sealed)
    clock.now_s += CACHE_S - 1
    await opener.open(BINDING, sealed)
    assert kms.opened == 1
    clock.now_s += 1
    await opener.open(BINDING, sealed)
    assert kms.opened == 2


async def test_rotation_is_another_key_in_the_cache() -> None:
    kms = FakeKms()
    opener = Opener(kms, on_open=ignore)
    second = replace(BINDING, version=2)
    rotated = await Sealer(kms, KMS_KEY).seal(second, {"key": Secret("sk-new")}, now=NOW)
    first = await seal(kms)
    assert (await opener.open(BINDING, first))["key"].reveal() == KEY
    assert (await opener.open(second, rotated))["key"].reveal() == "sk-new"
    with pytest.raises(CredentialUndecryptable):
        await opener.open(second, replace(first, version=2))


async def test_those_who_ask_at_once_share_one_call() -> None:
    kms = SlowKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    asking = [asyncio.create_task(opener.open(BINDING, sealed)) for _ in range(10)]
    await asyncio.sleep(0)
    kms.go.set()
    assert {fields["key"].reveal() for fields in await asyncio.gather(*asking)} == {KEY}
    assert kms.opened == 1


async def test_one_who_gives_up_does_not_take_the_others_along() -> None:
    kms = SlowKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    gone, staying = (asyncio.create_task(opener.open(BINDING, sealed)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    kms.go.set()
    assert (await staying)["key"].reveal() == KEY
    assert gone.cancelled()


async def test_a_failure_is_not_remembered() -> None:
    kms = SlowKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    kms.go.set()
    kms.failure = VaultUnavailable("KMS did not answer.")
    with pytest.raises(VaultUnavailable):
        await opener.open(BINDING, sealed)
    kms.failure = None
    assert (await opener.open(BINDING, sealed))["key"].reveal() == KEY


async def test_the_cache_is_bounded_and_drops_the_least_used() -> None:
    kms = FakeKms()
    opener = Opener(kms, on_open=ignore)
    bindings = [replace(BINDING, credential_id=f"cred_{n}") for n in range(CACHED_KEYS + 1)]
    sealed = [await seal(kms, binding) for binding in bindings]
    for binding, secret in zip(bindings[:-1], sealed[:-1], strict=True):
        await opener.open(binding, secret)
    await opener.open(bindings[0], sealed[0])  # used again: not the oldest any more
    await opener.open(bindings[-1], sealed[-1])
    assert kms.opened == CACHED_KEYS + 1
    await opener.open(bindings[0], sealed[0])
    assert kms.opened == CACHED_KEYS + 1
    await opener.open(bindings[1], sealed[1])
    assert kms.opened == CACHED_KEYS + 2


async def test_a_swapped_data_key_meets_the_commitment() -> None:
    """Both versions are genuine and the context is the same: only the commitment tells them apart."""
    kms = FakeKms()
    one, other = await seal(kms), await seal(kms)
    with pytest.raises(CredentialUndecryptable, match="data key"):
        await Opener(kms, on_open=ignore).open(BINDING, replace(one, wrapped_key=other.wrapped_key))


# ------------------------------------------------------------------ shredded
async def test_a_shredded_secret_is_refused_without_kms_though_its_data_key_is_cached() -> None:
    kms = FakeKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    await opener.open(BINDING, sealed)
    for _ in range(2):
        with pytest.raises(CredentialUndecryptable, match="was shredded"):
            await opener.open(BINDING, replace(sealed, wrapped_key=b""))
    assert kms.opened == 1


async def test_the_cache_would_not_open_a_shredded_secret_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapping is part of what the cache goes by: without the check KMS is asked, and has nothing to open."""
    kms = FakeKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    await opener.open(BINDING, sealed)
    monkeypatch.setattr(envelope, "check_openable", lambda *_: None)
    with pytest.raises(CredentialUndecryptable, match="KMS"):
        await opener.open(BINDING, replace(sealed, wrapped_key=b""))
    assert kms.opened == 2


# ------------------------------------------------------------------ told of unwraps
class Told:
    """What the audit log would write down."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, int, str]] = []

    def __call__(self, binding: Binding, outcome: UnwrapOutcome) -> None:
        self.outcomes.append((binding.credential_id, binding.version, outcome))


async def test_each_unwrap_is_told_once_and_a_warm_open_is_none() -> None:
    kms, told, clock = FakeKms(), Told(), Clock()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore, on_unwrap=told, monotonic=clock)
    for _ in range(3):
        await opener.open(BINDING, sealed)
    assert told.outcomes == [("cred_1", 1, "opened")]
    clock.now_s += CACHE_S
    await opener.open(BINDING, sealed)
    assert told.outcomes == [("cred_1", 1, "opened")] * 2 == [("cred_1", 1, "opened")] * kms.opened


async def test_those_who_share_an_unwrap_tell_of_one() -> None:
    kms, told = SlowKms(), Told()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore, on_unwrap=told)
    asking = [asyncio.create_task(opener.open(BINDING, sealed)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in asking[:9]:
        task.cancel()
    kms.go.set()
    await asking[9]
    assert told.outcomes == [("cred_1", 1, "opened")]


async def test_a_refused_unwrap_is_told_as_such() -> None:
    """By KMS, or by the commitment of what KMS did open."""
    kms, told = FakeKms(), Told()
    sealed, other = await seal(kms), await seal(kms)
    opener = Opener(kms, on_open=ignore, on_unwrap=told)
    moved = replace(BINDING, account_id="other")
    for binding, secret in ((moved, sealed), (BINDING, replace(sealed, wrapped_key=other.wrapped_key))):
        with pytest.raises(CredentialUndecryptable):
            await opener.open(binding, secret)
    assert told.outcomes == [("cred_1", 1, "refused")] * 2


async def test_what_never_reached_kms_or_was_not_answered_is_no_unwrap() -> None:
    kms, told = SlowKms(), Told()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore, on_unwrap=told)
    for secret in (replace(sealed, wrapped_key=b""), replace(sealed, version=2)):
        with pytest.raises(CredentialUndecryptable):
            await opener.open(BINDING, secret)
    kms.go.set()
    kms.failure = VaultUnavailable("KMS did not answer.")
    with pytest.raises(VaultUnavailable):
        await opener.open(BINDING, sealed)
    assert told.outcomes == []


@pytest.mark.parametrize("binding", [BINDING, replace(BINDING, account_id="other")], ids=["opened", "refused"])
async def test_a_listener_that_fails_stops_no_request(binding: Binding, caplog: pytest.LogCaptureFixture) -> None:
    kms = FakeKms()
    sealed = await seal(kms)

    def fail(_: Binding, outcome: UnwrapOutcome) -> None:
        raise RuntimeError(f"no place to write {outcome}")

    opener = Opener(kms, on_open=ignore, on_unwrap=fail)
    if binding == BINDING:
        assert (await opener.open(binding, sealed))["key"].reveal() == KEY
    else:
        with pytest.raises(CredentialUndecryptable, match="KMS"):
            await opener.open(binding, sealed)
    assert "an unwrap could not be told" in caplog.text
    assert KEY not in caplog.text


# ------------------------------------------------------------------ what shows, and to whom
async def test_nothing_secret_is_in_the_vaults_representations() -> None:
    kms = FakeKms()
    sealed, opener = await seal(kms), Opener(kms, on_open=ignore)
    fields = await opener.open(BINDING, sealed)
    data_key = await kms.generate_data_key(KMS_KEY, BINDING.encryption_context())
    for shown in (repr(fields), repr(sealed), repr(list(opener._cached.values())), repr(data_key)):
        assert KEY not in shown
        assert repr(data_key.plaintext) not in shown
    (cached,) = opener._cached.values()
    assert repr(cached.encryption_key) not in repr(cached)


async def test_every_opened_secret_is_told_to_the_scrubber() -> None:
    kms, told = FakeKms(), []
    fields = {"key": Secret("sk-one"), "secret": Secret("two")}
    sealed = await Sealer(kms, KMS_KEY).seal(BINDING, fields, now=NOW)
    opener = Opener(kms, on_open=told.append)
    for _ in range(2):  # warm too: the scrubber may have forgotten it meanwhile
        await opener.open(BINDING, sealed)
        assert told == [Secret("sk-one"), Secret("two")]
        told.clear()


# ------------------------------------------------------------------ KMS itself
async def test_against_aws_kms(tables: Tables) -> None:
    """The same through signed calls: KMS itself refuses another context."""
    kms = Kms(tables.aws)
    sealed = await Sealer(kms, tables.kms_key_id).seal(BINDING, {"key": Secret(KEY)}, now=NOW)
    assert sealed.kms_key_id == tables.kms_key_id
    assert (await Opener(kms, on_open=ignore).open(BINDING, sealed))["key"].reveal() == KEY
    for changes in (
        {"account_id": "other"},
        {"provider_id": "anthropic"},
        {"credential_id": "cred_2"},
        {"version": 2},
        {"destination": "https://evil.example"},
    ):
        changed, fitted = replace(BINDING, **changes), replace(sealed, version=changes.get("version", 1))
        with pytest.raises(CredentialUndecryptable, match="KMS"):
            await Opener(kms, on_open=ignore).open(changed, fitted)


async def test_what_kms_no_longer_opens_is_an_undecryptable_credential(tables: Tables) -> None:
    """Altered, of another KMS key, or of one that is disabled: none of it is worth repeating."""
    kms = Kms(tables.aws)
    sealed = await Sealer(kms, tables.kms_key_id).seal(BINDING, {"key": Secret(KEY)}, now=NOW)
    other_key = boto("kms", tables.endpoint).create_key()["KeyMetadata"]["Arn"]
    for change in ({"wrapped_key": b"x"}, {"wrapped_key": sealed.wrapped_key[:-1]}, {"kms_key_id": other_key}):
        with pytest.raises(CredentialUndecryptable, match="KMS"):
            await Opener(kms, on_open=ignore).open(BINDING, replace(sealed, **change))
    boto("kms", tables.endpoint).disable_key(KeyId=tables.kms_key_id)
    with pytest.raises(CredentialUndecryptable, match="Disabled"):
        await Opener(kms, on_open=ignore).open(BINDING, sealed)
    with pytest.raises(VaultUnavailable, match="Disabled"):
        await Sealer(kms, tables.kms_key_id).seal(BINDING, {"key": Secret(KEY)}, now=NOW)


async def test_a_disabled_kms_key_is_noticed_within_the_caches_time(tables: Tables) -> None:
    """A warm function opens on for 300 s; then the error says what to do, and enabling the key is enough."""
    kms, clock, keys = Kms(tables.aws), Clock(), boto("kms", tables.endpoint)
    sealed = await Sealer(kms, tables.kms_key_id).seal(BINDING, {"key": Secret(KEY)}, now=NOW)
    opener = Opener(kms, on_open=ignore, monotonic=clock)
    await opener.open(BINDING, sealed)
    keys.disable_key(KeyId=tables.kms_key_id)
    clock.now_s += CACHE_S - 1
    assert (await opener.open(BINDING, sealed))["key"].reveal() == KEY
    clock.now_s += 1
    for _ in range(2):
        with pytest.raises(CredentialUndecryptable, match="DisabledException") as refused:
            await opener.open(BINDING, sealed)
        assert "Enable the KMS key" in refused.value.fix
    keys.enable_key(KeyId=tables.kms_key_id)
    assert (await opener.open(BINDING, sealed))["key"].reveal() == KEY
