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


def caught(call) -> list:
    """Class, status and body of the SDK's error; empty where there was none."""
    try:
        call()
    except (openai.APIError, anthropic.APIError) as error:
        body = error.body if isinstance(error.body, dict) else {}
        return [type(error).__name__, getattr(error, "status_code", None), body.get("error", body)]
    return []


print(json.dumps({"openai": with_openai(), "anthropic": with_anthropic()}))
