"""Works on re-wrapping jobs: each stored secret under the KMS key that its account's secrets should be under.

For each secret KMS wraps the data key anew, and one transaction stores the wrapping, the account's new version and how
far the job is. Whoever is stopped in between, at any point, has changed nothing or all of it, and both wrappings open;
the next run goes on from the last secret that was stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import SealedSecret, StoredCredential
from ownkey.domain.errors import CredentialUndecryptable, KmsKeyUnusable, StoreUnavailable, VaultUnavailable
from ownkey.domain.rewraps import MAX_FAILURES_NAMED, JobState, RewrapFailure, RewrapJob
from ownkey.domain.times import rfc3339
from ownkey.registry import Registry
from ownkey.registry.rewraps import JobTaken, KmsKeyChanged, Move, SecretChanged
from ownkey.store import keys
from ownkey.vault import Rewrapper

_log = logging.getLogger(__name__)

BUDGET_S = 45.0
"""Of one run, which comes by the minute."""
_NOTED_EVERY = 20
"""Secrets that need no move are noted so many at a time; a run that is killed looks at them again."""


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What one run did: secrets moved and failed, jobs finished."""

    moved: int = 0
    failed: int = 0
    finished: int = 0


class Rewrapping:
    """One run works on every open job until its time is up.

    Args:
        vault_key_id: ARN of the deployment's KMS key, for accounts that have none of their own.
    """

    def __init__(
        self,
        registry: Registry,
        rewrapper: Rewrapper,
        vault_key_id: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._rewrapper = rewrapper
        self._vault_key_id = vault_key_id
        self._now = now
        self._monotonic = monotonic

    async def run(self, budget_s: float = BUDGET_S) -> Rewrapped:
        """Goes on with the open jobs, the oldest first."""
        give_up_at, total = self._monotonic() + budget_s, Rewrapped()
        for job in await self._registry.open_rewraps():
            try:
                worked = await self._work(job, give_up_at)
            except JobTaken:
                _log.info("another run is at the job", extra={"job": job.id})
                continue
            except (VaultUnavailable, StoreUnavailable) as e:
                _log.warning("a re-wrapping was interrupted", extra={"job": job.id, "reason": e.message})
                continue
            total = Rewrapped(
                total.moved + worked.done - job.done,
                total.failed + worked.failed - job.failed,
                total.finished + (worked.state is not JobState.RUNNING),
            )
        return total

    async def _work(self, job: RewrapJob, give_up_at: float) -> RewrapJob:
        if job.total is None:
            job = await self._note(replace(job, total=await self._count(job)))
        async for account, stored, sealed in self._ahead(job):
            if self._monotonic() >= give_up_at:
                return await self._note(job)
            job = await self._next(job, account, stored, sealed)
        state = JobState.FAILED if job.failed else JobState.DONE
        return await self._note(replace(job, state=state, total=job.done + job.skipped + job.failed))

    async def _next(
        self, job: RewrapJob, account: AccountHead, stored: StoredCredential, sealed: SealedSecret
    ) -> RewrapJob:
        """The job with one secret more looked at."""
        job = replace(job, cursor=_cursor(account.id, stored))
        wanted = account.kms_key_arn or self._vault_key_id
        if sealed.kms_key_id == wanted or not sealed.wrapped_key:
            return await self._passed(replace(job, skipped=job.skipped + 1))
        try:
            wrapped = await self._rewrapper.rewrap(stored.credential.binding(), sealed, wanted)
        except (CredentialUndecryptable, KmsKeyUnusable) as e:
            return await self._passed(_failed(job, stored, e.message))
        try:
            return await self._registry.move(
                Move(account, stored, wrapped), replace(job, done=job.done + 1, updated_at=self._timestamp())
            )
        except (SecretChanged, KmsKeyChanged):
            # A new secret is wrapped as it should be; and with another KMS key another job began.
            return await self._passed(replace(job, skipped=job.skipped + 1))

    async def _passed(self, job: RewrapJob) -> RewrapJob:
        return await self._note(job) if (job.skipped + job.failed) % _NOTED_EVERY == 0 else job

    async def _note(self, job: RewrapJob) -> RewrapJob:
        return await self._registry.note_progress(replace(job, updated_at=self._timestamp()))

    async def _ahead(self, job: RewrapJob) -> AsyncIterator[tuple[AccountHead, StoredCredential, SealedSecret]]:
        """The secrets behind the job's cursor, in its order."""
        reached = job.cursor.partition("#")[0]
        for account_id in await self._accounts(job):
            if account_id < reached:
                continue
            account = await self._registry.account(account_id)
            stored = await self._registry.all_secrets(account_id)
            for each in sorted(stored, key=_sort_key):
                if each.sealed is not None and _cursor(account_id, each) > job.cursor:
                    yield account, each, each.sealed

    async def _count(self, job: RewrapJob) -> int:
        count = 0
        for account_id in await self._accounts(job):
            count += sum(each.sealed is not None for each in await self._registry.all_secrets(account_id))
        return count

    async def _accounts(self, job: RewrapJob) -> list[str]:
        return sorted(await self._registry.account_ids()) if job.account_id is None else [job.account_id]

    def _timestamp(self) -> str:
        return rfc3339(self._now())


def _sort_key(stored: StoredCredential) -> str:
    return keys.credential_version(stored.credential.id, stored.credential.version)


def _cursor(account_id: str, stored: StoredCredential) -> str:
    # "#" sorts before every character of an account's id: cursors sort as accounts do, and then as their secrets.
    return f"{account_id}#{_sort_key(stored)}"


def _failed(job: RewrapJob, stored: StoredCredential, reason: str) -> RewrapJob:
    credential = stored.credential
    failure = RewrapFailure(credential.account_id, credential.id, credential.version, reason)
    return replace(job, failed=job.failed + 1, failures=(*job.failures, failure)[:MAX_FAILURES_NAMED])
