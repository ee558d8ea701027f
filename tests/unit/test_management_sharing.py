"""Sharing through the API: the operator's list, the account's consent, one credential at a time; and what ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ownkey.catalog.sharing import consent_text, sharing_terms
from ownkey.domain.sharing import Consent, SharingTerms
from ownkey.ledger.records import Reward, reward_item
from ownkey.registry import Registry
from ownkey.router.lending import supplies_of
from ownkey.store import keys
from ownkey.store.dynamodb import Key, Put
from tests.support.aws import Tables
from tests.support.management import ANTHROPIC_KEY, CATALOG, NOW, OPENAI_KEY_2, OPERATOR, Management, management

TERMS = sharing_terms(CATALOG, ("openai",), 250)
TEXT = consent_text()
AGREED = {"version": TEXT.version, "digest": TEXT.digest}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    """OpenAI is on the operator's list, Anthropic is not."""
    async with management(tables, sharing=TERMS) as running:
        yield running


async def consent(api: Management, by: str = "ann") -> dict[str, Any]:
    return await api.ok("PUT", "/api/sharing/consent", by=by, json=AGREED)


async def share(api: Management, credential_id: str, *, shared: bool = True) -> dict[str, Any]:
    return await api.ok("PUT", f"/api/byok/{credential_id}/sharing", json={"shared": shared})


async def shared_credential(api: Management, **body: Any) -> str:
    await consent(api)
    saved = await api.save(**body)
    await share(api, saved["id"])
    return str(saved["id"])


class Inference:
    """What a function of inference sees: one reader for all of the test, with all that it caches."""

    def __init__(self, tables: Tables) -> None:
        self._registry = Registry(tables.db, tables.registry, tables.health)

    async def lent(self, terms: SharingTerms = TERMS, *, beside: str = "other") -> list[str]:
        donors = await self._registry.read_donors(sorted(terms.providers), beside=beside)
        supplies = supplies_of(donors, terms, datetime(2026, 11, 21, tzinfo=UTC), beside)
        return [stored.credential.id for supply in supplies for stored in supply.credentials]


@pytest.fixture
def inference(tables: Tables) -> Inference:
    return Inference(tables)


async def hindrance(api: Management) -> str | None:
    (row,) = (await api.ok("GET", "/api/sharing"))["credentials"]
    assert row["serves"] is (row["hindrance"] is None)
    return row["hindrance"]


def test_a_changed_text_has_a_new_version() -> None:
    """Who consented to a version consented to these words: change both lines together, and only both."""
    assert TEXT.version == "1"
    assert TEXT.digest == "a8bac7eb16a0779545e3997a6d34d22699920a0502466110ac4ea24620dbde6e"


@pytest.mark.parametrize("listed", ["opnai", "openai-compatible"])
def test_a_list_that_names_no_provider_stops_a_function(listed: str) -> None:
    with pytest.raises(ValueError, match="SharingProviders"):
        sharing_terms(CATALOG, (listed,), 500)


# ── the way in


async def test_nothing_is_listed_unless_the_operator_says_so(tables: Tables) -> None:
    async with management(tables) as api:
        saved = await api.save()
        assert (await api.ok("GET", "/api/sharing"))["providers"] == []
        await consent(api)
        status, error = await api.refused("PUT", f"/api/byok/{saved['id']}/sharing", json={"shared": True})
        assert (status, error["code"]) == (403, "sharing_not_permitted")


async def test_a_provider_that_is_not_listed_is_refused_with_the_reason(api: Management) -> None:
    await consent(api)
    saved = await api.save(provider="Anthropic", key=ANTHROPIC_KEY)
    status, error = await api.refused("PUT", f"/api/byok/{saved['id']}/sharing", json={"shared": True})
    assert (status, error["code"]) == (403, "sharing_not_permitted")
    assert "The terms of Anthropic are not marked as permitting" in error["message"]
    assert "SharingProviders" in error["metadata"]["fix"]


async def test_without_consent_nothing_is_shared(api: Management) -> None:
    saved = await api.save()
    status, error = await api.refused("PUT", f"/api/byok/{saved['id']}/sharing", json={"shared": True})
    assert (status, error["code"]) == (409, "sharing_consent_required")
    assert {name: error["metadata"][name] for name in AGREED} == AGREED


async def test_the_text_is_shown_and_consent_is_recorded_once(api: Management) -> None:
    before = await api.ok("GET", "/api/sharing", by="mia")
    assert before["consent_text"] == AGREED | {"text": TEXT.text}
    assert (before["consent"], before["reward_basis_points"]) == (None, 250)
    given = (await consent(api))["consent"]
    assert given == AGREED | {"given_by": "ann", "given_at": given["given_at"], "outdated": False}
    assert (await consent(api, by="adi"))["consent"] == given


@pytest.mark.parametrize("body", [AGREED | {"version": "0"}, AGREED | {"digest": "0" * 64}])
async def test_consent_is_to_the_text_as_it_is(api: Management, body: dict[str, str]) -> None:
    status, error = await api.refused("PUT", "/api/sharing/consent", json=body)
    assert (status, error["code"]) == (409, "conflict")
    assert (await api.ok("GET", "/api/sharing"))["consent"] is None


async def test_a_credential_is_shared_by_itself(api: Management, inference: Inference) -> None:
    await consent(api)
    first, second = await api.save(), await api.save(key=OPENAI_KEY_2, alias="second")
    assert (first["shared"], await inference.lent()) == (False, [])
    assert (await share(api, first["id"]))["shared"] is True
    assert await inference.lent() == [first["id"]]
    listed = (await api.ok("GET", "/api/sharing"))["credentials"]
    assert [(each["id"], each["serves"], each["hindrance"]) for each in listed] == [
        (first["id"], True, None),
        (second["id"], False, "not_shared"),
    ]


@pytest.mark.parametrize("by", ["mia", "bea", OPERATOR])
async def test_it_is_an_owners_or_admins_to_say(api: Management, by: str) -> None:
    saved = await api.save()
    for method, path, body in (
        ("PUT", "/api/sharing/consent", AGREED),
        ("DELETE", "/api/sharing/consent", None),
        ("PUT", f"/api/byok/{saved['id']}/sharing", {"shared": True}),
    ):
        named = {"headers": {"x-ownkey-account": "acme"}} | ({"json": body} if body else {})
        assert (await api.refused(method, path, by=by, **named))[0] == 403


async def test_what_others_could_read_or_could_not_use_is_not_shared(api: Management) -> None:
    await consent(api)
    key = await api.gateway_key()
    own = await api.save(base_url="https://proxy.example.com/v1")
    narrow = await api.save(key=OPENAI_KEY_2, gateway_keys=[key["id"]])
    for saved in (own, narrow):
        status, error = await api.refused("PUT", f"/api/byok/{saved['id']}/sharing", json={"shared": True})
        assert (status, error["param"]) == (400, "shared")


async def test_the_platforms_own_are_not_shared(api: Management) -> None:
    here = {"headers": {"x-ownkey-account": "platform"}}
    saved = await api.ok("POST", "/api/byok", by=OPERATOR, json={"provider": "OpenAI", "key": OPENAI_KEY_2}, **here)
    await api.ok("PUT", "/api/sharing/consent", by=OPERATOR, json=AGREED, **here)
    path = f"/api/byok/{saved['id']}/sharing"
    assert (await api.refused("PUT", path, by=OPERATOR, json={"shared": True}, **here))[0] == 400


async def test_it_takes_if_match(api: Management) -> None:
    await consent(api)
    saved = await api.save()
    path = f"/api/byok/{saved['id']}/sharing"
    tag = (await api.call("GET", f"/api/byok/{saved['id']}")).headers["etag"]
    await api.ok("PUT", path, json={"shared": True}, headers={"if-match": tag})
    status, _ = await api.refused("PUT", path, json={"shared": False}, headers={"if-match": tag})
    assert status == 412


# ── what ends it, with the next request


async def ends_by_the_toggle(api: Management, credential_id: str) -> None:
    await share(api, credential_id, shared=False)


async def ends_by_withdrawing(api: Management, _: str) -> None:
    assert (await api.ok("DELETE", "/api/sharing/consent"))["consent"] is None


async def ends_by_disabling(api: Management, credential_id: str) -> None:
    await api.ok("PATCH", f"/api/byok/{credential_id}", json={"disabled": True})


async def ends_by_rotating(api: Management, credential_id: str) -> None:
    rotated = await api.ok("POST", f"/api/byok/{credential_id}/rotate", json={"key": OPENAI_KEY_2})
    assert rotated["shared"] is False


async def ends_by_rotating_beside(api: Management, credential_id: str) -> None:
    body = {"key": OPENAI_KEY_2, "keep_previous": True, "share_percent": 100}
    await api.ok("POST", f"/api/byok/{credential_id}/rotate", json=body)


async def ends_by_removing(api: Management, credential_id: str) -> None:
    await api.ok("DELETE", f"/api/byok/{credential_id}")


async def ends_by_narrowing(api: Management, credential_id: str) -> None:
    key = await api.gateway_key()
    await api.ok("PATCH", f"/api/byok/{credential_id}", json={"gateway_keys": [key["id"]]})


async def ends_by_its_end(api: Management, credential_id: str) -> None:
    await api.ok("PATCH", f"/api/byok/{credential_id}", json={"expires_at": "2026-01-01T00:00:00Z"})


async def ends_with_the_account(api: Management, _: str) -> None:
    await api.ok("PATCH", "/api/accounts/acme", by=OPERATOR, json={"disabled": True})


ENDS = [
    ends_by_the_toggle,
    ends_by_withdrawing,
    ends_by_disabling,
    ends_by_rotating,
    ends_by_rotating_beside,
    ends_by_removing,
    ends_by_narrowing,
    ends_by_its_end,
    ends_with_the_account,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_it_ends_with_the_next_read(api: Management, inference: Inference, end: Any) -> None:
    """The reader has all of it cached: what it reads of the account's head tells it."""
    credential_id = await shared_credential(api)
    assert await inference.lent() == await inference.lent() == [credential_id]
    await end(api, credential_id)
    assert await inference.lent() == []


async def test_it_ends_when_the_provider_leaves_the_list(api: Management, inference: Inference) -> None:
    await shared_credential(api)
    assert await inference.lent(sharing_terms(CATALOG, ("groq",), 500)) == []


async def test_a_new_text_asks_again(api: Management, inference: Inference) -> None:
    credential_id = await shared_credential(api)
    await api.registry.give_consent("acme", Consent("0", "0" * 64, "ann", NOW))  # as it was before the text changed
    assert await inference.lent() == []
    shown = await api.ok("GET", "/api/sharing")
    assert (shown["consent"]["version"], shown["consent"]["outdated"]) == ("0", True)
    assert await hindrance(api) == "consent_outdated"
    status, error = await api.refused("PUT", f"/api/byok/{credential_id}/sharing", json={"shared": True})
    assert (status, error["code"]) == (409, "sharing_consent_required")
    given = (await consent(api, by="adi"))["consent"]
    assert (given["version"], given["given_by"], given["outdated"]) == (TEXT.version, "adi", False)
    assert (await inference.lent(), await hindrance(api)) == ([credential_id], None)


async def test_what_is_shared_again_serves_again(api: Management, inference: Inference) -> None:
    credential_id = await shared_credential(api)
    await api.ok("POST", f"/api/byok/{credential_id}/rotate", json={"key": OPENAI_KEY_2})
    await share(api, credential_id)
    assert await inference.lent() == [credential_id]


async def test_an_account_is_not_lent_its_own(api: Management, inference: Inference) -> None:
    await shared_credential(api)
    assert await inference.lent(beside="acme") == []


@pytest.mark.parametrize("end", [ends_by_the_toggle, ends_by_rotating, ends_by_removing], ids=lambda end: end.__name__)
async def test_nothing_is_left_in_the_list(api: Management, end: Any) -> None:
    credential_id = await shared_credential(api)
    rows = await api.tables.db.query_all(api.tables.registry, keys.shared("openai"))
    assert [(row["sk"], row["account_id"]) for row in rows] == [(credential_id, "acme")]
    await end(api, credential_id)
    assert await api.tables.db.query_all(api.tables.registry, keys.shared("openai")) == []


# ── what is logged and shown


async def test_the_log_says_who_consented_to_what_and_who_shared_what(api: Management) -> None:
    credential_id = await shared_credential(api)
    await share(api, credential_id, shared=False)
    await api.ok("DELETE", "/api/sharing/consent", by="adi")
    found = [each for each in await api.log() if "shar" in each["action"]]
    assert [(each["action"], each["actor_id"]) for each in found] == [
        ("sharing.consent_withdrawn", "adi"),
        ("credential.sharing_set", "ann"),
        ("credential.sharing_set", "ann"),
        ("sharing.consented", "ann"),
    ]
    assert found[1]["details"]["shared"] is False
    assert found[3]["details"] == {"consent_version": TEXT.version, "consent_digest": TEXT.digest}


async def test_rewards_are_shown_with_provider_model_amount_and_hour(api: Management) -> None:
    for n, model in enumerate(("gpt-4o", "gpt-5")):
        each = Reward("acme", f"rwd_0{n}", "openai", model, "cred_1", 1_500 + n, NOW, None if n else NOW)
        at = Key(api.tables.records, keys.rewards("acme"), each.id)
        await api.tables.db.write(Put(at, reward_item(each)))
    page = await api.ok("GET", "/api/sharing/rewards?limit=1", by="bea")
    assert page["data"] == [
        {
            "id": "rwd_01",
            "provider": "openai",
            "model": "gpt-5",
            "amount_usd": "0.000001501",
            "earned_at": NOW,
            "state": "requested",
        }
    ]
    rest = await api.ok("GET", f"/api/sharing/rewards?limit=1&cursor={page['next_cursor']}", by="bea")
    assert [(each["id"], each["state"]) for each in rest["data"]] == [("rwd_00", "billed")]
    assert (await api.ok("GET", "/api/sharing/rewards", by="oz"))["data"] == []
