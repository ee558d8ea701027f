"""A KMS key of the account's own: checked before it counts, wrapped under at once, the stored secrets brought there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ownkey.domain.errors import CredentialUndecryptable
from ownkey.domain.rewraps import JobState
from ownkey.upkeep.rewrapping import Rewrapping
from ownkey.vault import Opener, Rewrapper
from tests.support.aws import Tables
from tests.support.kms import KMS_KEY, OWN_KMS_KEY
from tests.support.management import OPENAI_KEY, OPENAI_KEY_2, OPERATOR, Management, management

PATH = "/api/accounts/acme/kms-key"
NO_ARNS = (
    "",
    "0a1b2c3d",
    "alias/mine",
    "arn:aws:kms:us-east-1:444455556666:alias/mine",
    "arn:aws:s3:::bucket",
    "arn:aws:kms:us-east-1:444455556666:key/4e5f6a7b\n",
    "arn:aws:kms:us-east-1:4444:key/4e5f6a7b",
    "arn:aws:kms:us-east-1:444455556666:key/../../x",
)


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


async def wrapped_under(api: Management) -> set[str]:
    return {each.sealed.kms_key_id for each in await api.registry.stored_credentials("acme") if each.sealed}


async def rewrap(api: Management) -> None:
    """What upkeep does within a minute."""
    await Rewrapping(api.registry, Rewrapper(api.kms), KMS_KEY).run()


async def test_a_key_counts_for_what_is_saved_from_now_on_and_the_rest_is_moved(api: Management) -> None:
    old = await api.save()
    assert await api.ok("GET", PATH) == {"kms_key_arn": None, "rewrap": None}
    answer = await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    assert answer["kms_key_arn"] == OWN_KMS_KEY
    job = answer["rewrap"]
    assert (job["account"], job["state"], job["started_by"]) == ("acme", "running", "ann")
    await api.save(key=OPENAI_KEY_2)
    assert await wrapped_under(api) == {KMS_KEY, OWN_KMS_KEY}

    await rewrap(api)

    assert await wrapped_under(api) == {OWN_KMS_KEY}
    assert (await api.stored())[old["id"]] == OPENAI_KEY
    now = await api.ok("GET", PATH)
    assert now["rewrap"].items() >= {"id": job["id"], "state": "done", "total": 2, "done": 1, "skipped": 1}.items()


async def test_it_can_be_given_up_again(api: Management) -> None:
    await api.save()
    await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    await rewrap(api)
    assert (await api.ok("DELETE", PATH))["kms_key_arn"] is None
    await rewrap(api)
    assert await wrapped_under(api) == {KMS_KEY}
    assert (await api.ok("PUT", PATH, json={"kms_key_arn": None}))["kms_key_arn"] is None


async def test_a_key_that_does_not_seal_is_refused(api: Management) -> None:
    api.kms.disabled.add(OWN_KMS_KEY)
    status, error = await api.refused("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    assert (status, error["code"]) == (400, "kms_key_unusable")
    assert "AccountKmsKeyArns" in error["metadata"]["fix"]
    assert await api.ok("GET", PATH) == {"kms_key_arn": None, "rewrap": None}


async def test_a_key_that_seals_and_does_not_open_is_refused(api: Management) -> None:
    """Its policy may let one function in and not the other: then everything saved under it would be lost."""

    async def refuses(_: object) -> str:
        return "KMS does not open this credential's key (AccessDeniedException)."

    api.validation.open_check = refuses
    status, error = await api.refused("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    assert (status, error["code"], error["param"]) == (400, "kms_key_unusable", "kms_key_arn")
    assert "AccessDeniedException" in error["message"]
    assert (await api.registry.account("acme")).kms_key_arn is None
    assert await api.registry.rewraps() == []


async def test_only_the_arn_of_a_key_is_one(api: Management) -> None:
    for arn in NO_ARNS:
        status, error = await api.refused("PUT", PATH, json={"kms_key_arn": arn})
        assert (status, error["param"]) == (400, "kms_key_arn"), arn
    assert (await api.refused("PUT", PATH, json={}))[0] == 400, "absent is not null"
    assert api.kms.made == 0


async def test_a_disabled_key_is_an_off_switch_and_says_so(api: Management) -> None:
    """C18: nothing is lost, nothing is served, and what to do about it stands in the answer."""
    await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    await api.save()
    api.kms.disabled.add(OWN_KMS_KEY)
    status, error = await api.refused("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY_2})
    assert (status, error["code"]) == (400, "kms_key_unusable")
    (stored,) = await api.registry.stored_credentials("acme")
    assert stored.sealed is not None
    # A function that has opened it before has the data key for five minutes yet; every other one asks KMS.
    with pytest.raises(CredentialUndecryptable, match="DisabledException"):
        await Opener(api.kms).open(stored.credential.binding(), stored.sealed)
    api.kms.disabled.clear()
    assert list((await api.stored()).values()) == [OPENAI_KEY]


async def test_a_secret_sealed_before_the_change_is_not_stored_after_it(api: Management) -> None:
    """Else it would stay under the former key behind the back of the job that passed it."""
    validate = api.validation.validate

    async def changed_meanwhile(candidate: object) -> object:
        api.validation.validate = validate
        await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
        await rewrap(api)
        return await validate(candidate)

    api.validation.validate = changed_meanwhile
    status, error = await api.refused("POST", "/api/byok", json={"provider": "OpenAI", "key": OPENAI_KEY})
    assert (status, error["code"]) == (409, "conflict")
    await api.save()
    assert await wrapped_under(api) == {OWN_KMS_KEY}


async def test_it_is_the_accounts_own_affair(api: Management) -> None:
    """The operator cannot take an account's off-switch away."""
    for who, expected in (("adi", 200), ("mia", 403), ("bea", 403), (OPERATOR, 403), ("oz", 404)):
        answer = await api.call("PUT", PATH, by=who, json={"kms_key_arn": OWN_KMS_KEY})
        assert answer.status_code == expected, who
        assert (await api.call("DELETE", PATH, by=who)).status_code == expected, who
    assert (await api.call("GET", PATH, by="mia")).status_code == 200


async def test_a_change_of_keys_is_in_the_log(api: Management) -> None:
    await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
    await api.ok("DELETE", PATH)
    removed, put = await api.log()
    assert put["details"]["kms_key_arn"] == OWN_KMS_KEY
    assert removed["details"]["former_kms_key_arn"] == OWN_KMS_KEY
    assert put["target"]["job_id"].startswith("rw_")


class TestShredding:
    async def test_a_shredded_credential_opens_never_again_and_stays_to_be_rotated(self, api: Management) -> None:
        saved = await api.save()
        other = await api.save(key=OPENAI_KEY_2)
        body = {"key": OPENAI_KEY_2, "keep_previous": True}
        await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json=body)
        shown = await api.ok("POST", f"/api/byok/{saved['id']}/shred", json={"confirm": saved["id"]})
        assert [each["status"] for each in shown["versions"]] == ["undecryptable"] * 2
        for each in await api.registry.credential_versions("acme", saved["id"]):
            assert each.sealed is not None
            with pytest.raises(CredentialUndecryptable, match="shredded"):
                await api.opener.open(each.credential.binding(), each.sealed)
        rotated = await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": OPENAI_KEY})
        assert (rotated["version"], rotated["status"]) == (3, "active")
        assert await api.stored() == {saved["id"]: OPENAI_KEY, other["id"]: OPENAI_KEY_2}

    async def test_it_has_to_be_meant(self, api: Management) -> None:
        saved = await api.save()
        other = await api.save()
        for body in ({}, {"confirm": ""}, {"confirm": other["id"]}, {"confirm": "yes"}):
            assert (await api.refused("POST", f"/api/byok/{saved['id']}/shred", json=body))[0] == 400
            assert (await api.refused("POST", "/api/accounts/acme/shred", json=body))[0] == 400
        assert set((await api.stored()).values()) == {OPENAI_KEY}

    async def test_an_account_shreds_all_it_has_and_nothing_of_others(self, api: Management) -> None:
        ids = [(await api.save())["id"] for _ in range(30)]
        theirs = await api.save(by="oz")
        before = (await api.registry.account("acme")).version
        answer = await api.ok("POST", "/api/accounts/acme/shred", json={"confirm": "acme"})
        assert answer == {"id": "acme", "shredded": ids}
        assert all(not each.sealed.wrapped_key for each in await api.registry.stored_credentials("acme") if each.sealed)
        assert (await api.registry.account("acme")).version > before
        assert await api.stored("other") == {theirs["id"]: OPENAI_KEY}

    async def test_a_job_brings_nothing_shredded_back(self, api: Management) -> None:
        saved = await api.save()
        await api.ok("PUT", PATH, json={"kms_key_arn": OWN_KMS_KEY})
        await api.ok("POST", f"/api/byok/{saved['id']}/shred", json={"confirm": saved["id"]})
        await rewrap(api)
        (job,) = await api.registry.rewraps()
        assert (job.state, job.done, job.skipped) == (JobState.DONE, 0, 1)
        assert all(not each.sealed.wrapped_key for each in await api.registry.stored_credentials("acme") if each.sealed)

    async def test_the_operator_shreds_nobodys(self, api: Management) -> None:
        for who, expected in (("mia", 403), ("bea", 403), (OPERATOR, 403), ("oz", 404), ("adi", 200)):
            answer = await api.call("POST", "/api/accounts/acme/shred", by=who, json={"confirm": "acme"})
            assert answer.status_code == expected, who
