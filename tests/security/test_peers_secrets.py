"""What other gateways were broken by: a secret in a mask, an exception, a log line, a URL."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import Catalog
from ownkey.domain import scrub
from ownkey.domain.secrets import mask
from ownkey.runtime import logs
from ownkey.upstream import UrlPolicy
from tests.security.canary import KEY, Canary, listening
from tests.support.aws import Tables
from tests.support.inference import CHAT, MESSAGES, World, credential, world_with_simulator
from tests.support.management import Management, management

RUN = 8
"""So many of a key's characters in a row are a part of it that must not show: a mask has four at each end."""


def traces(text: str, secret: str = KEY) -> set[str]:
    """The runs of a secret that stand in a text; but for its public head, `sk-canary-`."""
    body = secret.removeprefix("sk-canary-")
    return {body[at : at + RUN] for at in range(len(body) - RUN + 1) if body[at : at + RUN] in text}


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Logging as a function has it, at its most talkative; gives what was written since the last call."""
    handlers, level, hook = logging.root.handlers[:], logging.root.level, sys.excepthook
    pinned = {name: logging.getLogger(name).level for name in logs.PINNED}
    logs.configure("test-function", "DEBUG")
    yield lambda: "".join(capsys.readouterr())
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(False)
    for name, former in pinned.items():
        logging.getLogger(name).setLevel(former)


# ── Masks


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_a_mask_shows_too_little_to_be_of_use(key: str) -> None:
    """LiteLLM CVE-2024-9606: the mask hid five characters of a key, and showed the others.

    Root cause: a mask that says what to hide. Ours says what to show: up to eight characters, none of a short key.
    """
    head, _, tail = mask(key).partition("…")
    assert len(head) <= 4
    assert len(tail) <= 4
    assert not traces(mask(key), key) or len(key) < RUN
    if len(key) < 20:
        assert mask(key) == "…"


async def test_no_answer_shows_more_of_a_key_than_its_mask(api: Management) -> None:
    """LiteLLM CVE-2024-9606: as people met it, in lists and logs."""
    saved = await api.save(key=KEY)
    key_id = (await api.gateway_key())["id"]
    shown = [
        saved,
        await api.ok("GET", "/api/byok"),
        await api.ok("GET", f"/api/byok/{saved['id']}"),
        await api.ok("POST", f"/api/byok/{saved['id']}/rotate", json={"key": KEY}),
        await api.ok("PATCH", f"/api/auth?keyId={key_id}", json={"providerKeys": {"OpenAI": KEY}}),
    ]
    assert saved["mask"] == f"sk-…{KEY[-4:]}"
    assert not traces(json.dumps(shown))


@pytest.mark.parametrize("shown", [KEY, f"{KEY[:14]}****{KEY[-9:]}", f"{KEY[:-5]}*****", f"*****{KEY[5:]}"])
async def test_what_a_provider_shows_of_a_key_is_cut_down_too(api: Management, shown: str) -> None:
    """LiteLLM CVE-2024-9606, at second hand: a provider's own, weaker mask in the reason for which it refused."""
    api.validation.reject(KEY, f"Incorrect API key provided: {shown}.")
    body = {"provider": "OpenAI", "key": KEY}
    status, error = await api.refused("POST", "/api/byok", json=body)
    assert status == 422
    assert not traces(json.dumps(error))


# ── Exceptions, logs, traces


ECHO = json.dumps({"error": {"message": f"bad key {KEY}", "code": KEY, "type": "x", "param": f"Bearer {KEY}"}}).encode()


def whole(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


CHUNK = json.dumps({"id": "x", "choices": [{"index": 0, "delta": {"content": "a"}}]})
STREAM = f'data: {CHUNK}\n\ndata: {{"error": "{KEY}"}}\n\n'.encode()
HOSTILE_ANSWERS = {
    "refuses and repeats the key": whole("401 -", ECHO),
    "refuses the request and repeats the key": whole("400 -", ECHO),
    "fails and repeats the key": whole("500 -", ECHO),
    "limits and repeats the key": whole("429 -", ECHO, f"Retry-After: {KEY}"),
    "answers, and repeats it in headers": whole(
        "200 -", b"{}", f"x-request-id: {KEY}", f"x-ratelimit-limit-requests: {KEY}", f"openai-organization: {KEY}"
    ),
    "refuses, and repeats it in headers": whole(
        "401 -", b"{}", f"x-request-id: {KEY}", f"x-ratelimit-limit-requests: {KEY}"
    ),
    "redirects with it": whole("302 -", b"", f"Location: https://x.example/?key={KEY}"),
    "answers no JSON": whole("200 -", f"<html>{KEY}</html>".encode()),
    "answers half a body": whole("200 -", b"{}").replace(b"Length: 2", b"Length: 200") + KEY.encode(),
    "answers no HTTP": f"{KEY}\r\n\r\n".encode(),
    "hangs up": b"",
    "breaks its stream": whole("200 -", STREAM).replace(b"application/json", b"text/event-stream"),
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_with_simulator() as world:
        world.registry.own = []
        yield world
    scrub.unregister(KEY)


def serve_from(world: World, canary: Canary, provider: str = "openai") -> None:
    """Has the canary be the provider, with the key saved for it."""
    world.upstream._policy = UrlPolicy([canary.origin])
    world.registry.own = [credential(provider, KEY, destination=f"{canary.origin}/v1", custom_base_url=True)]


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_no_failure_of_a_provider_brings_a_key_to_light(
    world: World, printed: Callable[[], str], answer: str, streamed: bool
) -> None:
    """LiteLLM CVE-2025-0330: an error on the way to a provider carried the request, with the keys in it, to the client.

    Root cause: exceptions that know their request. Ours know neither URL nor header nor body, and all is scrubbed.
    """
    async with listening(HOSTILE_ANSWERS[answer], hangs_up=True) as canary:
        serve_from(world, canary)
        response = await world.post("/v1/chat/completions", CHAT | {"stream": streamed})
        assert canary.saw_the_key
    assert not traces(response.text + str(response.headers.raw))
    lines = printed()
    assert not traces(lines)
    assert not traces(str(world.attempts.records))


async def test_no_failure_of_our_own_does_either(
    world: World, printed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM CVE-2025-0330: the same root cause, where the failing code is ours: a traceback knows every value."""

    async def broken(request: Any) -> Any:
        raise RuntimeError(f"could not send {dict(request.headers)} to {request.url}")

    async with listening() as canary:
        serve_from(world, canary)
        monkeypatch.setattr(world.upstream, "send", broken)
        response = await world.post("/v1/chat/completions", CHAT)
    assert response.status_code == 500
    assert not traces(response.text)
    lines = printed()
    assert "could not send" in lines  # it is logged, so there was something to scrub
    assert not traces(lines)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models"])
async def test_no_header_is_logged_at_any_level(world: World, printed: Callable[[], str], path: str) -> None:
    """LiteLLM: a guardrail logged the raw headers of requests, with the keys in them.

    Root cause: logging what came. Here a line is made of chosen facts, whatever the level.
    """
    async with listening() as canary:
        serve_from(world, canary, "anthropic" if "messages" in path else "openai")
        for name in ("authorization", "x-api-key"):
            presented = world.registry.secret if name == "x-api-key" else f"Bearer {world.registry.secret}"
            sent = {name: presented, "cookie": "session=c00kie-c00kie", "x-custom": KEY}
            if "models" in path:
                await world.get(path, sent)
            else:
                await world.post(path, MESSAGES if "messages" in path else CHAT, sent)
    lines = printed()
    assert not traces(lines)
    assert not traces(lines, world.registry.secret.rpartition("-")[2])
    assert "c00kie" not in lines


# ── URLs


def test_no_address_of_the_catalog_has_a_place_for_a_secret() -> None:
    """LiteLLM 24902: Gemini's key stood in the URL (`?key=`), and so in every exception and access log.

    Root cause: a key in an address. Here it goes into a header, for every provider and form.
    """
    for provider in Catalog.load().providers:
        assert "{key}" in provider.auth.template
        assert provider.auth.header.lower() not in ("", "host", "referer", "cookie")
        for form in provider.forms:
            secret = {field.name for field in form.fields if field.secret}
            urls = [provider.base_url, form.base_url, provider.validation.path, form.validation.path, form.token_url]
            urls += [url for each in form.base_urls.values() for url in each.values()]
            for url in filter(None, urls):
                assert not secret & set(re.findall(r"\{(\w+)\}", url)), f"{provider.id}.{form.id}"
                assert not re.search(r"[?&][^=]*(?:key|token|secret)", url, re.IGNORECASE)


@pytest.mark.parametrize(("path", "provider", "body"), [
    ("/v1/chat/completions", "openai", CHAT),
    ("/v1/messages", "anthropic", MESSAGES),
])  # fmt: skip
async def test_a_key_goes_into_one_header_and_not_into_the_url(
    world: World, path: str, provider: str, body: dict[str, Any]
) -> None:
    """LiteLLM 24902: as it goes over the wire."""
    async with listening() as canary:
        serve_from(world, canary, provider)
        await world.post(path, body)
    request_line, _, rest = canary.received.partition(b"\r\n")
    assert KEY.encode() not in request_line
    assert canary.received.count(KEY.encode()) == 1
    assert re.search(rb"(?im)^(?:authorization: bearer |x-api-key: )" + KEY.encode(), rest)
