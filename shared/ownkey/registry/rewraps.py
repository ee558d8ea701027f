"""Re-wrapping jobs: begun by management, worked on by upkeep, which only ever updates items that exist.

A job's progress is written under the condition that nobody else wrote it since it was read: two runs at once never
count a secret twice, and the one that comes second stops.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import SealedSecret, StoredCredential
from ownkey.domain.errors import NotFound
from ownkey.domain.rewraps import JobState, RewrapFailure, RewrapJob
from ownkey.registry.changes import raise_version
from ownkey.registry.table import RegistryTable
from ownkey.store import keys
from ownkey.store.dynamodb import ConditionFailed, Item, Key, Put, Update


class JobTaken(Exception):
    """Another run is at the same job, or has ended it."""


class SecretChanged(Exception):
    """The secret was rotated, shredded, removed or moved since it was read."""


class KmsKeyChanged(Exception):
    """The account has another KMS key than when its secrets were read."""


@dataclass(frozen=True, slots=True)
class Move:
    """One secret, brought under another KMS key."""

    account: AccountHead
    """As it was when the KMS key to wrap under was decided."""
    stored: StoredCredential
    wrapped: SealedSecret

    @property
    def seen(self) -> bytes:
        """The wrapping that stands there as long as nobody else touches the secret."""
        return b"" if self.stored.sealed is None else self.stored.sealed.wrapped_key


class Rewraps(RegistryTable):
    """Reads and writes of jobs, and of the secrets that they move."""

    async def start_rewrap(self, job: RewrapJob) -> None:
        """Stores a new job: upkeep begins it within a minute."""
        await self._db.write(new_job(self._table, job))

    async def rewrap(self, job_id: str) -> RewrapJob:
        """One job.

        Raises:
            NotFound: there is none of this id.
        """
        item = await self._db.get(self._key(keys.REWRAP_PARTITION, job_id))
        if item is None:
            raise NotFound(f"There is no re-wrapping {job_id}.")
        return _to_job(item)

    async def rewraps(self) -> list[RewrapJob]:
        """All jobs, newest first."""
        rows = await self._db.query_all(self._table, keys.REWRAP_PARTITION, newest_first=True)
        return [_to_job(row) for row in rows]

    async def open_rewraps(self) -> list[RewrapJob]:
        """The jobs that are not finished, oldest first."""
        rows = await self._db.query_all(
            self._table,
            keys.REWRAP_PARTITION,
            filter_expression="#state = :running",
            names={"#state": "state"},
            values={":running": JobState.RUNNING.value},
        )
        return [_to_job(row) for row in rows]

    async def note_progress(self, job: RewrapJob) -> RewrapJob:
        """Stores how far a job is; the job as it stands then.

        Raises:
            JobTaken: somebody else did since it was read.
        """
        try:
            await self._db.write(self._advance(job))
        except ConditionFailed as e:
            raise JobTaken from e
        return replace(job, revision=job.revision + 1)

    async def move(self, move: Move, job: RewrapJob) -> RewrapJob:
        """The secret under its new wrapping, the account's version and the job's progress: all three or none.

        Raises:
            KmsKeyChanged, SecretChanged, JobTaken: nothing was written.
        """
        credential = move.stored.credential
        account = keys.account(credential.account_id)
        secret = Update(
            self._key(account, keys.credential_version(credential.id, credential.version)),
            "SET wrapped_key = :wrapped, kms_key_id = :arn",
            condition="wrapped_key = :seen",
            values={":wrapped": move.wrapped.wrapped_key, ":arn": move.wrapped.kms_key_id, ":seen": move.seen},
        )
        # The version rises so that warm functions stop using the former wrapping: its KMS key may be on its way out.
        head = raise_version(self._head_at(credential.account_id), sealed_for=move.account)
        try:
            await self._db.transact([self._advance(job), head, secret])
        except ConditionFailed as e:
            raise (JobTaken, KmsKeyChanged, SecretChanged)[e.index] from e
        return replace(job, revision=job.revision + 1)

    def _advance(self, job: RewrapJob) -> Update:
        progress = _progress(job) | {"revision": job.revision + 1}
        names = {f"#{name}": name for name in progress}
        return Update(
            self._job_at(job),
            "SET " + ", ".join(f"#{name} = :{name}" for name in progress),
            condition="#revision = :seen",
            names=names,
            values={**{f":{name}": value for name, value in progress.items()}, ":seen": job.revision},
        )

    def _job_at(self, job: RewrapJob) -> Key:
        return self._key(keys.REWRAP_PARTITION, job.id)


def new_job(table: str, job: RewrapJob) -> Put:
    """The write that begins a job."""
    origin = {"id": job.id, "account_id": job.account_id, "started_by": job.started_by, "started_at": job.started_at}
    item = {**origin, **_progress(job), "revision": job.revision}
    return Put(Key(table, keys.REWRAP_PARTITION, job.id), item, "attribute_not_exists(pk)")


def _progress(job: RewrapJob) -> dict[str, Any]:
    """What changes while a job runs."""
    return {
        "state": job.state.value,
        "cursor": job.cursor,
        "total": job.total,
        "done": job.done,
        "skipped": job.skipped,
        "failed": job.failed,
        "failures": [asdict(each) for each in job.failures],
        "updated_at": job.updated_at,
    }


def _to_job(item: Item) -> RewrapJob:
    fields = {name: value for name, value in item.items() if name not in ("pk", "sk")}
    fields["state"] = JobState(fields["state"])
    fields["failures"] = tuple(RewrapFailure(**each) for each in fields["failures"])
    return RewrapJob(**{"account_id": None, "total": None, **fields})
