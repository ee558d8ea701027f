"""Amazon Bedrock through the running stack: Converse and Anthropic's models, asked by OpenAI's and Anthropic's SDKs."""

from __future__ import annotations

import base64
import json
import struct
import uuid
from typing import Any

import anthropic
import boto3
import openai
import pytest

from local.aws_keys import simulated_secret
from local.simulator.media_answers import vector
from tests.e2e.accounts import Account
from tests.e2e.world import World

NOVA = "bedrock/us.amazon.nova-pro-v1:0"
OPEN = "bedrock/openai.gpt-oss-120b-1:0"
LLAMA = "bedrock/meta.llama3-1-70b-instruct-v1:0"
CLAUDE = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
TOOL = {"name": "get_weather", "input_schema": SCHEMA}
THINKING = {"type": "enabled", "budget_tokens": 1024}


def access_key() -> dict[str, Any]:
    key_id = f"AKIASIM{uuid.uuid4().hex[:13].upper()}"
    secret = simulated_secret(key_id)
    return {"aws_access_key_id": key_id, "aws_secret_access_key": secret, "aws_region": "us-east-1"}


def api_key() -> dict[str, Any]:
    return {"key": f"ABSKsim-{uuid.uuid4().hex}", "aws_region": "eu-west-1"}


def joined(account: Account, credential: dict[str, Any], **settings: Any) -> str:
    """The credential saved; its id at the simulated provider."""
    account.owner.ok("POST", "/api/byok", {"provider_name": "Bedrock", **credential, **settings})
    return credential.get("aws_access_key_id") or credential["key"]


@pytest.fixture(scope="module", params=[access_key, api_key], ids=["access-key", "api-key"])
def team(request: pytest.FixtureRequest, world: World) -> Account:
    account = world.account(platform_allowed=False)
    joined(account, request.param())
    return account


def chat(account: Account, model: str, text: str = "Hello", **more: Any) -> Any:
    return account.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def streamed_chat(account: Account, model: str, text: str = "Hello", **more: Any) -> tuple[str, Any]:
    chunks = list(chat(account, model, text, stream=True, stream_options={"include_usage": True}, **more))
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    return said, chunks[-1].usage


def message(account: Account, model: str, text: str = "Hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return account.anthropic().messages.create(**{"model": model, "max_tokens": 2000, "messages": messages} | more)


def streamed_message(account: Account, model: str, text: str = "Hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    body = {"model": model, "max_tokens": 2000, "messages": messages} | more
    with account.anthropic().messages.stream(**body) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("model", [NOVA, CLAUDE, PROFILE], ids=["nova", "claude", "an ARN"])
class TestEveryModelBothWays:
    def test_chat(self, team: Account, model: str) -> None:
        answer = chat(team, model)
        assert answer.choices[0].message.content == "You said: Hello"
        assert answer.choices[0].finish_reason == "stop"
        assert streamed_chat(team, model) == ("You said: Hello", answer.usage)
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_messages(self, team: Account, model: str) -> None:
        whole, streamed = message(team, model), streamed_message(team, model)
        for each in (whole, streamed):
            assert (each.content[0].text, each.stop_reason) == ("You said: Hello", "end_turn")
        assert streamed.usage.output_tokens == whole.usage.output_tokens > 0
        assert streamed.usage.input_tokens == whole.usage.input_tokens > 0

    def test_a_tool_there_and_back(self, team: Account, model: str) -> None:
        asked = "Please get_weather"
        answer = chat(team, model, asked, tools=[FUNCTION]).choices[0].message
        (called,) = answer.tool_calls
        assert json.loads(called.function.arguments) == {"city": "sample"}
        turns = [
            {"role": "user", "content": asked},
            answer.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": called.id, "content": "sunny"},
        ]
        client = team.openai().chat.completions
        assert "sunny" in client.create(model=model, messages=turns, tools=[FUNCTION]).choices[0].message.content
        used = streamed_message(team, model, asked, tools=[TOOL])
        assert (used.stop_reason, used.content[-1].input) == ("tool_use", {"city": "sample"})

    def test_an_image(self, team: Account, model: str) -> None:
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        content = [picture, {"type": "text", "text": "What?"}]
        assert (
            message(team, model, messages=[{"role": "user", "content": content}]).content[0].text == "You said: What?"
        )
        url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        content = [url, {"type": "text", "text": "What?"}]
        answer = team.openai().chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
        assert answer.choices[0].message.content == "You said: What?"

    def test_tokens_are_counted(self, team: Account, model: str) -> None:
        if model == PROFILE:
            with pytest.raises(anthropic.BadRequestError, match="a model's own id"):
                team.anthropic().messages.count_tokens(model=model, messages=[{"role": "user", "content": "Hello"}])
            return
        counted = team.anthropic().messages.count_tokens(model=model, messages=[{"role": "user", "content": "Hello"}])
        assert counted.input_tokens == message(team, model).usage.input_tokens


@pytest.mark.parametrize("region, place", [("us-west-2", "us"), ("eu-central-1", "eu"), ("sa-east-1", "global")])
@pytest.mark.parametrize("preferences", [{"order": ["AWS Bedrock"]}, {"only": ["bedrock"]}])
def test_a_makers_name_is_asked_of_the_inference_profile_of_the_credentials_region(
    world: World, region: str, place: str, preferences: dict[str, Any]
) -> None:
    account = world.account(platform_allowed=False)
    joined(account, {**access_key(), "aws_region": region})
    there = f"{place}.anthropic.claude-haiku-4-5-20251001-v1:0"
    more = {"extra_body": {"provider": preferences}}
    raw = account.openai().chat.completions.with_raw_response.create(
        model="anthropic/claude-haiku-4.5", messages=[{"role": "user", "content": "Hello"}], **more
    )
    assert (raw.headers["x-ownkey-provider"], raw.headers["x-ownkey-model"]) == ("bedrock", there)
    assert raw.parse().usage.model_extra["cost_details"]["upstream_inference_cost"] > 0
    assert message(account, "claude-haiku-4-5", **more).content[0].text == "You said: Hello"
    assert streamed_message(account, "anthropic/claude-haiku-4-5-20251001", **more).content[0].text == "You said: Hello"
    said = account.openai().responses.create(model="anthropic/claude-haiku-4.5", input="Hello", **more)
    assert said.output_text == "You said: Hello"
    counted = account.anthropic().messages.count_tokens(
        model="bedrock/claude-haiku-4.5", messages=[{"role": "user", "content": "Hello"}]
    )
    assert counted.input_tokens > 0


def test_claude_codes_headers_and_marks_are_no_obstacle(team: Account) -> None:
    headers = {"anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,prompt-caching-scope-2026-01-05"}
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "scope": "global"}}
    raw = team.anthropic().messages.with_raw_response.create(
        model=CLAUDE,
        max_tokens=50,
        system=[marked],
        messages=[{"role": "user", "content": "Hello"}],
        extra_headers=headers,
    )
    assert raw.parse().content[0].text == "You said: Hello"
    told = raw.headers["x-ownkey-dropped"]
    assert "anthropic-beta.claude-code-20250219" in told
    assert "cache_control.scope" in told


class TestThinking:
    def test_claudes_thoughts_go_back_as_they_came(self, team: Account) -> None:
        for made in (message, streamed_message):
            first = made(team, CLAUDE, thinking=THINKING)
            assert first.content[0].signature
            turns = [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
                {"role": "user", "content": "More"},
            ]
            assert message(team, CLAUDE, messages=turns, thinking=THINKING).content[-1].text == "You said: More"

    def test_and_so_they_do_by_chat(self, team: Account) -> None:
        first = chat(team, CLAUDE, reasoning_effort="low").choices[0].message
        assert first.reasoning_content
        turns = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": first.content, "reasoning_details": first.reasoning_details},
            {"role": "user", "content": "More"},
        ]
        answer = team.openai().chat.completions.create(model=CLAUDE, messages=turns, reasoning_effort="low")
        assert answer.choices[0].message.content == "You said: More"

    def test_converses_thoughts_too_by_either_surface(self, team: Account) -> None:
        first = message(team, OPEN, thinking=THINKING)
        assert first.content[0].type == "thinking"
        turns = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
            {"role": "user", "content": "More"},
        ]
        assert message(team, OPEN, messages=turns, thinking=THINKING).content[-1].text == "You said: More"
        said = chat(team, OPEN, reasoning_effort="low").choices[0].message
        turns[1] = {"role": "assistant", "content": said.content, "reasoning_details": said.reasoning_details}
        answer = team.openai().chat.completions.create(model=OPEN, messages=turns, reasoning_effort="low")
        assert answer.choices[0].message.content == "You said: More"


@pytest.mark.parametrize("model", [NOVA, OPEN, CLAUDE], ids=["by a tool", "held", "claude"])
def test_an_answer_is_held_to_a_schema(team: Account, model: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    answer = chat(team, model, response_format=wanted).choices[0]
    assert (json.loads(answer.message.content), answer.finish_reason) == ({"city": "sample"}, "stop")
    said, _ = streamed_chat(team, model, response_format=wanted)
    assert json.loads(said) == {"city": "sample"}


def test_the_assistant_may_speak_first(team: Account) -> None:
    greeted = [{"role": "assistant", "content": "How can I help?"}, {"role": "user", "content": "Hello"}]
    answer = team.openai().chat.completions.create(model=NOVA, messages=greeted)
    assert answer.choices[0].message.content == "You said: Hello"


class TestWhatGoesWrong:
    def test_a_call_that_the_model_garbled_is_an_error_and_no_empty_answer(self, team: Account) -> None:
        garbled = "[[sim: finish=malformed_tool_use]] Hello"
        with pytest.raises(openai.InternalServerError, match="malformed_tool_use"):
            chat(team, NOVA, garbled)
        with pytest.raises(anthropic.APIError, match="malformed_tool_use"):
            streamed_message(team, NOVA, garbled)

    def test_what_a_model_lacks_is_refused_before_it_is_asked(self, team: Account) -> None:
        with pytest.raises(openai.BadRequestError) as refused:
            chat(team, LLAMA, tools=[FUNCTION], tool_choice="required")
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "tool_choice")
        link = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        with pytest.raises(openai.BadRequestError) as refused:
            team.openai().chat.completions.create(model=NOVA, messages=[{"role": "user", "content": [link]}])
        assert refused.value.code == "unsupported_parameter"

    def test_what_only_tunes_is_left_out_and_told(self, team: Account) -> None:
        raw = team.openai().chat.completions.with_raw_response
        answer = raw.create(model=NOVA, messages=[{"role": "user", "content": "Hello"}], seed=7, user="u")
        assert set(answer.headers["x-ownkey-dropped"].replace(" ", "").split(",")) == {"seed", "user"}

    def test_a_throttled_model(self, team: Account) -> None:
        with pytest.raises(openai.RateLimitError):
            chat(team, NOVA, "[[sim: fail=429]]")
        with pytest.raises(anthropic.APIStatusError) as broken:
            streamed_message(team, CLAUDE, "[[sim: error_after=2 fail=503]] one two three")
        assert "unable to process" in str(broken.value)


def test_a_key_that_was_revoked_is_put_aside(world: World) -> None:
    account = world.account(platform_allowed=False)
    key = joined(account, api_key())
    assert chat(account, NOVA).choices[0].message.content
    world.set_key("bedrock", key, False)
    with pytest.raises(openai.APIStatusError) as refused:
        account.openai(max_retries=0).chat.completions.create(
            model=NOVA, messages=[{"role": "user", "content": "Hello"}]
        )
    assert refused.value.code in ("upstream_credentials_exhausted", "no_usable_credential")


def a_role(world: World, account: Account) -> str:
    """A role that trusts the deployment's account, for this account of ours alone."""
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": f"ownkey:{account.id}"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    name = f"ownkey-bedrock-{uuid.uuid4().hex[:8]}"
    iam = boto3.client(
        "iam",
        endpoint_url=world.up.state.aws_endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
    )
    try:
        return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])
    finally:
        iam.close()


def test_titan_embeds_for_a_client_of_openai(team: Account) -> None:
    """The SDK asks for base64 where it is told nothing, and reads it."""
    model = "bedrock/amazon.titan-embed-text-v2:0"
    answer = team.openai().embeddings.create(model=model, input="red fox", dimensions=256)
    assert answer.data[0].embedding == pytest.approx(vector("red fox", 256), abs=1e-6)
    assert answer.usage.prompt_tokens == 2
    # 0.02 dollars a million
    assert answer.usage.model_extra["cost_details"]["upstream_inference_cost"] == 4e-8
    with pytest.raises(openai.BadRequestError, match="at most 1 texts a request") as refused:
        team.openai().embeddings.create(model=model, input=["red", "fox"])
    assert refused.value.code == "unsupported_parameter"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_cohere_s_models_at_bedrock_embed(team: Account, encoding: str) -> None:
    raw = team.openai().embeddings.with_raw_response.create(
        model="bedrock/us.cohere.embed-v4:0",
        input=["red", "fox"],
        dimensions=8,
        user="ada",
        encoding_format=encoding,
        extra_body={"input_type": "search_query"},
    )
    assert raw.headers["x-ownkey-dropped"] == "user"
    found = [each["embedding"] for each in json.loads(raw.text)["data"]]
    if encoding == "base64":
        found = [list(struct.unpack("<8f", base64.b64decode(each))) for each in found]
    assert found == [pytest.approx(vector(text, 8), abs=1e-6) for text in ("red", "fox")]
    row = team.attempt(raw.headers["x-ownkey-request-id"])
    assert (row["usage_source"], row["usage"]["input"]) == ("estimated", 2)


def test_a_role_serves_without_any_secret_and_only_whom_it_trusts(world: World) -> None:
    account, other = world.account(platform_allowed=False), world.account(platform_allowed=False)
    role = {"provider_name": "Bedrock", "role_arn": a_role(world, account), "aws_region": "us-east-1"}
    account.owner.ok("POST", "/api/byok", role)
    assert chat(account, NOVA).choices[0].message.content == "You said: Hello"
    assert streamed_message(account, CLAUDE).content[0].text == "You said: Hello"
    assert other.owner.refused("POST", "/api/byok", role)[0] == 422


def test_the_record_names_what_bedrock_itself_calls_the_request(world: World) -> None:
    account = world.account(platform_allowed=False)
    key = joined(account, access_key())
    answer = account.openai().chat.completions.with_raw_response.create(
        model=NOVA, messages=[{"role": "user", "content": "Hello"}]
    )
    row = account.attempt(answer.headers["x-ownkey-request-id"])
    (sent,) = world.calls(key)
    assert sent.request_id in json.dumps(row)
    assert sent.auth == "sigv4"
    assert row["usage"]["input"] + row["usage"].get("output", 0) == answer.parse().usage.total_tokens
