"""Cohere through the running stack, by the SDKs of OpenAI, Anthropic and Cohere: what is its own, what it costs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import cohere
import httpx
import openai
import pytest

from tests.e2e.accounts import Account, said
from tests.e2e.world import World

MODEL = "cohere/command-a-03-2025"


@pytest.fixture(scope="module")
def team(world: World) -> Account:
    account = world.account(platform_allowed=False)
    account.save_key("Cohere", alias="command")
    return account


def sent(world: World, account: Account) -> dict:
    """What reached the provider last."""
    return [entry for entry in world.call(world.up.simulator.journal.entries) if entry.provider == "cohere"][-1].body


def test_a_key_that_cohere_refuses_is_not_kept(team: Account) -> None:
    status, error = team.owner.refused("POST", "/api/byok", {"provider": "Cohere", "key": "not-one-of-theirs-0000"})
    assert (status, error["code"]) == (422, "credential_rejected")


def test_an_answer_is_priced_by_what_cohere_bills(team: Account, world: World) -> None:
    raw = team.openai().chat.completions.with_raw_response.create(
        model=MODEL, messages=said("hello"), seed=7, user="ada", parallel_tool_calls=False
    )
    assert raw.headers["x-ownkey-dropped"] == "parallel_tool_calls, user"
    answer = raw.parse()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("You said: hello", "stop")
    row = team.attempt(raw.headers["x-ownkey-request-id"])
    assert (row["provider"], row["model"]) == ("cohere", "command-a-03-2025")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 4)
    # 2.50 and 10 dollars a million: https://cohere.com/pricing
    assert Decimal(str(answer.usage.model_extra["cost_details"]["upstream_inference_cost"])) == Decimal("0.0000525")
    assert sent(world, team) == {
        "model": "command-a-03-2025",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "seed": 7,
    }


def test_a_document_is_cited_to_a_client_of_messages(team: Account) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "Oslo lies north."}
    document = {"type": "document", "source": text, "title": "Almanac", "citations": {"enabled": True}}
    content = [document, {"type": "text", "text": "Where is it?"}]
    with team.anthropic().messages.stream(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": content}]
    ) as stream:
        message = stream.get_final_message()
    (block,) = message.content
    assert block.text == "You said: Where is it?"
    (citation,) = block.citations
    assert (citation.document_index, citation.document_title) == (0, "Almanac")


def test_what_is_coheres_own_goes_through(team: Account, world: World) -> None:
    team.openai().chat.completions.create(
        model=MODEL, messages=said("hello"), extra_body={"safety_mode": "STRICT", "top_k": 900}, stop=["x"]
    )
    body = sent(world, team)
    assert (body["safety_mode"], body["stop_sequences"]) == ("STRICT", ["x"])


def test_a_pdf_is_refused_before_anything_is_sent(team: Account, world: World) -> None:
    before = len(world.call(world.up.simulator.journal.entries))
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF-1.4").decode()}
    with pytest.raises(anthropic.BadRequestError, match="plain text") as refused:
        team.anthropic().messages.create(
            model=MODEL,
            max_tokens=10,
            messages=[{"role": "user", "content": [{"type": "document", "source": source}]}],
        )
    assert refused.value.response.json()["error"]["code"] == "unsupported_parameter"
    assert len(world.call(world.up.simulator.journal.entries)) == before


def test_what_cohere_refuses_is_told_in_its_words(team: Account) -> None:
    with pytest.raises(openai.NotFoundError, match="not found") as unknown:
        team.openai().chat.completions.create(model=MODEL, messages=said("[[sim: fail=unknown_model]] x"))
    assert unknown.value.response.json()["error"]["metadata"]["source"] == "provider"


def test_embeddings_by_openais_sdk(team: Account) -> None:
    """The SDK asks for base64 where it is told nothing, and reads it."""
    answer = team.openai().embeddings.create(model="cohere/embed-v4.0", input=["red fox", "whale"], dimensions=4)
    plain = team.openai().embeddings.create(
        model="cohere/embed-v4.0", input=["red fox", "whale"], dimensions=4, encoding_format="float"
    )
    assert [each.embedding for each in answer.data] == [each.embedding for each in plain.data]
    assert (len(answer.data[0].embedding), answer.usage.prompt_tokens) == (4, 3)
    # 0.12 dollars a million
    cost = Decimal(str(answer.usage.model_extra["cost_details"]["upstream_inference_cost"]))
    assert cost == 3 * Decimal("0.12") / 10**6


def test_a_ranking_in_coheres_own_shape(team: Account) -> None:
    body = {"model": "cohere/rerank-v4.0-pro", "query": "red fox", "documents": ["a whale", "a red fox"], "top_n": 1}
    answer = team.post("/v1/rerank", body)
    assert answer.status_code == 200, answer.text
    assert [(each["index"], each["relevance_score"]) for each in answer.json()["results"]] == [(1, 1.0)]
    row = team.attempt(answer.headers["x-ownkey-request-id"])
    assert (row["model"], row["usage"]["search_units"]) == ("rerank-v4.0-pro", 1)


@pytest.fixture(params=[cohere.Client, cohere.ClientV2], ids=["v1", "v2"])
def ranker(request: pytest.FixtureRequest, team: Account) -> Iterator[Any]:
    """Cohere's SDK in either version, as LlamaIndex and LangChain use them."""
    with httpx.Client(trust_env=False, verify=False, timeout=60) as http:
        yield request.param(api_key=team.gateway_key, base_url=str(team.anthropic().base_url), httpx_client=http)


def test_a_ranking_by_coheres_sdk(ranker: Any) -> None:
    answer = ranker.rerank(model="cohere/rerank-v4.0-pro", query="red fox", documents=["a whale", "a red fox"], top_n=1)
    assert [(each.index, each.relevance_score) for each in answer.results] == [(1, 1.0)]
    assert answer.meta.billed_units.search_units == 1


def test_an_error_by_coheres_sdk(ranker: Any) -> None:
    with pytest.raises(cohere.NotFoundError) as unknown:
        ranker.rerank(model="nowhere/rerank-v0", query="red fox", documents=["a whale"])
    assert unknown.value.body["error"]["metadata"]["fix"]


@pytest.mark.parametrize("ranker", [cohere.Client], indirect=True)
def test_a_ranking_with_documents_as_coheres_v1_had_them(ranker: Any) -> None:
    documents = [{"text": "a whale"}, {"text": "a red fox"}]
    asked = {"model": "cohere/rerank-v4.0-pro", "query": "red fox", "documents": documents}
    answer = ranker.rerank(**asked, top_n=1, return_documents=True)
    assert answer.results[0].document.text == "a red fox"
