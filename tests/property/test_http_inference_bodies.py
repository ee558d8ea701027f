"""Whatever a body says, the gateway answers as designed: never with a failure of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.upstream import UpstreamRequest
from tests.support.inference import CHAT, MESSAGES, World, credential
from tests.support.pieces import InPieces
from tests.support.providers import fixture

FIELDS = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "provider",
    "metadata",
    "user",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "modalities",
    "tools",
    "system",
    "input",
    "instructions",
    "max_output_tokens",
    "text",
    "include",
    "previous_response_id",
    "store",
    "response_format",
    "x",
]
BODIES = {
    "chat/completions": CHAT,
    "messages": MESSAGES,
    "responses": {"model": "gpt-4o-mini", "input": "Hello there"},
}
FOLDERS = {"/messages": "anthropic", "/responses": "responses"}
PREFERENCES = ("order", "only", "ignore", "allow_fallbacks", "sort")


class Answer(InPieces):
    """A provider's good answer, whole or streamed as the request asks."""

    status = 200

    def __init__(self, family: str, streamed: bool) -> None:
        self.headers = {"content-type": "text/event-stream" if streamed else "application/json"}
        self._body = fixture(family, "stream.sse" if streamed else "response.json")

    async def read(self, _: int) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        return


class Provider:
    """Checks that what reaches it is JSON without the gateway's own field, and answers."""

    async def send(self, request: UpstreamRequest) -> Any:
        body = json.loads(request.body)
        assert "provider" not in body
        family = next((folder for path, folder in FOLDERS.items() if path in request.url), "openai")
        return Answer(family, body.get("stream") is True)


class NoSimulator:
    """Names addresses at which nobody is asked."""

    origin = "http://127.0.0.1:9"

    def base_url(self, provider: str) -> str:
        return f"{self.origin}/{provider}/v1"


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def world(runner: asyncio.Runner) -> Iterator[World]:
    world = World(NoSimulator())  # type: ignore[arg-type]
    world.registry.own, world.registry.platform = [credential("openai")], [credential("anthropic", alias="shared")]
    world.holds.available_nanousd = 10**18
    world.configure(ports=world.ports(Provider()))
    running = world.running()
    runner.run(running.__aenter__())
    yield world
    runner.run(running.__aexit__(None, None, None))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
preferences = st.fixed_dictionaries({}, optional=dict.fromkeys(PREFERENCES, values))


@given(
    st.sampled_from(list(BODIES)),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5),
    st.none() | preferences,
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_body_is_answered_or_refused_as_designed(
    runner: asyncio.Runner, world: World, path: str, changes: dict[str, Any], provider: Any, streamed: bool
) -> None:
    body = {**BODIES[path], "stream": streamed, **changes}
    if provider is not None:
        body["provider"] = provider
    raw = json.dumps(body).encode()
    response = runner.run(world.post(f"/v1/{path}", raw))
    assert response.status_code in (200, 400, 404)
    assert response.headers["x-ownkey-request-id"]
    if response.status_code == 200:
        assert b'"error":{' not in response.content.replace(b" ", b"")
        start, end = world.attempts.records[-1]
        assert end.usage.total_tokens > 0
        assert end.charge_nanousd <= max(start.hold_nanousd, 10**8)
    else:
        assert response.json()["error"]["metadata"]["source"] == "gateway"


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_refused_as_designed(runner: asyncio.Runner, world: World, raw: bytes) -> None:
    response = runner.run(world.post("/v1/messages", raw))
    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("invalid_json", "invalid_parameter")


@given(
    st.dictionaries(st.sampled_from(["authorization", "x-api-key"]), st.text(st.characters(codec="ascii"), max_size=80))
)
@settings(max_examples=150, deadline=None)
def test_any_credentials_but_the_right_ones_are_refused(
    runner: asyncio.Runner, world: World, headers: dict[str, str]
) -> None:
    clean = {name: "".join(char for char in value if char.isprintable()) for name, value in headers.items()}
    response = runner.run(world.post("/v1/messages", MESSAGES, clean))
    assert response.status_code == 401
