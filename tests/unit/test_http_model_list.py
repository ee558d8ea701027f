"""What a gateway key reaches, and what it is told of it."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote

import anthropic
import openai
import pytest

from ownkey.catalog import Catalog
from ownkey.domain.accounts import PLATFORM_ACCOUNT, AccountHead
from ownkey.domain.credentials import Credential, SealedSecret, StoredCredential
from ownkey.domain.errors import InvalidParameter
from ownkey.domain.gateway_keys import GatewayKey
from ownkey.domain.surfaces import Surface
from ownkey.http.model_list import Reachable, as_anthropic_list, as_openai_list, reachable
from ownkey.registry import RequestView, Snapshot

CATALOG = Catalog.load()
TODAY = date(2026, 11, 21)
AT = "2026-11-21T09:00:00Z"
SEALED = SealedSecret(1, b"", "", b"", b"", b"", AT)


def stored(account_id: str, provider_id: str, **values: object) -> StoredCredential:
    fields: dict = {"id": f"cred_{provider_id}", "account_id": account_id, "provider_id": provider_id, "alias": "a"}
    fields |= {"mask": "…", "version": 1, "destination": "https://x.example", "created_at": AT, "updated_at": AT}
    return StoredCredential(Credential(**(fields | values)), SEALED)


def models(*own: StoredCredential, platform: tuple = (), platform_allowed: bool = True) -> dict[str, Reachable]:
    view = RequestView(
        GatewayKey("gk_1", "acme", "app", "", "", AT, "user"),
        AccountHead("acme", "Acme", 1, AT, platform_allowed=platform_allowed),
        Snapshot("acme", 1, own),
        Snapshot(PLATFORM_ACCOUNT, 1, platform),
    )
    return reachable(view, CATALOG, TODAY)


def own(provider_id: str, **values: object) -> StoredCredential:
    return stored("acme", provider_id, **values)


def shared(provider_id: str) -> StoredCredential:
    return stored(PLATFORM_ACCOUNT, provider_id)


def test_without_a_credential_nothing_is_reached() -> None:
    assert models() == {}
    assert as_openai_list(models()) == {"object": "list", "data": []}
    assert as_anthropic_list(models()) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


def test_own_and_platform_credentials_are_told_apart() -> None:
    listed = as_openai_list(models(own("openai"), platform=(shared("openai"), shared("anthropic"))))["data"]
    rows = {row["id"]: row for row in listed}
    mini = rows["gpt-4o-mini"]
    assert (mini["byok"], mini["platform"], mini["owned_by"]) == (True, True, "openai")
    assert mini["routes"][0] == {"provider": "openai", "source": "byok"}
    claude = next(row for id_, row in rows.items() if id_.startswith("claude"))
    assert (claude["byok"], claude["platform"]) == (False, True)


def test_prices_are_dollars_a_token_as_plain_decimal_strings() -> None:
    (mini,) = (row for row in as_openai_list(models(own("openai")))["data"] if row["id"] == "gpt-4o-mini")
    tokens = {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"}
    assert mini["pricing"] == tokens | {"web_search": "0.025"}
    assert mini["context_length"] == 128_000
    assert "tools" in mini["capabilities"]


def test_what_may_not_serve_is_not_listed() -> None:
    assert models(own("openai", disabled=True)) == {}
    assert models(own("openai", gateway_keys=("gk_other",))) == {}
    assert models(platform=(shared("openai"),), platform_allowed=False) == {}
    strict = models(own("openai", always_use=True, allowed_models=("gpt-4o",)), platform=(shared("openai"),))
    assert list(strict) == ["gpt-4o"]


def test_a_credentials_own_models_are_listed_though_the_catalog_does_not_know_them() -> None:
    listed = models(own("openai-compatible", allowed_models=("our-finetune",), custom_base_url=True))
    (row,) = as_openai_list(listed)["data"]
    assert (row["id"], row["pricing"], row["byok"]) == ("our-finetune", None, True)


def test_each_model_names_the_endpoints_that_are_for_what_it_does() -> None:
    listed = {row["id"]: set(row["surfaces"]) for row in as_openai_list(models(own("openai")))["data"]}
    assert "chat" in listed["gpt-4o"]
    assert "embeddings" not in listed["gpt-4o"]
    assert listed["text-embedding-3-small"] == {"embeddings"}
    assert listed["gpt-image-2"] == {"images"}
    assert listed["tts-1"] == {"speech"}
    assert listed["whisper-1"] == {"transcriptions", "translations"}
    assert listed["omni-moderation-latest"] == {"moderations"}
    assert not any(name.startswith("sora") for name in listed)


def test_what_is_billed_by_the_unit_has_that_price() -> None:
    rows = {row["id"]: row for row in as_openai_list(models(own("openai"), platform=(shared("openai"),)))["data"]}
    assert rows["tts-1"]["pricing"] == {"character": "0.000015"}
    assert rows["whisper-1"]["pricing"] == {"audio_second": "0.0001"}
    assert rows["tts-1"]["platform"]


def test_the_sdks_read_both_shapes() -> None:
    listed = models(own("openai"), own("anthropic"))
    rows = as_openai_list(listed)["data"]
    assert len(rows) > 20
    for row in rows:
        assert openai.types.Model.model_validate(row).id == row["id"]
    page = as_anthropic_list(listed)
    assert 3 < len(page["data"]) <= len(rows)
    for row in page["data"]:
        assert anthropic.types.ModelInfo.model_validate(row).type == "model"
    assert page["last_id"] == page["data"][-1]["id"]


def test_what_clients_of_openrouter_look_for() -> None:
    rows = {row["id"]: row for row in as_openai_list(models(own("openai"), own("anthropic")))["data"]}
    claude = rows["claude-sonnet-4-5"]
    assert {"tools", "tool_choice", "reasoning", "structured_outputs"} <= set(claude["supported_parameters"])
    assert claude["architecture"]["modality"] == "text+image+file->text"
    assert (claude["name"], claude["top_provider"]["is_moderated"]) == ("claude-sonnet-4-5", False)
    assert rows["text-embedding-3-small"]["supported_parameters"] == []
    retiring = [row for row in rows.values() if row["expiration_date"]]
    assert all(row["expiration_date"] > str(TODAY) for row in retiring)


def test_the_endpoints_of_all_that_serve_a_model_are_told() -> None:
    azure = own("azure", fields={"host": "acme.openai.azure.com", "deployment": "prod", "model": "gpt-4o"})
    assert Surface.COUNT_TOKENS not in models(azure)["gpt-4o"].surfaces
    both = models(azure, own("openai"))["gpt-4o"]
    assert Surface.COUNT_TOKENS in both.surfaces
    assert both.surfaces == tuple(sorted(both.surfaces, key=list(Surface).index))


def test_anthropic_s_pages() -> None:
    listed = models(own("openai"), own("anthropic"))
    every = [row["id"] for row in as_anthropic_list(listed)["data"]]
    first = as_anthropic_list(listed, b"limit=2")
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (every[:2], True)
    second = as_anthropic_list(listed, f"limit=2&after_id={quote(first['last_id'])}".encode())
    assert [row["id"] for row in second["data"]] == every[2:4]
    before = as_anthropic_list(listed, f"limit=1&before_id={quote(second['first_id'])}".encode())
    assert ([row["id"] for row in before["data"]], before["has_more"]) == (every[1:2], True)
    last = as_anthropic_list(listed, f"after_id={quote(every[-1])}".encode())
    assert last == {"data": [], "has_more": False, "first_id": None, "last_id": None}
    staged = [as_anthropic_list(listed, f"lifecycle[]={each}".encode())["data"] for each in ("active", "deprecated")]
    assert all(staged)
    assert sum(map(len, staged)) == len(every)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=10000000", "after_id=x", "before_id=x"])
def test_a_page_that_there_is_none_of(query: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        as_anthropic_list(models(own("anthropic")), query.encode())
    assert caught.value.param == query.partition("=")[0]


def test_a_credential_for_one_deployment_lists_what_is_deployed() -> None:
    fields = {"host": "acme.openai.azure.com", "deployment": "prod", "model": "gpt-5.4"}
    assert models(own("azure", fields=fields)).keys() == {"gpt-5.4"}
    assert models(own("azure", fields={**fields, "model": ""})).keys() == {"prod"}
    assert models(own("azure", fields=fields, allowed_models=("gpt-5.4", "gpt-4o"))).keys() == {"gpt-4o", "gpt-5.4"}
