"""The simulated provider and the SDKs of the generation before, which live in an environment of their own.

They authenticate differently: Anthropic's sends `x-api-key` and an older version.
"""

import asyncio
import json
from pathlib import Path

from local.simulator import start_simulator

PYTHON = Path(__file__).parents[2] / ".venv-sdk-previous" / "bin" / "python"
SCRIPT = """
import json, sys
import anthropic, openai

origin = sys.argv[1]
said = [{"role": "user", "content": "Use get_time [[sim: retry_after=1]]"}]
schema = {"type": "object", "properties": {}}
seen = {}

with openai.OpenAI(
    api_key="sk-sim-previous", base_url=origin + "/openai/v1", _strict_response_validation=True
) as client:
    body = dict(model="gpt-4o-mini", messages=said)
    seen["openai"] = client.chat.completions.create(**body).choices[0].message.content
    parts = client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True})
    parts = list(parts)
    seen["openai_stream"] = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    seen["openai_usage"] = parts[-1].usage.total_tokens
    tool = {"type": "function", "function": {"name": "get_time", "parameters": schema}}
    with client.chat.completions.stream(**body, tools=[tool]) as stream:
        seen["openai_tool"] = stream.get_final_completion().choices[0].message.tool_calls[0].function.name
    seen["openai_models"] = len(client.models.list().data)
    try:
        client.with_options(api_key="sk-wrong").models.list()
    except openai.AuthenticationError as error:
        seen["openai_error"] = error.code

with anthropic.Anthropic(
    api_key="sk-ant-sim-previous", base_url=origin + "/anthropic", _strict_response_validation=True
) as client:
    body = dict(model="claude-haiku-4-5", max_tokens=2000, messages=said)
    seen["anthropic"] = client.messages.create(**body).content[0].text
    with client.messages.stream(**body, thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
        final = stream.get_final_message()
    seen["anthropic_stream"] = [block.type for block in final.content]
    message = client.messages.create(**body, tools=[{"name": "get_time", "input_schema": schema}])
    seen["anthropic_tool"] = message.content[-1].name
    seen["anthropic_count"] = client.messages.count_tokens(model="claude-haiku-4-5", messages=said).input_tokens
    seen["anthropic_models"] = len(client.models.list().data)
    try:
        client.with_options(api_key="sk-wrong").models.list()
    except anthropic.AuthenticationError as error:
        seen["anthropic_error"] = error.body["error"]["message"]

print(json.dumps(seen))
"""


async def test_the_previous_generation_of_sdks_reads_everything():
    assert PYTHON.exists(), "the environment with the previous SDKs is missing: make setup"
    async with await start_simulator() as simulator:
        process = await asyncio.create_subprocess_exec(
            PYTHON, "-c", SCRIPT, simulator.origin, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert process.returncode == 0
        seen = json.loads(output)
        schemes = {(each.provider, each.auth) for each in simulator.journal.entries()}
    assert seen.pop("openai_models") > 30
    assert seen.pop("anthropic_models") == 20
    assert seen == {
        "openai": "You said: Use get_time",
        "openai_stream": "You said: Use get_time",
        "openai_usage": 23,
        "openai_tool": "get_time",
        "openai_error": "invalid_api_key",
        "anthropic": "You said: Use get_time",
        "anthropic_stream": ["thinking", "text"],
        "anthropic_tool": "get_time",
        "anthropic_count": 15,
        "anthropic_error": "invalid x-api-key",
    }
    assert schemes == {("openai", "bearer"), ("anthropic", "x-api-key")}
