"""How pools, an account's KMS key and re-wrapping jobs are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.credentials import Credential, PoolStrategy
from ownkey.domain.rewraps import RewrapJob
from ownkey.http.management.views.credentials import provider_name

Json = dict[str, Any]


def pool(provider_id: str, strategy: PoolStrategy, credentials: Sequence[Credential], catalog: Catalog) -> Json:
    """An account's credentials for one provider, in the order of their priority."""
    return {
        "provider": provider_id,
        "provider_name": provider_name(provider_id, catalog),
        "strategy": strategy.value,
        "credentials": [
            {
                "id": each.id,
                "alias": each.alias,
                "priority": each.priority,
                "weight": each.weight,
                "disabled": each.disabled,
            }
            for each in sorted(credentials, key=lambda each: (each.priority, each.id))
        ],
    }


def kms_key(arn: str | None, job: RewrapJob | None) -> Json:
    """The KMS key that an account's secrets are wrapped under; null: the deployment's."""
    return {"kms_key_arn": arn, "rewrap": None if job is None else rewrap(job)}


def rewrap(job: RewrapJob) -> Json:
    """A re-wrapping job and how far it is."""
    return {
        "id": job.id,
        "account": job.account_id,
        "state": job.state.value,
        "total": job.total,
        "done": job.done,
        "skipped": job.skipped,
        "failed": job.failed,
        "failures": [
            {
                "account": each.account_id,
                "credential_id": each.credential_id,
                "version": each.version,
                "reason": each.reason,
            }
            for each in job.failures
        ],
        "started_by": job.started_by,
        "started_at": job.started_at,
        "updated_at": job.updated_at,
    }
