"""`/api/rewrap`: the operator brings every account's secrets under the KMS key they should be under."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ownkey.upkeep.rewrapping import Rewrapping
from ownkey.vault import Rewrapper, Sealer
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, OWN_KMS_KEY, FakeKms
from tests.support.management import OPENAI_KEY, OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    """A deployment whose former KMS key is `OWN_KMS_KEY`: everything saved is under it."""
    kms = FakeKms()
    async with management(tables, kms=kms, sealer=Sealer(kms, OWN_KMS_KEY)) as running:
        yield running


async def rewrap(api: Management) -> None:
    await Rewrapping(api.registry, Rewrapper(api.kms), KMS_KEY).run()


async def test_a_job_is_accepted_worked_on_and_shown(api: Management) -> None:
    await api.save()
    await api.save(by="oz")
    started = await api.call("POST", "/api/rewrap", by=OPERATOR)
    assert started.status_code == 202
    job = started.json()
    assert job["id"].startswith("rw_")
    assert (job["account"], job["state"], job["total"], job["done"]) == (None, "running", None, 0)

    await rewrap(api)

    now = await api.ok("GET", f"/api/rewrap/{job['id']}", by=OPERATOR)
    assert now.items() >= {"state": "done", "total": 2, "done": 2, "skipped": 0, "failed": 0, "failures": []}.items()
    assert now["started_by"] == OPERATOR
    for account_id in ("acme", "other"):
        (stored,) = await api.registry.stored_credentials(account_id)
        assert stored.sealed is not None
        assert stored.sealed.kms_key_id == KMS_KEY
        assert list((await api.stored(account_id)).values()) == [OPENAI_KEY]


async def test_what_failed_is_named(api: Management) -> None:
    saved = await api.save()
    api.kms.disabled.add(OWN_KMS_KEY)
    job = await api.ok("POST", "/api/rewrap", by=OPERATOR)
    await rewrap(api)
    now = await api.ok("GET", f"/api/rewrap/{job['id']}", by=OPERATOR)
    assert (now["state"], now["failed"]) == ("failed", 1)
    (failure,) = now["failures"]
    assert (failure["account"], failure["credential_id"], failure["version"]) == ("acme", saved["id"], 1)
    assert "DisabledException" in failure["reason"]


async def test_one_at_a_time_is_enough(api: Management) -> None:
    job = await api.ok("POST", "/api/rewrap", by=OPERATOR)
    status, error = await api.refused("POST", "/api/rewrap", by=OPERATOR)
    assert (status, error["code"]) == (409, "conflict")
    assert job["id"] in error["metadata"]["fix"]
    await rewrap(api)
    await api.ok("POST", "/api/rewrap", by=OPERATOR)


async def test_a_repeated_request_starts_one_job(api: Management) -> None:
    again = {"idempotency-key": "once"}
    answers = [await api.call("POST", "/api/rewrap", by=OPERATOR, headers=again) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_jobs_are_listed_newest_first_those_of_accounts_too(api: Management) -> None:
    first = (await api.ok("PUT", "/api/accounts/acme/kms-key", json={"kms_key_arn": OWN_KMS_KEY}))["rewrap"]["id"]
    second = (await api.ok("POST", "/api/rewrap", by=OPERATOR))["id"]
    page = await api.ok("GET", "/api/rewrap?limit=1", by=OPERATOR)
    assert [job["id"] for job in page["data"]] == [second]
    rest = await api.ok("GET", f"/api/rewrap?limit=1&cursor={page['next_cursor']}", by=OPERATOR)
    assert [(job["id"], job["account"]) for job in rest["data"]] == [(first, "acme")]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/rw_1")])
@pytest.mark.parametrize("who", ["ann", "adi", "mia", "bea"])
async def test_they_are_the_operators(api: Management, method: str, path: str, who: str) -> None:
    assert (await api.refused(method, f"/api/rewrap{path}", by=who))[0] == 403


async def test_a_job_that_is_not_there(api: Management) -> None:
    assert (await api.refused("GET", "/api/rewrap/rw_1", by=OPERATOR))[0] == 404
