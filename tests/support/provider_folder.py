"""A provider's fixture folder: what is sent to it, what it answers, and what both mean. docs/adding-a-provider.md.

```
request.json   a client's chat completion          sent.json     {"path", "body", "dropped"}: what the provider gets
response.json  its answer                          stream.sse    the same answer, streamed
usage.json     the buckets of both                 errors.json   [{"status", "body", "code"}]: what its errors become
```
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ownkey.catalog import Catalog
from ownkey.domain.surfaces import Surface
from ownkey.domain.usage import Usage
from ownkey.providers import Call, Document, Translator, translator_for
from tests.support.providers import annotate, events, passed

FILES = {"request.json", "sent.json", "response.json", "stream.sse", "usage.json", "errors.json"}


def check(folder: Path, catalog: Catalog, provider_id: str) -> None:
    """All that a folder promises of its provider.

    Raises:
        AssertionError: something is otherwise.
    """
    assert {each.name for each in folder.iterdir()} >= FILES
    request = json.loads((folder / "request.json").read_bytes())
    chat, usage = _chat(catalog, provider_id, request["model"]), Usage(**json.loads(_text(folder, "usage.json")))
    _check_request(chat, _call(catalog, provider_id, request), json.loads(_text(folder, "sent.json")))
    _check_answers(folder, chat, catalog, provider_id, request, usage)
    for case in json.loads(_text(folder, "errors.json")):
        failure = chat.decode_failure(case["status"], {}, json.dumps(case["body"]).encode())
        assert failure.code == case["code"], case


def _check_request(chat: Translator, call: Call, sent: dict[str, Any]) -> None:
    encoded = chat.encode_request(call)
    assert encoded.url == call.base_url + sent["path"]
    assert json.loads(encoded.body) == sent["body"]
    assert list(encoded.dropped) == sent["dropped"]


def _check_answers(
    folder: Path, chat: Translator, catalog: Catalog, provider_id: str, request: dict[str, Any], usage: Usage
) -> None:
    """Whole and streamed they are what OpenAI's SDK reads, and say the same, here and across to another dialect."""
    whole, stream = (folder / "response.json").read_bytes(), (folder / "stream.sse").read_bytes()
    text = ChatCompletion.model_validate_json(whole).choices[0].message.content
    chunks = [ChatCompletionChunk.model_validate(each) for each in events(stream) if each != "[DONE]"]
    assert "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices) == text
    call = _call(catalog, provider_id, request)
    assert chat.decode_whole(call, whole, annotate).reading.usage == usage
    asked = _call(catalog, provider_id, request | {"stream": True})
    assert passed(chat, asked, [stream]).decoder.reading.usage == usage
    said = {"model": request["model"], "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    messages = translator_for(Surface.MESSAGES, call.provider, call.model_id, None)
    assert messages is not None
    message = messages.decode_whole(_call(catalog, provider_id, said), whole, annotate)
    assert message.reading.usage == usage
    blocks = json.loads(message.body)["content"]
    assert "".join(block["text"] for block in blocks if block["type"] == "text") == text
    crossed = passed(messages, _call(catalog, provider_id, said | {"stream": True}), [stream])
    assert crossed.decoder.reading.usage == usage


def _chat(catalog: Catalog, provider_id: str, model_id: str) -> Translator:
    found = translator_for(Surface.CHAT, catalog.provider(provider_id), model_id, None)
    assert found is not None
    return found


def _call(catalog: Catalog, provider_id: str, body: dict[str, Any]) -> Call:
    provider = catalog.provider(provider_id)
    document = Document.parse(json.dumps(body).encode())
    return Call(document, {}, provider, body["model"], provider.base_url or "https://llm.example/v1", {})


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text()
