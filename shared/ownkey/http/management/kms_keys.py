"""`/api/accounts/{id}/kms-key`, a KMS key of the account's own, and shredding all that the account has stored.

Whoever owns the KMS key can disable it: from then on nothing of the account opens, and the operator cannot change that.
So these are the members' to do, never the operator's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from fastapi import APIRouter, Request
from starlette.responses import Response

from ownkey.domain import ids
from ownkey.domain.accounts import AccountHead
from ownkey.domain.credentials import Binding
from ownkey.domain.errors import KmsKeyUnusable
from ownkey.domain.rewraps import RewrapJob
from ownkey.domain.secrets import Secret
from ownkey.domain.times import rfc3339
from ownkey.http.management import bodies, etags, views
from ownkey.http.management.access import Access, Right
from ownkey.http.management.answers import answer
from ownkey.http.management.auditing import note
from ownkey.http.management.confirming import require_confirmed
from ownkey.http.management.credentials import CredentialDesk
from ownkey.registry import Registry, ShredCredential
from ownkey.registry.changes import MAX_CHANGES
from ownkey.validation.opening import OpenCheck
from ownkey.vault import Sealer

_CHECKED_AS = "kms-check"


class OpeningPort(Protocol):
    """The function that may open."""

    async def open_check(self, check: OpenCheck) -> str | None:
        """None where the secret opens, else why not.

        Raises:
            GatewayFailure: it could not be asked.
        """


class KmsKeyDesk:
    """The use cases of an account's own KMS key."""

    def __init__(self, registry: Registry, sealer: Sealer, opening: OpeningPort, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._sealer = sealer
        self._opening = opening
        self._now = now

    async def set(self, seen: AccountHead, arn: str | None, user_id: str) -> RewrapJob:
        """Wraps under this KMS key from now on (None: the deployment's); the job that moves what is stored.

        Raises:
            KmsKeyUnusable: what is sealed under it does not open again; nothing changed.
            Conflict: the account has another KMS key than was seen.
        """
        if arn is not None:
            await self._check(seen.id, arn)
        at = rfc3339(self._now())
        job = RewrapJob(ids.new_id(ids.REWRAP), seen.id, user_id, at, at)
        await self._registry.set_kms_key(seen, arn, job)
        return job

    async def last_job(self, account_id: str) -> RewrapJob | None:
        """The account's newest job."""
        return next((job for job in await self._registry.rewraps() if job.account_id == account_id), None)

    async def shred(self, account_id: str) -> list[str]:
        """Deletes the data keys of everything the account has stored; the ids of the credentials.

        Raises:
            Conflict: somebody changed one of them meanwhile. Those before it are shredded: repeat it.
        """
        at = rfc3339(self._now())
        secrets_of = [each.credential for each in await self._registry.all_secrets(account_id) if not each.is_previous]
        stored = [each for each in secrets_of if not each.keyless]
        for first in range(0, len(stored), MAX_CHANGES):
            changes = [
                ShredCredential(replace(each, updated_at=at), each) for each in stored[first : first + MAX_CHANGES]
            ]
            await self._registry.apply(account_id, changes)
        return [each.id for each in stored]

    async def _check(self, account_id: str, arn: str) -> None:
        """Seals a throwaway under the key, and has it opened by the function that will open the real ones."""
        binding = Binding(account_id, _CHECKED_AS, ids.new_id(_CHECKED_AS), 1, _CHECKED_AS)
        throwaway = {"check": Secret(secrets.token_urlsafe(32))}
        sealed = await self._sealer.seal(binding, throwaway, now=rfc3339(self._now()), kms_key_id=arn)
        refused = await self._opening.open_check(OpenCheck(binding, sealed))
        if refused is not None:
            raise KmsKeyUnusable(f"The KMS key seals and does not open again: {refused}", param="kms_key_arn")


def routes(access: Access, desk: KmsKeyDesk, credentials: CredentialDesk) -> APIRouter:
    """The endpoints."""
    router = APIRouter(prefix="/api/accounts/{account_id}")

    @router.get("/kms-key")
    async def read_kms_key(request: Request, account_id: str) -> Response:
        caller = await access.enter(request, Right.READ_CREDENTIALS, account_id)
        head = await credentials.head(caller.account_id)
        return etags.answer(views.kms_key(head.kms_key_arn, await desk.last_job(head.id)))

    @router.put("/kms-key")
    async def set_kms_key(request: Request, account_id: str, body: bodies.SetKmsKey) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS, account_id)
        return await changed(request, caller.account_id, caller.user_id, body.kms_key_arn)

    @router.delete("/kms-key")
    async def remove_kms_key(request: Request, account_id: str) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS, account_id)
        return await changed(request, caller.account_id, caller.user_id, None)

    async def changed(request: Request, account_id: str, user_id: str, arn: str | None) -> Response:
        head = await credentials.head(account_id)
        etags.check(request, views.kms_key(head.kms_key_arn, None))
        job = await desk.set(head, arn, user_id)
        note(request, kms_key_arn=arn, former_kms_key_arn=head.kms_key_arn, job_id=job.id)
        return etags.answer(views.kms_key(arn, job))

    @router.post("/shred")
    async def shred_account(request: Request, account_id: str, body: bodies.Confirmation) -> Response:
        caller = await access.enter(request, Right.CHANGE_CREDENTIALS, account_id)
        require_confirmed(body, account_id)
        shredded = await desk.shred(caller.account_id)
        note(request, credential_ids=shredded)
        return answer({"id": account_id, "shredded": shredded})

    return router
