"""Builders for the providers' tests: calls, fixtures, a stream fed in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ownkey.catalog import Catalog
from ownkey.domain.usage import Terms, Usage
from ownkey.providers import Call, Document, StreamDecoder, Translator

FIXTURES = Path(__file__).parent.parent / "contract" / "fixtures"
CATALOG = Catalog.load()

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGES = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


def fixture(family: str, name: str) -> bytes:
    """A wire fixture of a dialect."""
    return (FIXTURES / family / name).read_bytes()


def call(
    body: Mapping[str, Any] | bytes,
    *,
    provider: str = "openai",
    model: str | None = None,
    client_headers: Mapping[str, str] | None = None,
    credential_headers: Mapping[str, str] | None = None,
    beta: bool = False,
) -> Call:
    """A call of a provider, to the model that the body names if no other."""
    document = Document.parse(body if isinstance(body, bytes) else json.dumps(body).encode(), unique=True)
    row = CATALOG.provider(provider)
    return Call(
        body=document,
        client_headers=client_headers or {},
        provider=row,
        model_id=model or document.values["model"],
        base_url=row.base_url or "https://llm.example/v1",
        credential_headers=credential_headers or {},
        beta=beta,
    )


def annotate(usage: Usage, terms: Terms) -> Mapping[str, object]:
    """Marks an annotated usage."""
    return {"is_byok": True, "cost": usage.total_tokens, "tier": terms.service_tier}


@dataclass
class Passed:
    """What became of a stream."""

    output: bytes
    decoder: StreamDecoder


def passed(
    translator: Translator, request: Call, pieces: Iterable[bytes], *, orderly: bool = True, marks: Any = annotate
) -> Passed:
    """Feeds the pieces and ends the stream."""
    decoder = translator.decode_stream(request, marks)
    output = b"".join([*(decoder.feed(piece) for piece in pieces), decoder.close(orderly=orderly)])
    return Passed(output, decoder)


def events(stream: bytes) -> list[Any]:
    """The data of a stream's events: JSON where it is JSON, else text."""
    found = []
    for block in stream.decode().split("\n\n"):
        data = "\n".join(line[5:].strip() for line in block.split("\n") if line.startswith("data:"))
        if data:
            found.append(json.loads(data) if data.startswith("{") else data)
    return found
