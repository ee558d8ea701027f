"""Runs under the SDKs of the generation before, in an environment of their own; prints what they saw as JSON.

python previous_sdks.py BASE_URL GATEWAY_KEY
"""

import json
import sys

import anthropic
import openai

BASE_URL, KEY = sys.argv[1:]
SAID = [{"role": "user", "content": "hello"}]
TOOL_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LATE = [{"role": "user", "content": "[[sim: chunks=8 cut_after=3]]"}]


def with_openai() -> dict:
    seen: dict = {"version": openai.__version__}
    with openai.OpenAI(api_key=KEY, base_url=f"{BASE_URL}/v1", max_retries=0) as client:
        body = {"model": "gpt-4o-mini", "messages": SAID}
        raw = client.chat.completions.with_raw_response.create(**body)
        whole = raw.parse()
        seen["headers"] = {name: value for name, value in raw.headers.items() if name.startswith("x-ownkey-")}
        seen["whole"] = whole.choices[0].message.content
        seen["usage"] = whole.usage.to_dict()
        chunks = list(client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
        seen["streamed"] = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        seen["streamed_usage"] = chunks[-1].usage.to_dict()
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL_SCHEMA}}
        call = {"messages": [{"role": "user", "content": "get_weather"}], "tools": [tool]}
        message = client.chat.completions.create(**body | call).choices[0].message
        seen["tool"] = [message.tool_calls[0].function.name, message.tool_calls[0].function.arguments]
        seen["models"] = "gpt-4o-mini" in {model.id for model in client.models.list()}
        seen["errors"] = [
            caught(lambda: client.with_options(api_key="ok-wrong").chat.completions.create(**body)),
            caught(lambda: client.chat.completions.create(**body | {"model": "openai/no-such-model"})),
            caught(lambda: list(client.chat.completions.create(**body | {"messages": LATE}, stream=True))),
        ]
    return seen


def with_anthropic() -> dict:
    seen: dict = {"version": anthropic.__version__}
    with anthropic.Anthropic(api_key=KEY, base_url=BASE_URL, max_retries=0) as client:
        seen["auth"] = sorted(client.auth_headers)
        body = {"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": SAID}
        raw = client.messages.with_raw_response.create(**body)
        whole = raw.parse()
        seen["headers"] = {name: value for name, value in raw.headers.items() if name.startswith("x-ownkey-")}
        seen["whole"] = whole.content[0].text
        seen["usage"] = whole.usage.to_dict()
        with client.messages.stream(**body, thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
            usages = [event.usage for event in stream if event.type == "message_delta"]
            seen["streamed"] = [block.type for block in stream.get_final_message().content]
        seen["streamed_usage"] = usages[-1].to_dict()
        tool = {"name": "get_weather", "input_schema": TOOL_SCHEMA}
        asked = {"messages": [{"role": "user", "content": "get_weather"}], "tools": [tool]}
        call = client.messages.create(**body | asked).content[-1]
        seen["tool"] = [call.name, json.dumps(call.input)]
        seen["counted"] = client.messages.count_tokens(model="claude-haiku-4-5", messages=SAID).input_tokens
        seen["models"] = "claude-haiku-4-5" in {model.id for model in client.models.list(limit=1000)}
        seen["errors"] = [
            caught(lambda: client.with_options(api_key="ok-wrong").messages.create(**body)),
            caught(lambda: client.messages.create(**body | {"model": "no-such-model"})),
            caught(lambda: list(client.messages.create(**body | {"messages": LATE}, stream=True))),
        ]
    return seen


def crossed_openai() -> dict:
    """OpenAI's SDK to Claude: whole, streamed by the SDK's helper, with tools."""
    with openai.OpenAI(api_key=KEY, base_url=f"{BASE_URL}/v1", max_retries=0) as client:
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL_SCHEMA}}
        body = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "get_weather"}], "tools": [tool]}
        whole = client.chat.completions.create(**body).choices[0]
        with client.chat.completions.stream(**body) as stream:
            streamed = stream.get_final_completion().choices[0]
        text = client.chat.completions.create(model="claude-haiku-4-5", messages=SAID).choices[0].message.content
    return {"text": text, "whole": openai_calls(whole), "streamed": openai_calls(streamed)}


def openai_calls(choice) -> list:
    calls = [[call.function.name, json.loads(call.function.arguments)] for call in choice.message.tool_calls]
    return [calls, choice.finish_reason]


def crossed_anthropic() -> dict:
    """Anthropic's SDK to OpenAI's models, in the same way."""
    with anthropic.Anthropic(api_key=KEY, base_url=BASE_URL, max_retries=0) as client:
        body = {
            "model": "gpt-4o-mini",
            "max_tokens": 200,
            "tools": [{"name": "get_weather", "input_schema": TOOL_SCHEMA}],
        }
        asked = body | {"messages": [{"role": "user", "content": "get_weather"}]}
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        text = client.messages.create(**body | {"messages": SAID}).content[0].text
        counted = client.messages.count_tokens(model="gpt-4o-mini", messages=SAID).input_tokens
    return {"text": text, "whole": anthropic_calls(whole), "streamed": anthropic_calls(streamed), "counted": counted}


def anthropic_calls(message) -> list:
    calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
    return [calls, message.stop_reason]


def caught(call) -> list:
    """Class, status and body of the SDK's error; empty where there was none."""
    try:
        call()
    except (openai.APIError, anthropic.APIError) as error:
        body = error.body if isinstance(error.body, dict) else {}
        return [type(error).__name__, getattr(error, "status_code", None), body.get("error", body)]
    return []


crossed = {"openai": crossed_openai(), "anthropic": crossed_anthropic()}
print(json.dumps({"openai": with_openai(), "anthropic": with_anthropic(), "crossed": crossed}))
