"""Re-wrapping: every secret ends up under the KMS key it should be under, whatever happens on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ownkey.domain.credentials import Credential, PreviousVersion
from ownkey.domain.errors import CredentialUndecryptable, VaultUnavailable
from ownkey.domain.rewraps import JobState, RewrapJob
from ownkey.domain.secrets import Secret
from ownkey.registry import CreateCredential, Registry, RotateCredential, ShredCredential
from ownkey.upkeep.rewrapping import Rewrapping
from ownkey.vault import Opener, Rewrapper, Sealer
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms

NOW = "2026-11-21T08:00:00.000000Z"


class Killed(BaseException):
    """The function is gone: nothing after this point runs."""


@dataclass
class Mortal:
    """Something whose calls end in the function's death: before the call that is number `dies_at`, or right after it.

    Counts the calls of everything that shares `calls`.
    """

    inner: Any
    calls: list[str]
    dies_at: int | None = None
    after: bool = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            last = len(self.calls) == self.dies_at
            if last and not self.after:
                raise Killed
            answer = await method(*args, **kwargs)
            if last:
                raise Killed
            return answer

        return call


@dataclass
class Vault:
    """Accounts with secrets, and the jobs on them."""

    tables: Tables
    registry: Registry
    kms: FakeKms

    async def save(self, account_id: str, name: str, *, kms_key_id: str | None = None) -> Credential:
        """A credential whose secret is its own name."""
        credential = Credential(
            id=name,
            account_id=account_id,
            provider_id="openai",
            alias=name,
            mask="…",
            version=1,
            destination="https://api.openai.com/v1",
            created_at=NOW,
            updated_at=NOW,
        )
        sealed = await Sealer(self.kms, KMS_KEY).seal(
            credential.binding(), {"key": Secret(f"{name}@1")}, now=NOW, kms_key_id=kms_key_id
        )
        await self.registry.apply(account_id, [CreateCredential(credential, sealed)])
        return credential

    async def rotate(self, current: Credential, *, keep: bool) -> Credential:
        """The next version, which is named after its number."""
        previous = PreviousVersion(current.version, current.mask, NOW) if keep else None
        credential = replace(current, version=current.version + 1, previous=previous)
        key = Secret(f"{credential.id}@{credential.version}")
        sealed = await Sealer(self.kms, KMS_KEY).seal(credential.binding(), {"key": key}, now=NOW)
        await self.registry.apply(current.account_id, [RotateCredential(credential, sealed, current)])
        return credential

    async def start(self, account_id: str | None = None, job_id: str = "rwp_1") -> RewrapJob:
        """A job over an account, or all."""
        job = RewrapJob(job_id, account_id, "ann", NOW, NOW)
        await self.registry.start_rewrap(job)
        return job

    async def own_key(self, account_id: str, arn: str | None, job_id: str = "rwp_own") -> None:
        """The account's own KMS key, and the job that comes with it."""
        seen = await self.registry.account(account_id)
        await self.registry.set_kms_key(seen, arn, RewrapJob(job_id, account_id, "ann", NOW, NOW))

    def upkeep(self, *, dies_at: int | None = None, after: bool = False, calls: list[str] | None = None) -> Rewrapping:
        """A run of its own, which may be killed at its n-th call to DynamoDB or KMS."""
        seen = [] if calls is None else calls
        db = Mortal(self.tables.db, seen, dies_at, after)
        kms = Mortal(self.kms, seen, dies_at, after)
        return Rewrapping(Registry(db, self.tables.registry), Rewrapper(kms), KMS_KEY)

    async def opened(self, account_id: str) -> dict[str, str]:
        """Each secret that opens, by credential and version: each is named after itself."""
        found = {}
        for each in await self.registry.stored_credentials(account_id):
            assert each.sealed is not None
            name = f"{each.credential.id}@{each.credential.version}"
            fields = await Opener(self.kms, on_open=lambda _: None).open(each.credential.binding(), each.sealed)
            assert fields["key"].reveal() == name
            found[name] = each.sealed.kms_key_id
        return found

    async def job(self, job_id: str = "rwp_1") -> RewrapJob:
        return await self.registry.rewrap(job_id)


@pytest.fixture
async def vault(tables: Tables) -> Vault:
    registry = Registry(tables.db, tables.registry)
    for account_id in ("acme", "acme-2", "zeta"):
        await registry.create_account(account_id, account_id, now=NOW)
    return Vault(tables, registry, FakeKms())


def counts(job: RewrapJob) -> tuple[JobState, int | None, int, int, int]:
    return job.state, job.total, job.done, job.skipped, job.failed


async def test_every_version_goes_to_the_accounts_own_key(vault: Vault) -> None:
    await vault.rotate(await vault.save("acme", "cred_1"), keep=True)
    await vault.save("acme", "cred_2")
    before = await vault.registry.account("acme")

    await vault.own_key("acme", OWN_KMS_KEY)
    assert (await vault.upkeep().run()).moved == 3

    assert await vault.opened("acme") == dict.fromkeys(("cred_1@2", "cred_1@1", "cred_2@1"), OWN_KMS_KEY)
    assert counts(await vault.job("rwp_own")) == (JobState.DONE, 3, 3, 0, 0)
    assert (await vault.registry.account("acme")).version > before.version, "warm functions must read again"


async def test_and_back_to_the_deployments_key(vault: Vault) -> None:
    await vault.save("acme", "cred_1")
    await vault.own_key("acme", OWN_KMS_KEY)
    await vault.upkeep().run()
    await vault.own_key("acme", None, "rwp_back")
    await vault.upkeep().run()
    assert await vault.opened("acme") == {"cred_1@1": KMS_KEY}


async def test_a_job_over_all_accounts_gives_each_its_own_key(vault: Vault) -> None:
    """`OWN_KMS_KEY` stands for the deployment's former key too: what is under it comes home."""
    for account_id in ("acme", "acme-2", "zeta"):
        await vault.save(account_id, f"cred_{account_id}", kms_key_id=OWN_KMS_KEY)
    await vault.own_key("zeta", OWN_KMS_KEY)
    await vault.start()
    await vault.upkeep().run()
    assert [await vault.opened(each) for each in ("acme", "acme-2", "zeta")] == [
        {"cred_acme@1": KMS_KEY},
        {"cred_acme-2@1": KMS_KEY},
        {"cred_zeta@1": OWN_KMS_KEY},
    ]
    assert counts(await vault.job()) == (JobState.DONE, 3, 2, 1, 0)


async def test_another_accounts_secrets_are_left_alone(vault: Vault) -> None:
    await vault.save("acme", "cred_1", kms_key_id=OWN_KMS_KEY)
    await vault.save("zeta", "cred_2", kms_key_id=OWN_KMS_KEY)
    await vault.start("acme")
    await vault.upkeep().run()
    assert await vault.opened("zeta") == {"cred_2@1": OWN_KMS_KEY}


async def test_what_cannot_be_moved_is_named_and_the_rest_is_moved(vault: Vault) -> None:
    """A disabled key opens nothing, so nothing under it can be wrapped anew; it is not lost either."""
    await vault.save("acme", "cred_1", kms_key_id=OWN_KMS_KEY)
    await vault.save("zeta", "cred_2")
    await vault.own_key("zeta", OWN_KMS_KEY)
    vault.kms.disabled.add(OWN_KMS_KEY)
    await vault.start()
    assert (await vault.upkeep().run()).failed == 3
    job = await vault.job()
    assert counts(job) == (JobState.FAILED, 2, 0, 0, 2)
    assert [(each.account_id, each.credential_id, each.version) for each in job.failures] == [
        ("acme", "cred_1", 1),
        ("zeta", "cred_2", 1),
    ]
    assert "DisabledException" in job.failures[0].reason
    vault.kms.disabled.clear()
    assert await vault.opened("acme") == {"cred_1@1": OWN_KMS_KEY}


async def test_a_shredded_secret_is_passed(vault: Vault) -> None:
    credential = await vault.save("acme", "cred_1", kms_key_id=OWN_KMS_KEY)
    await vault.registry.apply("acme", [ShredCredential(replace(credential, updated_at="later"), credential)])
    await vault.start("acme")
    await vault.upkeep().run()
    assert counts(await vault.job()) == (JobState.DONE, 1, 0, 1, 0)
    with pytest.raises(CredentialUndecryptable):
        await vault.opened("acme")


async def test_a_run_that_runs_out_of_time_goes_on_the_next_minute(vault: Vault) -> None:
    for number in range(3):
        await vault.save("acme", f"cred_{number}", kms_key_id=OWN_KMS_KEY)
    await vault.start()
    clock = iter(range(1_000))
    slow = Rewrapping(vault.registry, Rewrapper(vault.kms), KMS_KEY, monotonic=lambda: next(clock))
    runs = 0
    while (await vault.job()).state is JobState.RUNNING:
        await slow.run(budget_s=2)
        runs += 1
    assert runs > 1
    assert vault.kms.rewrapped == 3, "nothing is wrapped twice"
    assert counts(await vault.job()) == (JobState.DONE, 3, 3, 0, 0)


async def test_kms_out_of_reach_ends_the_run_and_not_the_job(vault: Vault) -> None:
    await vault.save("acme", "cred_1", kms_key_id=OWN_KMS_KEY)
    await vault.start()

    class Silent(FakeKms):
        async def re_encrypt(self, *args: Any) -> Any:
            raise VaultUnavailable("KMS did not answer.")

    await Rewrapping(vault.registry, Rewrapper(Silent()), KMS_KEY).run()
    assert (await vault.job()).state is JobState.RUNNING
    await vault.upkeep().run()
    assert (await vault.job()).state is JobState.DONE


async def test_two_runs_at_once_count_nothing_twice(vault: Vault) -> None:
    for number in range(4):
        await vault.save("acme", f"cred_{number}", kms_key_id=OWN_KMS_KEY)
    await vault.start()
    (stale,) = await vault.registry.open_rewraps()
    other, ran = vault.upkeep(), False

    class Interrupted(Rewrapper):
        """Another run comes by, and finishes, while this one is at its second secret."""

        async def rewrap(self, *args: Any) -> Any:
            nonlocal ran
            wrapped = await super().rewrap(*args)
            if not ran and (await vault.job()).done == 1:
                ran = True
                await other.run()
            return wrapped

    await Rewrapping(vault.registry, Interrupted(vault.kms), KMS_KEY).run()
    assert ran
    assert stale.revision == 0
    assert counts(await vault.job()) == (JobState.DONE, 4, 4, 0, 0)
    assert set((await vault.opened("acme")).values()) == {KMS_KEY}


async def test_a_rotation_in_between_is_not_undone(vault: Vault) -> None:
    credential = await vault.save("acme", "cred_1", kms_key_id=OWN_KMS_KEY)
    await vault.start()

    class Rotated(Rewrapper):
        async def rewrap(self, *args: Any) -> Any:
            wrapped = await super().rewrap(*args)
            await vault.rotate(credential, keep=False)
            return wrapped

    await Rewrapping(vault.registry, Rotated(vault.kms), KMS_KEY).run()
    assert await vault.opened("acme") == {"cred_1@2": KMS_KEY}
    assert counts(await vault.job()) == (JobState.DONE, 1, 0, 1, 0)


async def test_a_key_that_changes_in_between_is_the_next_jobs(vault: Vault) -> None:
    """Else a secret could be brought to a key that the account has just left."""
    await vault.save("acme", "cred_1")
    await vault.own_key("acme", OWN_KMS_KEY)

    class Reversed(Rewrapper):
        async def rewrap(self, *args: Any) -> Any:
            wrapped = await super().rewrap(*args)
            await vault.own_key("acme", None, "rwp_back")
            return wrapped

    await Rewrapping(vault.registry, Reversed(vault.kms), KMS_KEY).run()
    await vault.upkeep().run()
    assert await vault.opened("acme") == {"cred_1@1": KMS_KEY}
    assert [each.state for each in await vault.registry.rewraps()] == [JobState.DONE] * 2


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_kill_at_any_boundary_leaves_all_readable_and_the_next_run_finishes(
    tables: Tables, after: bool
) -> None:
    """At every single call to DynamoDB and KMS that a whole run makes, before it and after it."""
    registry = Registry(tables.db, tables.registry)
    calls: list[str] = []
    dies_at, kills = 1, 0
    while True:
        account_id = f"a{dies_at}"
        await registry.create_account(account_id, account_id, now=NOW)
        vault = Vault(tables, registry, FakeKms())
        await vault.rotate(await vault.save(account_id, "cred_1"), keep=True)
        await vault.save(account_id, "cred_2")
        await vault.own_key(account_id, OWN_KMS_KEY, f"rwp_{dies_at:03}")
        calls.clear()
        try:
            await vault.upkeep(dies_at=dies_at, after=after, calls=calls).run()
        except Killed:
            kills += 1
        else:
            break
        assert len(await vault.opened(account_id)) == 3, f"after a kill at call {dies_at}, {calls[-1]}"
        await vault.upkeep().run()
        assert set((await vault.opened(account_id)).values()) == {OWN_KMS_KEY}
        assert counts(await vault.job(f"rwp_{dies_at:03}")) == (JobState.DONE, 3, 3, 0, 0)
        dies_at += 1
    assert kills >= 10
    assert {"query_all", "get", "write", "transact", "re_encrypt"} <= set(calls)
