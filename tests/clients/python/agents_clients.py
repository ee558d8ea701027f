"""OpenAI's Agents SDK: a tool that it runs, a stream, structured output, a hand-over. argv: chat or responses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

URL, KEY, MODEL = (os.environ[f"OWNKEY_{name}"] for name in ("URL", "KEY", "MODEL"))


class Invoice(BaseModel):
    """An invoice."""

    number: int
    customer: str


def model(surface: str) -> Any:
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    return (OpenAIResponsesModel if surface == "responses" else OpenAIChatCompletionsModel)(MODEL, openai_client=client)


async def main(surface: str) -> None:
    set_tracing_disabled(True)  # it would tell OpenAI
    asked: list[str] = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append("get_weather")
        return f"21 degrees in {city}"

    # Nothing is stored: what it refers to it sends.
    common: Any = {"model": model(surface), "model_settings": ModelSettings(store=False, include_usage=True)}
    plain = Agent(name="plain", **common)
    whole = await Runner.run(plain, "hello client")
    streamed = Runner.run_streamed(plain, "hello client")
    async for _ in streamed.stream_events():
        continue
    after = await Runner.run(Agent(name="weather", tools=[get_weather], **common), "use get_weather for Rome")
    again = await Runner.run(plain, [*after.to_input_list(), {"role": "user", "content": "hello client"}])
    invoice = await Runner.run(Agent(name="books", output_type=Invoice, **common), "the invoice")
    handed = await Runner.run(Agent(name="first", handoffs=[plain], **common), "use transfer_to_plain")
    assert handed.last_agent is plain
    assert again.final_output == whole.final_output
    print(
        json.dumps(
            {
                "whole": whole.final_output,
                "stream": streamed.final_output,
                "tools": asked,
                "after": after.final_output,
                "schema": sorted(invoice.final_output.model_dump()),
                "input_tokens": whole.context_wrapper.usage.input_tokens,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
