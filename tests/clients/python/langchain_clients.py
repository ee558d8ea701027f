"""LangChain: an answer, a stream, a tool with its result, structured output. argv: chat, messages or responses."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

URL, KEY, MODEL = (os.environ[f"OWNKEY_{name}"] for name in ("URL", "KEY", "MODEL"))


class Invoice(BaseModel):
    """An invoice."""

    number: int
    customer: str


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def model(surface: str) -> Any:
    if surface == "messages":
        return ChatAnthropic(model=MODEL, base_url=URL, api_key=KEY, max_tokens=1_000, max_retries=0)
    return ChatOpenAI(
        model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, use_responses_api=surface == "responses"
    )


def main(surface: str) -> None:
    llm = model(surface)
    whole = llm.invoke("hello client")
    streamed = "".join(str(chunk.text) for chunk in llm.stream("hello client"))
    question = HumanMessage("use get_weather for Rome")
    with_tools = llm.bind_tools([get_weather])
    call = with_tools.invoke([question])
    results = [ToolMessage(get_weather.invoke(each["args"]), tool_call_id=each["id"]) for each in call.tool_calls]
    after = with_tools.invoke([question, call, *results])
    invoice = llm.with_structured_output(Invoice, method="json_schema").invoke("the invoice")
    print(
        json.dumps(
            {
                "whole": whole.text,
                "stream": streamed,
                "tools": [each["name"] for each in call.tool_calls],
                "after": after.text,
                "schema": sorted(invoice.model_dump()),
                "input_tokens": whole.usage_metadata["input_tokens"],
            }
        )
    )


main(sys.argv[1])
