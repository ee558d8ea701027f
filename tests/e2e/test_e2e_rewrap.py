"""Re-wrapping on the running stack, killed at random moments: nothing is ever unreadable, nothing is moved twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.resources import STACK_ACCESS_KEY
from local.running import OPERATOR, Running, RunOptions, running
from local.seed import Seed
from ownkey.domain.credentials import Credential
from ownkey.domain.secrets import Secret
from ownkey.registry import CreateCredential, Registry
from ownkey.store.aws import AwsClient
from ownkey.store.dynamodb import DynamoDb
from ownkey.store.kms import Kms
from ownkey.vault import Opener, Sealer
from tests.support.aws import boto

NOW = "2026-11-21T08:00:00.000000Z"
ACCOUNTS = ("acme", "beta", "zeta")


@dataclass
class Vaults:
    """Accounts whose secrets are under a former KMS key of the deployment."""

    up: Running
    registry: Registry
    kms: Kms
    former: str
    api: httpx.AsyncClient

    async def fill(self, each: int) -> None:
        """So many credentials for every account; the secret of each is its own id."""
        sealer = Sealer(self.kms, self.former)
        for account_id in ACCOUNTS:
            for number in range(each):
                credential = Credential(
                    id=f"cred_{account_id}{number:04}",
                    account_id=account_id,
                    provider_id="openai",
                    alias=f"no {number}",
                    mask="…",
                    version=1,
                    destination="https://api.openai.com/v1",
                    created_at=NOW,
                    updated_at=NOW,
                )
                sealed = await sealer.seal(credential.binding(), {"key": Secret(credential.id)}, now=NOW)
                await self.registry.apply(account_id, [CreateCredential(credential, sealed)])

    async def readable(self) -> dict[str, int]:
        """Opens every secret, as a function without a cache would; how many there are by the KMS key they are under."""
        opener, found = Opener(self.kms, on_open=lambda _: None), dict[str, int]()
        for account_id in ACCOUNTS:
            for each in await self.registry.stored_credentials(account_id):
                assert each.sealed is not None
                fields = await opener.open(each.credential.binding(), each.sealed)
                assert fields["key"].reveal() == each.credential.id
                found[each.sealed.kms_key_id] = found.get(each.sealed.kms_key_id, 0) + 1
        return found

    async def start(self) -> str:
        answer = await self.api.post("/api/rewrap")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        return (await self.api.get(f"/api/rewrap/{job_id}")).json()

    async def sweep(self) -> Any:
        return await self.up.stack.invoke("UpkeepFunction", {"task": "sweep"})

    @property
    def vault_key(self) -> str:
        """The deployment's KMS key of today."""
        return self.up.stack.deployment.functions["UpkeepFunction"].environment["VAULT_KEY_ID"]


@asynccontextmanager
async def vaults(logs: Path) -> AsyncIterator[Vaults]:
    seed = Seed.model_validate({"accounts": [{"id": each} for each in ACCOUNTS]})
    async with running(RunOptions(seed=seed, stack={"schedules": False, "log_directory": logs})) as up:
        assert os.environ["AWS_ACCESS_KEY_ID"] == STACK_ACCESS_KEY
        aws = AwsClient(environ={"AWS_ENDPOINT_URL": up.state.aws_endpoint})
        former = boto("kms", up.state.aws_endpoint).create_key()["KeyMetadata"]["Arn"]
        registry = Registry(DynamoDb(aws), up.stack.resources["RegistryTable"])
        session = {"Authorization": f"Bearer {up.state.sessions[OPERATOR]}"}
        async with httpx.AsyncClient(base_url=up.state.management_url, headers=session, timeout=30) as api:
            yield Vaults(up, registry, Kms(aws), former, api)
        await aws.close()


async def killed_runs(kills: int, secrets: int, seed: int, logs: Path) -> tuple[int, int]:
    """Kills upkeep in the middle of runs, again and again; gives the kills and the jobs it took."""
    chance, killed, jobs = random.Random(seed), 0, 0
    async with vaults(logs) as held:
        await held.fill(secrets)
        total = len(ACCOUNTS) * secrets
        while killed < kills:
            job_id, jobs = await held.start(), jobs + 1
            for _ in range(50):
                run = asyncio.create_task(held.sweep())
                await asyncio.sleep(chance.uniform(0.0, 0.25))
                if (
                    killed < kills
                    and not run.done()
                    and any(e.invocation for e in held.up.stack.environments("UpkeepFunction"))
                ):
                    held.up.stack.kill("UpkeepFunction")
                    killed += 1
                await run
                assert sum((await held.readable()).values()) == total, f"after kill {killed}"
                if (await held.job(job_id))["state"] != "running":
                    break
            job = await held.job(job_id)
            assert (job["state"], job["done"], job["skipped"], job["failed"]) == ("done", total, 0, 0), job
            assert await held.readable() == {held.vault_key: total}
            await back(held, total)
        return killed, jobs


async def back(held: Vaults, total: int) -> None:
    """Everything under the former key again, for another job."""
    for account_id in ACCOUNTS:
        for each in await held.registry.stored_credentials(account_id):
            assert each.sealed is not None
            wrapped, key = await held.kms.re_encrypt(
                each.sealed.kms_key_id,
                held.former,
                each.sealed.wrapped_key,
                each.credential.binding().encryption_context(),
            )
            boto("dynamodb", held.up.state.aws_endpoint).update_item(
                TableName=held.up.stack.resources["RegistryTable"],
                Key={
                    "pk": {"S": f"ACCT#{account_id}"},
                    "sk": {"S": f"CRED#{each.credential.id}#V#{each.credential.version:08}"},
                },
                UpdateExpression="SET wrapped_key = :wrapped, kms_key_id = :arn",
                ExpressionAttributeValues={":wrapped": {"B": wrapped}, ":arn": {"S": key}},
            )
    assert await held.readable() == {held.former: total}


async def test_a_job_over_all_accounts_under_the_roles_of_the_template(tmp_path: Path) -> None:
    async with vaults(tmp_path) as held:
        await held.fill(3)
        assert await held.readable() == {held.former: 9}
        job_id = await held.start()
        assert (await held.sweep())["rewrapped"] == {"moved": 9, "failed": 0, "finished": 1}
        job = await held.job(job_id)
        assert (job["state"], job["total"], job["done"]) == ("done", 9, 9)
        assert await held.readable() == {held.vault_key: 9}
        boto("kms", held.up.state.aws_endpoint).schedule_key_deletion(KeyId=held.former)
        assert await held.readable() == {held.vault_key: 9}, "the former key may go"


async def test_killed_runs_leave_nothing_unreadable(tmp_path: Path) -> None:
    killed, _ = await killed_runs(kills=3, secrets=6, seed=5, logs=tmp_path)
    assert killed == 3


@pytest.mark.proof
@pytest.mark.timeout(3600)
async def test_a_hundred_killed_runs(record_property, tmp_path: Path) -> None:
    """SIGKILL of re-wrapping at random moments: every secret opens after each, each is moved once, the jobs finish."""
    killed, jobs = await killed_runs(kills=100, secrets=40, seed=13, logs=tmp_path)
    record_property("kills", killed)
    record_property("jobs", jobs)
    record_property("secrets", 120)
    assert killed == 100
