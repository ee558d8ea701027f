"""Azure OpenAI through the running stack: both styles of its addresses, deployments by name and by model."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.accounts import Account, said
from tests.e2e.world import World

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": False}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def credential(deployment: str, **fields: Any) -> dict[str, Any]:
    return {
        "provider_name": "Azure",
        "azure_endpoint": "https://your-resource.openai.azure.com",
        "azure_api_key": f"sim-{secrets.token_hex(16)}",
        "azure_deployment": deployment,
        **fields,
    }


@pytest.fixture(scope="module", params=["v1", "dated"])
def team(request: pytest.FixtureRequest, world: World) -> Account:
    """With two deployments: one named after its model, one with a name of its own."""
    account = world.account(platform_allowed=False)
    dated = {"api_version": "2025-04-01-preview"} if request.param == "dated" else {}
    account.owner.ok("POST", "/api/byok", credential("gpt-4o-mini", alias="mini", **dated))
    account.owner.ok("POST", "/api/byok", credential("prod", alias="prod", azure_model="gpt-4o", **dated))
    return account


def entry(world: World) -> Any:
    """What reached Azure last."""
    return [each for each in world.call(world.up.simulator.journal.entries) if each.provider == "azure"][-1]


@pytest.mark.parametrize("model", ["azure/gpt-4o-mini", "gpt-4o-mini"])
def test_chat_whole(team: Account, world: World, model: str) -> None:
    raw = team.openai().chat.completions.with_raw_response.create(model=model, messages=said("hello"))
    assert (raw.headers["x-ownkey-provider"], raw.headers["x-ownkey-model"]) == ("azure", "gpt-4o-mini")
    assert raw.headers["x-ownkey-credential"] == "mini"
    answer = raw.parse()
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.choices[0].model_extra["content_filter_results"]
    cost = Decimal(str(answer.usage.model_extra["cost_details"]["upstream_inference_cost"]))
    row = team.attempt(raw.headers["x-ownkey-request-id"])
    assert (row["provider"], row["model"]) == ("azure", "gpt-4o-mini")
    # 0.15 and 0.60 dollars a million: the published price of the global deployment
    assert (
        cost == (answer.usage.prompt_tokens * Decimal("0.15") + answer.usage.completion_tokens * Decimal("0.6")) / 10**6
    )
    sent = entry(world)
    assert (sent.auth, sent.body["model"]) == ("api-key", "gpt-4o-mini")


def test_the_documented_request_reaches_the_deployment(team: Account, world: World) -> None:
    """`openai/<model>` with `"provider": {"order": ["Azure"]}`; the wire has the deployment's own name."""
    answer = team.openai().chat.completions.create(
        model="openai/gpt-4o", messages=said("hello"), extra_body={"provider": {"order": ["Azure"]}}
    )
    assert answer.usage.model_extra["is_byok"] is True
    sent = entry(world)
    assert sent.body["model"] == "prod"
    assert sent.path.endswith(("/openai/v1/chat/completions", "/openai/deployments/prod/chat/completions"))
    assert sent.query in ("", "api-version=2025-04-01-preview")


def test_a_stream_has_no_chunk_that_clients_of_openai_break_on(team: Account) -> None:
    stream = team.openai().chat.completions.create(model="azure/prod", messages=said("hello"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "You said: hello"


def test_tools_schema_image_and_stop(team: Account) -> None:
    client = team.openai().chat.completions
    called = client.create(model="azure/prod", messages=said("get_weather"), tools=[WEATHER])
    assert called.choices[0].message.tool_calls[0].function.name == "get_weather"
    shaped = client.create(model="azure/prod", messages=said("a place"), response_format=SCHEMA)
    assert shaped.choices[0].message.content == '{"city":"sample"}'
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    seen = client.create(model="azure/prod", messages=[{"role": "user", "content": parts}])
    assert seen.usage.prompt_tokens > 85
    stopped = client.create(model="azure/prod", messages=said("one two three"), stop=["two"])
    assert stopped.choices[0].message.content == "You said: one "


def test_messages_cross_whole_and_streamed(team: Account) -> None:
    client = team.anthropic().messages
    asked: dict[str, Any] = {"model": "azure/prod", "max_tokens": 100, "messages": said("hello")}
    assert client.create(**asked).content[0].text == "You said: hello"
    with client.stream(**asked) as stream:
        assert stream.get_final_message().content[0].text == "You said: hello"
    tools = [{"name": "get_weather", "input_schema": CITY}]
    called = client.create(**(asked | {"messages": said("get_weather")}), tools=tools)
    assert (called.stop_reason, called.content[-1].name) == ("tool_use", "get_weather")


def test_responses_pass_through(team: Account, world: World) -> None:
    answer = team.openai().responses.create(model="azure/prod", input="hello")
    assert answer.output_text == "You said: hello"
    assert (entry(world).path.rpartition("/")[2], entry(world).body["model"]) == ("responses", "prod")


def test_tokens_of_a_gpt_are_not_counted_and_it_is_said_so(team: Account) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        team.anthropic().messages.count_tokens(model="azure/gpt-4o-mini", messages=said("hello"))
    assert "surface_not_supported" in str(refused.value.body)
    assert "Azure OpenAI" in str(refused.value)


def test_another_model_is_not_answered_by_these(team: Account) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        team.openai().chat.completions.create(model="azure/gpt-5", messages=said("hello"))
    assert unknown.value.code == "no_byok_key"


def test_errors_are_azures_own(world: World) -> None:
    account = world.account(platform_allowed=False)
    account.owner.ok("POST", "/api/byok", credential("missing-one"))
    with pytest.raises(openai.NotFoundError) as missing:
        account.openai().chat.completions.create(model="azure/missing-one", messages=said("hello"))
    assert missing.value.code == "DeploymentNotFound"
    account.owner.ok("POST", "/api/byok", credential("prod"))
    with pytest.raises(openai.BadRequestError) as filtered:
        account.openai().chat.completions.create(
            model="azure/prod", messages=said("[[sim: fail=content_policy]] hello")
        )
    assert filtered.value.code == "content_filter"
    with pytest.raises(anthropic.RateLimitError) as slow:
        account.anthropic().messages.create(
            model="azure/prod", max_tokens=9, messages=said("[[sim: fail=429 retry_after=3]] hello")
        )
    assert slow.value.response.headers["retry-after"] == "3"


def test_the_models_that_deployments_have_are_listed(team: Account) -> None:
    assert {model.id for model in team.openai().models.list()} == {"gpt-4o", "gpt-4o-mini"}


def test_embeddings_of_a_deployment(world: World) -> None:
    account = world.account(platform_allowed=False)
    account.owner.ok("POST", "/api/byok", credential("text-embedding-3-small"))
    answer = account.openai().embeddings.create(model="text-embedding-3-small", input="red fox")
    assert answer.usage.model_extra["is_byok"] is True
    assert len(answer.data) == 1
    assert entry(world).path.endswith("/openai/v1/embeddings")


def test_claude_is_asked_by_its_own_api(world: World) -> None:
    account = world.account(platform_allowed=False)
    account.owner.ok(
        "POST",
        "/api/byok",
        credential("opus", azure_model="claude-haiku-4-5", azure_endpoint="https://acme.services.ai.azure.com"),
    )
    asked: dict[str, Any] = {"model": "azure/opus", "max_tokens": 50, "messages": said("hello")}
    assert account.anthropic().messages.create(**asked).content[0].text == "You said: hello"
    assert (entry(world).path.endswith("/anthropic/v1/messages"), entry(world).body["model"]) == (True, "opus")
    with account.anthropic().messages.stream(**asked) as stream:
        assert stream.get_final_message().content[0].text == "You said: hello"
    assert account.anthropic().messages.count_tokens(model="azure/opus", messages=said("hello")).input_tokens > 0
    answer = account.openai().chat.completions.create(model="azure/opus", messages=said("hello"))
    assert answer.choices[0].message.content == "You said: hello"
    assert entry(world).auth == "x-api-key"
    cost = Decimal(str(answer.usage.model_extra["cost_details"]["upstream_inference_cost"]))
    # 1 and 5 dollars a million: Anthropic's own price, which is what it costs there
    assert cost == (answer.usage.prompt_tokens + answer.usage.completion_tokens * 5) / Decimal(10**6)
    named = account.openai().chat.completions.create(
        model="anthropic/claude-haiku-4.5", messages=said("hello"), extra_body={"provider": {"only": ["Azure"]}}
    )
    assert named.choices[0].message.content == "You said: hello"
