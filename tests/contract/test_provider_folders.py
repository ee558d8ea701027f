"""One row and one folder make a provider: those that are here, and one that nobody has heard of, added at run time."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from local.simulator import start_simulator
from ownkey.catalog import Catalog
from ownkey.catalog.providers import decode_provider
from tests.support.inference import World, credential
from tests.support.provider_folder import check
from tests.support.providers import CATALOG, FIXTURES
from tools.catalog.providers import problems

FOLDERS = sorted((FIXTURES / "providers").iterdir())

ROW = """
id = "quillcorp"
display_name = "Quill Corp"
kind = "host"
family = "openai"
base_url = "https://api.quill.example/v1"
auth = { header = "Authorization", template = "Bearer {key}" }
key_url = "https://quill.example/keys"
surfaces = ["chat"]
source = "quill.example/docs"
checked = 2026-11-21
[validation]
method = "GET"
path = "/models"
accepted = [200]
rejected = [401]
status = "unverified"
[parameters]
unsupported = ["logit_bias"]
renamed = { max_completion_tokens = "max_tokens" }
"""
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}
HEAD = {"id": "quill-1", "created": 1, "model": "quill-7b"}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps(HEAD | {'object': 'chat.completion.chunk', 'choices': [choice]} | more)}\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The new provider's."""
    request = {
        "model": "quill-7b",
        "messages": [{"role": "user", "content": "hello"}],
        "max_completion_tokens": 50,
        "logit_bias": {"1": 2},
    }
    sent = {"model": "quill-7b", "messages": request["messages"], "max_tokens": 50}
    message = {"role": "assistant", "content": "Hello there"}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    files = {
        "request.json": request,
        "sent.json": {"path": "/chat/completions", "body": sent, "dropped": ["logit_bias"]},
        "response.json": HEAD | {"object": "chat.completion"} | answer,
        "usage.json": {"input": 8, "cache_read": 4, "output": 3},
        "errors.json": [{"status": 429, "body": {"detail": "slow down"}, "code": "upstream_rate_limited"}],
    }
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values))
    stream = chunk({"role": "assistant", "content": "Hello"}) + chunk({"content": " there"}, "stop", usage=USAGE)
    (tmp_path / "stream.sse").write_text(stream + "data: [DONE]\n\n")
    return tmp_path


def with_row(row: dict[str, Any]) -> Catalog:
    """The catalog with one more provider."""
    models = {"version": CATALOG.version, "as_of": str(CATALOG.as_of), "models": {}}
    return Catalog((*CATALOG.providers, decode_provider(row)), models)


@pytest.mark.parametrize("known", FOLDERS, ids=lambda path: path.name)
def test_a_provider_is_what_its_folder_says(known: Path) -> None:
    check(known, CATALOG, known.name)


async def test_a_new_provider_is_one_row_and_one_folder(folder: Path) -> None:
    row = tomllib.loads(ROW)
    assert problems([row]) == []
    check(folder, with_row(row), row["id"])
    async with await start_simulator() as simulator:
        world = World(simulator)
        world.registry.catalog = with_row(row | {"base_url": simulator.base_url(row["id"])})
        world.registry.own = [credential("quillcorp", "sim-quill-key-0001")]
        world.configure(catalog=world.registry.catalog)
        async with world.running():
            await reached_by_both_surfaces(world)


async def reached_by_both_surfaces(world: World) -> None:
    said = {"model": "quillcorp/quill-7b", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
    chat = await world.post("/v1/chat/completions", said | {"logit_bias": {"1": 2}})
    assert chat.json()["choices"][0]["message"]["content"] == "You said: hello"
    assert (chat.headers["x-ownkey-provider"], chat.headers["x-ownkey-dropped"]) == ("quillcorp", "logit_bias")
    message = await world.post("/v1/messages", said)
    assert message.json()["content"][0]["text"] == "You said: hello"
