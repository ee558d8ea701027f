"""Every compatible provider of the catalog on a local stack: its keys can be proven, and it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import aiohttp
import pytest
import pytest_asyncio

from local.running import simulated_upstream
from local.simulator import Simulator, start_simulator
from ownkey.catalog import Catalog, Form, Kind, Provider, Scheme, Verdict
from ownkey.domain.secrets import Secret
from ownkey.domain.surfaces import Dialect
from ownkey.providers.probe import key_probe, read_probe

PLAIN = Catalog.load()
COMPATIBLE = [each for each in PLAIN.providers if each.family is Dialect.OPENAI and each.kind is not Kind.CUSTOM]
GOOD, BAD = "sk-sim-good-key", "another-word"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[Simulator]:
    async with await start_simulator() as running:
        yield running


def on(simulator: Simulator, provider: Provider) -> Provider:
    """The provider as a local stack has it."""
    return Catalog.load({provider.id: simulated_upstream(simulator, provider)}).provider(provider.id)


def fields_of(form: Form) -> dict[str, str]:
    """Examples of its public fields."""
    public = {each.name: each.default or each.example or "" for each in form.fields if not each.secret}
    return {name: value.removeprefix("https://") for name, value in public.items()}


async def verdict(provider: Provider, form: Form, key: str) -> Verdict:
    public = fields_of(form)
    asked = key_probe(provider, form, None, public, {"key": Secret(key)}, {}, datetime.now(UTC))
    async with (
        aiohttp.ClientSession() as session,
        session.request(asked.method, asked.url, headers=asked.headers, data=asked.body or None) as answer,
    ):
        return read_probe(form, answer.status, dict(answer.headers), await answer.read()).verdict


@pytest.mark.asyncio(loop_scope="module")
async def test_each_tells_a_good_key_from_a_bad_one(simulator: Simulator) -> None:
    wrong: list[tuple[str, str, Mapping[str, Verdict]]] = []
    for provider in COMPATIBLE:
        found = on(simulator, provider)
        for form in (each for each in found.forms if each.scheme is Scheme.HEADER):
            said = {key: await verdict(found, form, key) for key in (GOOD, BAD)}
            if said != {GOOD: Verdict.ACCEPTED, BAD: Verdict.REJECTED}:
                wrong.append((provider.id, form.id, said))
    assert wrong == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("provider_id", ["groq", "sarvam", "portkey", "cloudflare-workers-ai", "heroku", "databricks"])
async def test_it_answers_at_its_address_and_by_its_header(simulator: Simulator, provider_id: str) -> None:
    provider = on(simulator, PLAIN.provider(provider_id))
    form = provider.forms[0]
    url = f"{provider.address(form, fields_of(form))}/chat/completions"
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=body, headers=form.auth.headers(GOOD)) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["object"] == "chat.completion"
        async with session.post(url, json=body, headers=form.auth.headers(BAD)) as answer:
            assert answer.status == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_may_lack_a_permission(simulator: Simulator) -> None:
    provider = on(simulator, PLAIN.provider("deepinfra"))
    simulator.keys.set("deepinfra", "sim-restricted", "no-models-scope")
    assert await verdict(provider, provider.forms[0], "sim-restricted") is Verdict.LIMITED
