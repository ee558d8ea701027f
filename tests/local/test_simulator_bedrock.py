"""The simulated Bedrock, as botocore's own client and Anthropic's own AnthropicBedrock read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import anthropic
import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from local.aws_keys import simulated_secret
from local.simulator import start_simulator

KEY_ID = "AKIASIM0123456789ABC"
API_KEY = "ABSKsim-0123456789"
NOVA, LLAMA, OPEN = "us.amazon.nova-pro-v1:0", "meta.llama3-1-70b-instruct-v1:0", "openai.gpt-oss-120b-1:0"
CLAUDE = "us.anthropic.claude-opus-4-8"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
PNG = b"\x89PNG\r\n\x1a\n"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
LOOSE = {"type": "object", "properties": {}}
WEATHER = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}
TIME = {"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}}

BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi"}],
}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    return {"toolSpec": {"name": "a", "inputSchema": {"json": schema}, "strict": True}}


@pytest.fixture
async def simulator():
    async with await start_simulator() as running:
        yield running


@pytest.fixture
def endpoint(simulator) -> str:
    return f"{simulator.base_url('bedrock')}/bedrock-runtime.us-east-1.amazonaws.com"


@pytest.fixture
def client(endpoint, monkeypatch) -> Iterator[Callable[..., Any]]:
    """A client of AWS's SDK, unmodified."""
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)

    clients = []

    def made(key_id: str = KEY_ID, secret: str | None = None, token: str | None = None, region: str = "us-east-1"):
        session = boto3.Session(key_id, secret or simulated_secret(key_id), token, region)
        config = Config(retries={"total_max_attempts": 1}, proxies={})
        clients.append(session.client("bedrock-runtime", endpoint_url=endpoint, config=config))
        return clients[-1]

    yield made
    for each in clients:
        each.close()


@pytest.fixture
def claude(endpoint) -> Iterator[anthropic.AnthropicBedrock]:
    """Anthropic's client of Bedrock, unmodified."""
    with claude_with(API_KEY, endpoint) as made:
        yield made


def claude_with(key: str, endpoint: str) -> anthropic.AnthropicBedrock:
    http = anthropic.DefaultHttpxClient(trust_env=False, verify=False)
    return anthropic.AnthropicBedrock(
        api_key=key, aws_region="us-east-1", base_url=endpoint, max_retries=0, http_client=http
    )


async def called(function: Callable[..., Any], **arguments: Any) -> Any:
    return await asyncio.to_thread(function, **arguments)


def said(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def hello(text: str = "Hello") -> dict[str, Any]:
    return {"modelId": NOVA, "messages": said({"text": text})}


async def streamed(client: Any, **request: Any) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lambda: drained(client.converse_stream(**request)["stream"]))


def drained(stream: Any) -> list[dict[str, Any]]:
    """All of a stream, closed also where it breaks: its socket would be told of in some later test."""
    with closing(stream):
        return list(stream)


async def refusal(client: Any, **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        await called(client.converse, **request)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


class TestConverse:
    async def test_an_answer(self, client) -> None:
        answer = await called(client().converse, **hello())
        assert answer["output"]["message"]["content"] == [{"text": "You said: Hello"}]
        assert answer["stopReason"] == "end_turn"
        usage = answer["usage"]
        assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
        assert answer["ResponseMetadata"]["RequestId"]

    async def test_a_stream(self, client) -> None:
        events = await streamed(client(), **hello())
        text = "".join(each["contentBlockDelta"]["delta"]["text"] for each in events if "contentBlockDelta" in each)
        assert text == "You said: Hello"
        kinds = [next(iter(each)) for each in events]
        assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
        assert events[-1]["metadata"]["usage"]["totalTokens"] > 0

    async def test_an_arn_is_a_model(self, client, simulator) -> None:
        answer = await called(client().converse, **{**hello(), "modelId": PROFILE})
        assert answer["stopReason"] == "end_turn"
        (entry,) = simulator.journal.entries("bedrock")
        assert entry.served == PROFILE

    async def test_tools_in_parallel_and_their_results(self, client) -> None:
        request = hello("get_weather and get_time, please")
        config = {"tools": [WEATHER, TIME]}
        events = await streamed(client(), **request, toolConfig=config)
        started = [each["contentBlockStart"]["start"]["toolUse"] for each in events if "contentBlockStart" in each]
        assert [each["name"] for each in started] == ["get_weather", "get_time"]
        answer = await called(client().converse, **request, toolConfig=config)
        assert answer["stopReason"] == "tool_use"
        calls = [block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block]
        assert [each["input"] for each in calls] == [{"city": "sample"}, {}]
        results = [{"toolResult": {"toolUseId": each["toolUseId"], "content": [{"text": "fine"}]}} for each in calls]
        messages = [*request["messages"], answer["output"]["message"], {"role": "user", "content": results}]
        answer = await called(client().converse, modelId=NOVA, messages=messages, toolConfig=config)
        assert "fine" in answer["output"]["message"]["content"][0]["text"]

    async def test_thoughts_go_back_as_they_came(self, client) -> None:
        thinking = {"additionalModelRequestFields": {"reasoning_effort": "low"}, "modelId": OPEN}
        answer = await called(client().converse, **hello() | thinking)
        message = answer["output"]["message"]
        assert message["content"][0]["reasoningContent"]["reasoningText"]["signature"]
        further = [*hello()["messages"], message, *said({"text": "More"})]
        assert await called(client().converse, messages=further, **thinking)
        message["content"][0]["reasoningContent"]["reasoningText"]["text"] = "Something else"
        status, code, words = await refusal(client(), messages=further, **thinking)
        assert (status, code) == (400, "ValidationException")
        assert "signature" in words

    async def test_a_cached_prefix_is_written_and_then_read(self, client) -> None:
        messages = said({"text": "word " * 1200}, {"cachePoint": {"type": "default"}}, {"text": "Hello"})
        usages = [(await called(client().converse, modelId=NOVA, messages=messages))["usage"] for _ in range(2)]
        written, read = usages
        assert written["cacheWriteInputTokens"] == read["cacheReadInputTokens"] > 1024
        assert written["cacheDetails"] == [{"ttl": "5m", "inputTokens": written["cacheWriteInputTokens"]}]
        for each in usages:
            cached = each["cacheReadInputTokens"] + each["cacheWriteInputTokens"]
            assert each["totalTokens"] == each["inputTokens"] + cached + each["outputTokens"]

    async def test_a_schema_holds(self, client) -> None:
        definition = {"schema": json.dumps(SCHEMA), "name": "place"}
        output = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}
        answer = await called(client().converse, **{**hello(), "modelId": OPEN}, outputConfig=output)
        assert json.loads(answer["output"]["message"]["content"][0]["text"]) == {"city": "sample"}

    async def test_tokens_are_counted(self, client) -> None:
        count = {"converse": {"messages": hello()["messages"]}}
        counted = await called(client().count_tokens, modelId=NOVA.removeprefix("us."), input=count)
        answer = await called(client().converse, **hello())
        assert counted["inputTokens"] == answer["usage"]["inputTokens"]

    @pytest.mark.parametrize("model", [NOVA, f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{NOVA}"])
    async def test_but_not_by_an_inference_profile(self, client, model) -> None:
        count = {"converse": {"messages": hello()["messages"]}}
        with pytest.raises(ClientError, match="doesn't support counting tokens"):
            await called(client().count_tokens, modelId=model, input=count)


class TestWhatIsRefused:
    async def test_a_cache_that_is_not_there_is_said_to_be_forbidden(self, client) -> None:
        system = [{"text": "a"}, {"cachePoint": {"type": "default"}}]
        status, code, message = await refusal(client(), **{**hello(), "modelId": LLAMA, "system": system})
        assert (status, code) == (403, "AccessDeniedException")
        assert "caching" in message

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            ({"messages": [{"role": "assistant", "content": [{"text": "Hi"}]}]}, "alternate"),
            ({"messages": said({"text": " "})}, "blank"),
            ({"messages": [*said({"text": "a"}), *said({"text": "b"})]}, "alternate"),
            (
                {"messages": said({"document": {"name": "a", "format": "txt", "source": {"bytes": b"a"}}})},
                "must have a text",
            ),
            (
                {
                    "messages": said(
                        {"text": "?"}, {"document": {"name": "a.txt", "format": "txt", "source": {"bytes": b"a"}}}
                    )
                },
                "file name",
            ),
            (
                {"messages": said({"toolResult": {"toolUseId": "t1", "content": []}}), "toolConfig": {"tools": [TIME]}},
                "toolResult",
            ),
            (
                {
                    "messages": [
                        *said({"text": "?"}),
                        {
                            "role": "assistant",
                            "content": [{"toolUse": {"toolUseId": "t", "name": "get_time", "input": {}}}],
                        },
                        *said({"toolResult": {"toolUseId": "t", "content": [{"text": ""}]}}),
                    ],
                    "toolConfig": {"tools": [TIME]},
                },
                "toolResult is empty",
            ),
            ({"modelId": LLAMA, "toolConfig": {"tools": [TIME], "toolChoice": {"any": {}}}}, "toolChoice.any"),
            ({"toolConfig": {"tools": [strict(LOOSE)]}}, "additionalProperties"),
            ({"toolConfig": {"tools": [strict({"type": "string"})]}}, "object"),
            ({"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}, "extraneous key"),
        ],
    )
    async def test_a_conversation_that_is_none(self, client, request_, words) -> None:
        status, code, message = await refusal(client(), **{**hello(), **request_})
        assert (status, code) == (400, "ValidationException")
        assert words in message

    @pytest.mark.parametrize(
        ("made", "code"),
        [
            ({"secret": "w" * 40}, "InvalidSignatureException"),
            ({"key_id": "AKIAUNKNOWN000000000", "secret": "x" * 40}, "UnrecognizedClientException"),
            ({"key_id": "ASIASIM0123456789ABC", "token": "expired-token"}, "ExpiredTokenException"),
            ({"region": "eu-west-1"}, "InvalidSignatureException"),
        ],
    )
    async def test_who_cannot_prove_it(self, client, made, code) -> None:
        status, found, _ = await refusal(client(**made), **hello())
        assert (status, found) == (403, code)

    async def test_temporary_keys_are_taken_with_their_token(self, client) -> None:
        answer = await called(client("ASIASIM0123456789ABC", token="a-session-token").converse, **hello())
        assert answer["stopReason"] == "end_turn"

    async def test_a_path_that_was_changed_on_the_way(self, endpoint, client) -> None:
        sent: list[Any] = []
        signing = client()
        signing.meta.events.register("before-send.*", lambda request, **_: sent.append(request))
        await called(signing.converse, **hello())
        (request,) = sent
        async with httpx.AsyncClient(verify=False, trust_env=False) as http:
            url = f"{endpoint}/model/us.amazon.nova-lite-v1%3A0/converse"
            answer = await http.post(url, content=request.body, headers=dict(request.headers.items()))
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"].startswith("InvalidSignatureException")

    async def test_a_bad_day(self, client) -> None:
        assert (await refusal(client(), **hello("[[sim: fail=429]]")))[:2] == (429, "ThrottlingException")
        with pytest.raises(EventStreamError) as broken:
            await streamed(client(), **hello("[[sim: error_after=2 fail=429]] one two three"))
        assert "throttlingException" in str(broken.value)


class TestAnthropicsModels:
    async def test_an_answer_and_a_stream(self, claude) -> None:
        asked = {"model": CLAUDE, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
        message = await called(claude.messages.create, **asked)
        assert message.content[0].text == "You said: Hello"

        def text() -> tuple[str, Any]:
            with claude.messages.stream(**asked) as stream:
                return "".join(stream.text_stream), stream.get_final_message().usage

        streamed_text, usage = await asyncio.to_thread(text)
        assert streamed_text == "You said: Hello"
        assert (usage.input_tokens, usage.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)

    async def test_a_bad_key_is_told_as_bedrock_tells_it(self, endpoint) -> None:
        with claude_with("ABSKunknown", endpoint) as bad, pytest.raises(anthropic.PermissionDeniedError) as refused:
            await called(bad.messages.create, model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
        assert "make sure your API Key is valid" in str(refused.value)

    async def test_by_a_signature_too(self, client) -> None:
        body = json.dumps(BODY)
        answer = await called(client().invoke_model, modelId=CLAUDE, body=body)
        assert json.loads(answer["body"].read())["content"][0]["text"] == "You said: Hi"
        stream = await called(client().invoke_model_with_response_stream, modelId=CLAUDE, body=body)
        chunks = await asyncio.to_thread(drained, stream["body"])
        events = [json.loads(each["chunk"]["bytes"]) for each in chunks]
        assert events[-1].keys() == {"type", "amazon-bedrock-invocationMetrics"}
        model = CLAUDE.removeprefix("us.")
        counted = await called(client().count_tokens, modelId=model, input={"invokeModel": {"body": body}})
        assert counted["inputTokens"] == events[0]["message"]["usage"]["input_tokens"]

    @pytest.mark.parametrize(
        ("model", "change"),
        [
            (CLAUDE, {"anthropic_version": "2023-06-01"}),
            ("anthropic.claude-opus-4-6-v1", {"anthropic_version": "2026-10-21"}),
            (CLAUDE, {"service_tier": "auto"}),
            (CLAUDE, {"max_tokens": None}),
        ],
    )
    async def test_another_body_is_refused(self, client, model, change) -> None:
        with pytest.raises(ClientError) as refused:
            await called(client().invoke_model, modelId=model, body=json.dumps(BODY | change))
        assert refused.value.response["Error"]["Code"] == "ValidationException"


TITAN, TITAN_V1, COHERE = "amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v1", "us.cohere.embed-v4:0"
TEXTS = {"texts": ["red", "fox"], "input_type": "search_query", "embedding_types": ["float"]}


class TestEmbeddings:
    async def test_of_titan(self, client) -> None:
        body = json.dumps({"inputText": "red fox", "dimensions": 256})
        answer = json.loads((await called(client().invoke_model, modelId=TITAN, body=body))["body"].read())
        assert (len(answer["embedding"]), answer["inputTextTokenCount"]) == (256, 2)

    async def test_of_cohere(self, client) -> None:
        body = json.dumps(TEXTS | {"output_dimension": 8})
        answer = json.loads((await called(client().invoke_model, modelId=COHERE, body=body))["body"].read())
        assert [len(each) for each in answer["embeddings"]["float"]] == [8, 8]

    @pytest.mark.parametrize(
        ("model", "body"),
        [
            (TITAN, {"inputText": ""}),
            (TITAN, {"inputText": ["red"]}),
            (TITAN, {"inputText": "red", "dimensions": 3}),
            (TITAN, {"inputText": "red", "user": "ada"}),
            (TITAN_V1, {"inputText": "red", "dimensions": 256}),
            (COHERE, {"texts": ["red"]}),
            (COHERE, TEXTS | {"dimensions": 8}),
            ("cohere.embed-english-v3", TEXTS | {"output_dimension": 8}),
        ],
    )
    async def test_what_is_refused(self, client, model, body) -> None:
        with pytest.raises(ClientError) as refused:
            await called(client().invoke_model, modelId=model, body=json.dumps(body))
        assert refused.value.response["Error"]["Code"] == "ValidationException"
