"""instructor: structured output by its own ways, a tool's call and JSON schema. argv: chat, messages or responses."""

from __future__ import annotations

import json
import os
import sys

import anthropic
import instructor
import openai
from pydantic import BaseModel

URL, KEY, MODEL = (os.environ[f"OWNKEY_{name}"] for name in ("URL", "KEY", "MODEL"))


class Invoice(BaseModel):
    """An invoice."""

    number: int
    customer: str


def main(surface: str) -> None:
    said = [{"role": "user", "content": "the invoice"}]
    if surface == "messages":
        client = instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0))
        more = {"max_tokens": 1_000}
    else:
        mode = instructor.Mode.RESPONSES_TOOLS if surface == "responses" else instructor.Mode.TOOLS
        client = instructor.from_openai(openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=mode)
        more = {}
    invoice = client.chat.completions.create(model=MODEL, messages=said, response_model=Invoice, max_retries=0, **more)
    print(json.dumps({"schema": sorted(invoice.model_dump())}))


main(sys.argv[1])
