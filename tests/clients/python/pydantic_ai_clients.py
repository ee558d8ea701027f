"""Pydantic AI: an agent that runs its tool, a stream, structured output. argv: chat, messages or responses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

URL, KEY, MODEL = (os.environ[f"OWNKEY_{name}"] for name in ("URL", "KEY", "MODEL"))


class Invoice(BaseModel):
    """An invoice."""

    number: int
    customer: str


def model(surface: str) -> Any:
    if surface == "messages":
        return AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key=KEY))
    kind = OpenAIResponsesModel if surface == "responses" else OpenAIChatModel
    return kind(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))


async def main(surface: str) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        asked.append("get_weather")
        return f"21 degrees in {city}"

    plain = Agent(model(surface))
    whole = await plain.run("hello client")
    async with plain.run_stream("hello client") as stream:
        streamed = await stream.get_output()
    after = await Agent(model(surface), tools=[get_weather]).run("use get_weather for Rome")
    # Of Anthropic's models it asks a schema only by the names it knows: else by a tool.
    output = Invoice if surface == "messages" else NativeOutput(Invoice)
    invoice = await Agent(model(surface), output_type=output).run("the invoice")
    print(
        json.dumps(
            {
                "whole": whole.output,
                "stream": streamed,
                "tools": asked,
                "after": after.output,
                "schema": sorted(invoice.output.model_dump()),
                "input_tokens": whole.usage.input_tokens,
            }
        )
    )


asyncio.run(main(sys.argv[1]))
