"""`PATCH /api/auth?keyId=…`: provider keys of one gateway key, set and cleared together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ownkey.catalog.intake import read_secret
from ownkey.validation import Candidate, Finding
from tests.support.aws import Tables
from tests.support.management import ANTHROPIC_KEY, OPENAI_KEY, OPENAI_KEY_2, OPERATOR, Management, management


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
async def key_id(api: Management) -> str:
    return (await api.gateway_key(alias="checkout"))["id"]


async def patch(api: Management, key_id: str, provider_keys: Any, **options: Any) -> dict[str, Any]:
    return await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": provider_keys}, **options)


async def refused(api: Management, key_id: str, provider_keys: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    return await api.refused("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": provider_keys}, **options)


async def credentials(api: Management, provider: str = "openai") -> list[dict[str, Any]]:
    rows = (await api.ok("GET", "/api/byok"))["data"]
    return [row for row in rows if row["provider"] == provider]


class TestSetting:
    async def test_saves_each_providers_key_for_this_gateway_key_alone(self, api: Management, key_id: str) -> None:
        answer = await patch(api, key_id, {"OpenAI": OPENAI_KEY, "Anthropic": ANTHROPIC_KEY})
        assert answer == {
            "id": key_id,
            "alias": "checkout",
            "providerKeys": {"OpenAI": "sk-…ABCD", "Anthropic": "sk-…EFGH"},
            "warnings": [],
        }
        rows = (await api.ok("GET", "/api/byok"))["data"]
        assert {(row["provider"], *row["gateway_keys"]) for row in rows} == {("openai", key_id), ("anthropic", key_id)}
        assert set((await api.stored()).values()) == {OPENAI_KEY, ANTHROPIC_KEY}

    async def test_each_key_is_asked_about_exactly_once_at_its_own_providers_host(
        self, api: Management, key_id: str
    ) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY, "Anthropic": ANTHROPIC_KEY})
        assert sorted(api.validation.asked) == [
            ("anthropic", ANTHROPIC_KEY, "https://api.anthropic.com/v1"),
            ("openai", OPENAI_KEY, "https://api.openai.com/v1"),
        ]

    @pytest.mark.parametrize("name", ["OpenAI", "openai", "OPENAI", " openai "])
    async def test_providers_are_named_as_people_type_them(self, api: Management, key_id: str, name: str) -> None:
        assert (await patch(api, key_id, {name: OPENAI_KEY}))["providerKeys"] == {"OpenAI": "sk-…ABCD"}

    async def test_again_rotates_in_place(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        (first,) = await credentials(api)
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        (second,) = await credentials(api)
        assert (second["id"], second["version"], second["mask"]) == (first["id"], 2, "sk-…WXYZ")
        assert await api.stored() == {first["id"]: OPENAI_KEY_2}

    async def test_rotation_keeps_the_settings_and_wakes_a_disabled_one(self, api: Management, key_id: str) -> None:
        saved = await api.save(gateway_keys=[key_id], priority=3, organization="org-1", disabled=True)
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        (row,) = await credentials(api)
        assert (row["id"], row["priority"], row["organization"]) == (saved["id"], 3, "org-1")
        assert row["status"] == "active"

    async def test_the_key_goes_to_the_providers_own_host_not_to_a_former_base_url(
        self, api: Management, key_id: str
    ) -> None:
        """The request names a provider and no address (C12)."""
        await api.save(gateway_keys=[key_id], base_url="https://proxy.example/v1")
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        assert api.validation.asked[-1] == ("openai", OPENAI_KEY_2, "https://api.openai.com/v1")
        (row,) = await credentials(api)
        assert (row["base_url"], row["custom_base_url"]) == ("https://api.openai.com/v1", False)

    async def test_an_account_wide_credential_stays_as_it_is(self, api: Management, key_id: str) -> None:
        wide = await api.save()
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        rows = await credentials(api)
        assert rows[0] == {name: value for name, value in wide.items() if name != "warnings"}
        assert rows[1]["gateway_keys"] == [key_id]

    async def test_another_gateway_keys_credential_stays_as_it_is(self, api: Management, key_id: str) -> None:
        other = (await api.gateway_key(alias="other"))["id"]
        await patch(api, other, {"OpenAI": OPENAI_KEY})
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        assert sorted(row["gateway_keys"] for row in await credentials(api)) == sorted([[other], [key_id]])
        assert set((await api.stored()).values()) == {OPENAI_KEY, OPENAI_KEY_2}

    async def test_a_shared_credential_is_left_to_the_others(self, api: Management, key_id: str) -> None:
        other = (await api.gateway_key(alias="other"))["id"]
        shared = await api.save(gateway_keys=[key_id, other])
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        rows = await credentials(api)
        assert {row["id"]: row["gateway_keys"] for row in rows} == {shared["id"]: [other], rows[1]["id"]: [key_id]}
        assert (await api.stored())[shared["id"]] == OPENAI_KEY

    async def test_one_key_a_provider_remains_of_several(self, api: Management, key_id: str) -> None:
        second = await api.save(gateway_keys=[key_id], priority=2)
        first = await api.save(gateway_keys=[key_id], priority=1)
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        (row,) = await credentials(api)
        assert row["id"] == first["id"] != second["id"]

    async def test_the_answer_shows_all_of_the_gateway_keys_providers(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        assert (await patch(api, key_id, {"Anthropic": ANTHROPIC_KEY}))["providerKeys"] == {
            "OpenAI": "sk-…ABCD",
            "Anthropic": "sk-…EFGH",
        }

    async def test_no_provider_named_changes_nothing(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        assert (await patch(api, key_id, {}))["providerKeys"] == {"OpenAI": "sk-…ABCD"}


class TestClearing:
    @pytest.mark.parametrize("nothing", [None, ""])
    async def test_null_or_empty_clears_the_provider(self, api: Management, key_id: str, nothing: str | None) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY, "Anthropic": ANTHROPIC_KEY})
        assert (await patch(api, key_id, {"OpenAI": nothing}))["providerKeys"] == {"Anthropic": "sk-…EFGH"}
        assert list((await api.stored()).values()) == [ANTHROPIC_KEY]

    async def test_null_for_all_clears_all_of_this_gateway_key(self, api: Management, key_id: str) -> None:
        other = (await api.gateway_key(alias="other"))["id"]
        await patch(api, other, {"OpenAI": OPENAI_KEY})
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2, "Anthropic": ANTHROPIC_KEY})
        assert (await patch(api, key_id, None))["providerKeys"] == {}
        assert list((await api.stored()).values()) == [OPENAI_KEY]

    async def test_the_last_gateway_key_takes_the_credential_along(self, api: Management, key_id: str) -> None:
        """Never widened: without a scope it would serve the whole account."""
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        await patch(api, key_id, {"OpenAI": None})
        assert await credentials(api) == []

    async def test_a_shared_credential_only_loses_this_gateway_key(self, api: Management, key_id: str) -> None:
        other = (await api.gateway_key(alias="other"))["id"]
        await api.save(gateway_keys=[key_id, other])
        await patch(api, key_id, {"OpenAI": None})
        (row,) = await credentials(api)
        assert row["gateway_keys"] == [other]

    @pytest.mark.parametrize("body", [{"OpenAI": None}, None])
    async def test_account_wide_credentials_are_not_touched(self, api: Management, key_id: str, body: Any) -> None:
        wide = await api.save()
        await patch(api, key_id, body)
        assert [row["id"] for row in await credentials(api)] == [wide["id"]]

    async def test_clearing_what_is_not_there_is_no_error(self, api: Management, key_id: str) -> None:
        assert (await patch(api, key_id, {"OpenAI": None}))["providerKeys"] == {}

    async def test_clearing_asks_no_provider(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        api.validation.asked.clear()
        await patch(api, key_id, {"OpenAI": None})
        assert api.validation.asked == []

    async def test_setting_and_clearing_go_together(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        answer = await patch(api, key_id, {"OpenAI": None, "Anthropic": ANTHROPIC_KEY})
        assert answer["providerKeys"] == {"Anthropic": "sk-…EFGH"}

    async def test_a_revoked_gateway_key_can_be_cleared_but_not_set(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        await api.ok("DELETE", f"/api/gateway-keys/{key_id}")
        status, error = await refused(api, key_id, {"OpenAI": OPENAI_KEY_2})
        assert (status, error["param"]) == (400, "keyId")
        assert (await patch(api, key_id, None))["providerKeys"] == {}


class TestAllOrNothing:
    async def test_one_rejected_key_stores_nothing_of_the_request(self, api: Management, key_id: str) -> None:
        await patch(api, key_id, {"Groq": "gsk_0123456789abcdefghijklmnopqrstuv"})
        before = await api.ok("GET", "/api/byok")
        api.validation.reject(OPENAI_KEY, "Incorrect API key provided.")
        status, error = await refused(api, key_id, {"Anthropic": ANTHROPIC_KEY, "OpenAI": OPENAI_KEY, "Groq": None})
        assert (status, error["code"], error["param"]) == (422, "credential_rejected", "providerKeys.OpenAI")
        assert error["message"].startswith("OpenAI refused the key: Incorrect API key provided.")
        assert error["metadata"]["source"] == "provider"
        assert await api.ok("GET", "/api/byok") == before

    async def test_a_provider_out_of_reach_stores_nothing(self, api: Management, key_id: str) -> None:
        api.validation.lose(ANTHROPIC_KEY)
        status, error = await refused(api, key_id, {"Anthropic": ANTHROPIC_KEY, "OpenAI": OPENAI_KEY})
        assert (status, error["code"], error["param"]) == (502, "provider_unreachable", "providerKeys.Anthropic")
        assert await api.stored() == {}

    async def test_a_rejection_says_more_than_a_provider_out_of_reach(self, api: Management, key_id: str) -> None:
        api.validation.lose(ANTHROPIC_KEY)
        api.validation.reject(OPENAI_KEY)
        status, error = await refused(api, key_id, {"Anthropic": ANTHROPIC_KEY, "OpenAI": OPENAI_KEY})
        assert status == 422
        assert error["metadata"]["providers"].keys() == {"openai", "anthropic"}

    @pytest.mark.parametrize(
        ("bad", "code"),
        [
            ({"Nonesuch": OPENAI_KEY}, "invalid_parameter"),
            ({"openai": OPENAI_KEY_2}, "invalid_parameter"),
            ({"Groq": "two words"}, "invalid_credential_format"),
            ({"Groq": "   "}, "invalid_credential_format"),
            ({"Groq": 7}, "invalid_parameter"),
            ({"openai-compatible": "sk-local"}, "invalid_parameter"),
        ],
        ids=["unknown provider", "named twice", "not a key", "blank", "not a string", "no base URL"],
    )
    async def test_one_bad_entry_asks_nobody(self, api: Management, key_id: str, bad: dict, code: str) -> None:
        status, error = await refused(api, key_id, {"OpenAI": OPENAI_KEY, **bad})
        assert (status, error["code"]) == (400, code)
        assert api.validation.asked == []
        assert await api.stored() == {}

    async def test_a_gateway_key_in_a_provider_keys_place_is_named_as_such(self, api: Management, key_id: str) -> None:
        pasted = (await api.gateway_key())["key"]
        status, error = await refused(api, key_id, {"OpenAI": pasted})
        assert (status, error["code"]) == (400, "invalid_credential_format")
        assert "gateway key" in error["message"]
        assert pasted not in str(error)

    async def test_of_two_rotations_at_once_one_is_told_to_look_again(
        self, api: Management, key_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        both_read, validate = asyncio.Barrier(2), api.validation.validate

        async def together(candidate: Candidate) -> Finding:
            await both_read.wait()
            return await validate(candidate)

        monkeypatch.setattr(api.validation, "validate", together)
        both = await asyncio.gather(
            *(
                api.call("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": key}})
                for key in (OPENAI_KEY_2, "sk-proj-a-third-key-0123456789")
            )
        )
        assert sorted(response.status_code for response in both) == [200, 409]
        (row,) = await credentials(api)
        assert row["version"] == 2


class TestTheRequest:
    @pytest.mark.parametrize(
        "body",
        [{}, {"providerKeys": []}, {"providerKeys": "sk-x"}, {"providerkeys": None}, [], None, "null"],
        ids=["empty", "list", "string", "misspelt", "array", "null", "text"],
    )
    async def test_a_body_of_another_shape_is_refused(self, api: Management, key_id: str, body: Any) -> None:
        """An empty body must not be taken for "clear all"."""
        await patch(api, key_id, {"OpenAI": OPENAI_KEY})
        status, _ = await api.refused("PATCH", f"/api/auth?keyId={key_id}", json=body)
        assert status == 400
        assert list((await api.stored()).values()) == [OPENAI_KEY]

    async def test_the_key_id_is_asked_for(self, api: Management) -> None:
        status, error = await api.refused("PATCH", "/api/auth", json={"providerKeys": None})
        assert (status, error["param"]) == (400, "keyId")

    async def test_another_accounts_gateway_key_does_not_exist(self, api: Management) -> None:
        theirs = (await api.gateway_key(by="oz"))["id"]
        unknown = await refused(api, "gk_00000000000000000000000000", {"OpenAI": OPENAI_KEY})
        assert await refused(api, theirs, {"OpenAI": OPENAI_KEY}) == unknown
        assert unknown[0] == 404

    async def test_naming_a_foreign_account_does_not_help(self, api: Management) -> None:
        theirs = (await api.gateway_key(by="oz"))["id"]
        status, _ = await refused(api, theirs, None, headers={"x-ownkey-account": "other"})
        assert status == 404

    async def test_a_member_of_several_accounts_need_not_name_one(self, api: Management, key_id: str) -> None:
        """The call has no place for an account: the gateway key tells."""
        await api.ok(
            "POST", "/api/accounts/other/members", by="oz", json={"email": "ann@acme.example", "role": "admin"}
        )
        theirs = (await api.gateway_key(by="oz"))["id"]
        await patch(api, theirs, {"OpenAI": OPENAI_KEY})
        await patch(api, key_id, {"OpenAI": OPENAI_KEY_2})
        assert list((await api.stored("other")).values()) == [OPENAI_KEY]
        assert list((await api.stored("acme")).values()) == [OPENAI_KEY_2]

    @pytest.mark.parametrize("person", ["mia", "bea"])
    async def test_members_and_billing_may_not(self, api: Management, key_id: str, person: str) -> None:
        status, error = await refused(api, key_id, {"OpenAI": OPENAI_KEY}, by=person)
        assert (status, error["code"]) == (403, "forbidden")

    async def test_the_operator_may_not_in_others_accounts(self, api: Management, key_id: str) -> None:
        status, _ = await refused(api, key_id, None, by=OPERATOR, headers={"x-ownkey-account": "acme"})
        assert status == 403

    async def test_an_unusual_key_is_saved_with_a_warning(self, api: Management, key_id: str) -> None:
        """Formats change without notice: never a reason to refuse."""
        answer = await patch(api, key_id, {"Anthropic": "ant_new_format_0123456789"})
        assert len(answer["warnings"]) == 1
        assert "sk-ant-…" in answer["warnings"][0]


def test_pasted_space_is_not_part_of_a_key() -> None:
    assert read_secret(f" {OPENAI_KEY}\n", param="key").reveal() == OPENAI_KEY
