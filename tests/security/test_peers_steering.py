"""What other gateways were broken by: the caller says where a request goes, and the operator's key goes with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from ownkey.catalog import Catalog
from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import AddressRefused, Upstream, UpstreamRequest, UpstreamUnreachable, UrlPolicy
from tests.security.canary import KEY, Canary, listening, tap
from tests.support.aws import Tables
from tests.support.inference import CHAT, KEYS, MESSAGES, World, credential, world_with_simulator
from tests.support.management import OPENAI_KEY, Management, management


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with listening() as canary:
        yield canary


@pytest.fixture
async def world(canary: Canary) -> AsyncIterator[World]:
    """A gateway whose guard would let the canary be called: nothing but the saved destination keeps it away."""
    async with world_with_simulator() as world:
        world.upstream._policy = UrlPolicy([*world.upstream._policy.allowed_origins, canary.origin])
        yield world


@pytest.fixture
async def api(tables: Tables) -> AsyncIterator[Management]:
    async with management(tables) as running:
        yield running


def bodies(there: str) -> dict[str, dict[str, Any]]:
    """Members of a request's body that have steered a gateway, at every depth they were found at."""
    host = there.removeprefix("http://")
    flat = dict.fromkeys(("api_base", "base_url", "apiBase", "baseURL", "endpoint", "custom_host", "proxy"), there)
    return {
        **{name: {name: value} for name, value in flat.items()},
        "all of them": flat,
        "litellm_params": {"litellm_params": flat},
        "litellm_params_template": {"litellm_params_template": json.dumps(flat)},
        "litellm_embedding_config": {"litellm_embedding_config": flat},
        "model_list": {"model_list": [{"model_name": "gpt-4o-mini", "litellm_params": flat}]},
        "extra_body": {"extra_body": {"extra_body": flat}},
        "extra_headers": {"extra_headers": {"Host": host, "x-portkey-custom-host": there}},
        "headers": {"headers": {"Host": host}},
        "metadata": {"metadata": {name: str(value) for name, value in flat.items()}},
        "a tool": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}, **flat}]},
        "a message": {"messages": [{"role": "user", "content": "Hello", **flat}]},
        "fallbacks": {"fallbacks": [{"model": "gpt-4o-mini", **flat}]},
        "config": {"config": {"targets": [{"provider": "openai", "custom_host": there}]}},
        "provider": {"provider": {"order": ["openai"], "base_url": there, "endpoints": [flat]}},
        "vertex": {"vertex_location": f"{host}/#", "vertex_project": f"x/../{host}"},
        "azure": {"azure_endpoint": there, "resource_name": f"{host}#", "azureResourceName": f"{host}#"},
        "aws": {"aws_bedrock_runtime_endpoint": there, "aws_region_name": f"{host}/#"},
    }


def headers(there: str) -> dict[str, str]:
    """Headers that have done the same."""
    host = there.removeprefix("http://")
    urls = ("x-portkey-custom-host", "x-base-url", "x-api-base", "x-upstream-url", "x-target-url", "x-litellm-api-base")
    hosts = ("host", "x-forwarded-host", "x-host", "x-original-host", "x-forwarded-server")
    return {
        **dict.fromkeys(urls, there),
        **dict.fromkeys(hosts, host),
        "x-portkey-config": json.dumps({"provider": "openai", "custom_host": there}),
        "x-portkey-provider": "openai",
        "x-portkey-azure-resource-name": f"{host}#",
        "x-portkey-vertex-region": f"{host}/#",
        "forwarded": f"host={host};proto=http",
        "x-original-url": f"{there}/v1/chat/completions",
        "x-rewrite-url": f"{there}/v1/chat/completions",
        "proxy": there,
        "proxy-authorization": "Basic x",
    }


async def served_at_the_saved_destination(world: World, canary: Canary) -> None:
    assert (canary.connections, canary.saw_the_key) == (0, False)
    for asked in world.simulator.journal.entries():
        assert asked.headers["host"] == world.simulator.origin.removeprefix("http://")
        assert asked.key_sha256 == sha256(KEYS["openai"].encode()).hexdigest()
    world.simulator.journal.clear()


@pytest.mark.parametrize("source", ["own", "platform"])
async def test_a_request_cannot_say_where_it_goes(world: World, canary: Canary, source: str) -> None:
    """LiteLLM CVE-2024-6587, GHSA-g5ff-637f-6q2m: `api_base` in the body, and the operator's key went there.

    Root cause: one object for what the model is asked and for where it is asked.
    """
    if source == "platform":
        world.registry.own, world.registry.platform = [], [credential("openai")]
    for member in bodies(canary.origin).values():
        response = await world.post("/v1/chat/completions", CHAT | member)
        assert response.status_code in (200, 400)
        await served_at_the_saved_destination(world, canary)


async def test_a_nested_parameter_cannot_either(world: World, canary: Canary) -> None:
    """LiteLLM CVE-2026-84377: a list of what is forbidden looked at the first level alone.

    Root cause: a denylist. Here nothing of a body, at any depth, is read for a destination.
    """
    for depth in range(1, 8):
        for name in ("litellm_params", "extra_body", "metadata", "config", "x"):
            nested: Any = {"api_base": canary.origin, "base_url": canary.origin, "custom_host": canary.origin}
            for _ in range(depth):
                nested = {name: [nested, nested]}
            response = await world.post("/v1/chat/completions", CHAT | {name: nested, "extra": nested})
            assert response.status_code in (200, 400)
            await served_at_the_saved_destination(world, canary)


async def test_a_model_name_cannot_either(world: World, canary: Canary) -> None:
    """LiteLLM CVE-2024-6587: by the one member of a body that does choose, among what the catalog lists."""
    host = canary.origin.removeprefix("http://")
    for model in (canary.origin, f"openai/{canary.origin}", f"custom_openai/{canary.origin}/v1", f"azure/{host}#",
                  f"openai@{host}", f"openai/../../{host}", f"//{host}/x", f"{host}#/gpt-4o-mini"):  # fmt: skip
        response = await world.post("/v1/chat/completions", CHAT | {"model": model})
        assert response.status_code in (400, 404)
        await served_at_the_saved_destination(world, canary)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_header_cannot_either(world: World, canary: Canary, path: str) -> None:
    """Portkey CVE-2025-66405: `x-portkey-custom-host` named the host that the key was sent to.

    Root cause: routing by request header. Here a header is passed on only if the dialect's allow-list has it.
    """
    key = {"authorization": f"Bearer {world.registry.secret}", "content-type": "application/json"}
    body = CHAT if "chat" in path else MESSAGES
    for name, value in headers(canary.origin).items():
        response = await world.post(path, body, key | {name: value})
        assert response.status_code == 200, name
        for asked in world.simulator.journal.entries():
            assert canary.origin.removeprefix("http://") not in json.dumps(dict(asked.headers)), name
        world.simulator.journal.clear()
    assert canary.connections == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/proxy/chat/completions",
        "/v1/proxy/http://127.0.0.1:{port}/v1",
        "/v1/http://127.0.0.1:{port}/chat/completions",
        "//127.0.0.1:{port}/v1/chat/completions",
        "/v1/../127.0.0.1:{port}/chat/completions",
        "/openai/v1/chat/completions",
        "/v1/chat/completions/http://127.0.0.1:{port}",
        "/v1/passthrough/openai/chat/completions",
        "/proxy?url=http://127.0.0.1:{port}",
    ],
)
async def test_there_is_no_route_that_skips_the_check(world: World, canary: Canary, path: str) -> None:
    """Portkey after CVE-2025-66405: `/v1/proxy/*` was routed past the validator of its fix (issue 1718).

    Root cause: the check stood in front of some routes. Here it stands in the transport, and there is no such route.
    """
    sent = {"authorization": f"Bearer {world.registry.secret}", "x-portkey-custom-host": canary.origin}
    client = world.stream(path.format(port=canary.port), CHAT, sent)  # the path as it is: HTTP libraries tidy it up
    await client.over()
    assert client.status in (404, 405)
    assert (canary.connections, world.simulator.journal.entries()) == (0, [])


async def test_a_saved_key_cannot_be_pointed_elsewhere(api: Management) -> None:
    """LiteLLM CVE-2024-6587: by management. Whoever may change settings, and read no key, would move a key's host."""
    saved = await api.save()
    for base_url in ("https://evil.example/v1", "https://api.openai.com/other"):
        status, error = await api.refused("PATCH", f"/api/byok/{saved['id']}", json={"base_url": base_url})
        assert (status, error["code"]) == (400, "invalid_parameter")
    (still,) = await api.registry.stored_credentials("acme")
    assert still.credential.destination == "https://api.openai.com/v1"


# ── A `#` in a resource's name


AZURE = {
    "provider": "Azure",
    "azure_endpoint": "https://my-resource.openai.azure.com",
    "azure_api_key": OPENAI_KEY,
    "azure_deployment": "gpt-4o",
}
DISGUISED = (
    *("evil.example#", "evil.example?", "evil.example\\", "evil.example@x", "x@evil.example#", "evil.example:80"),
    *("evil.example%23", "evil.example%2f", "evil.example;", "evil.example,", "evil.example&", "evil.example＃"),
    *("evil.example／", "127.0.0.1#", "[::1]#", "169.254.169.254/", "localhost#", "evil.example\t#", " evil.example#"),
    *("evil.example\r\nHost: x", "evil.example\0", "", "..", "-", "*", "{x}"),
)
"""Names after which another host follows, or none."""
PLAIN = ("evil.example/", "evil.example:443/")
"""And those that make it a URL of another host for all to see."""


@pytest.mark.parametrize("resource", DISGUISED)
async def test_a_resource_name_cannot_end_the_host_early(resource: str) -> None:
    """Portkey PR 1597: resource `evil.example#` made https://evil.example#.openai.azure.com, and the key went to evil.

    Root cause: a URL put together from a name that nobody had looked at.
    """
    for suffix in ("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"):
        with pytest.raises(UnsafeBaseUrl):
            UrlPolicy().check(f"https://{resource}.{suffix}/openai")


async def test_such_a_resource_cannot_be_saved(api: Management) -> None:
    """Portkey PR 1597, at the door: by the provider's own members, and by `base_url`."""
    for resource in DISGUISED:
        for url in (f"https://{resource}.openai.azure.com", f"https://{resource}.openai.azure.com/openai/v1"):
            for body in (AZURE | {"azure_endpoint": url}, {"provider": "OpenAI", "key": OPENAI_KEY, "base_url": url}):
                assert (await api.call("POST", "/api/byok", json=body)).status_code == 400, body
    for name, value in (("azure_deployment", "../../x"), ("azure_deployment", "a#b"), ("api_version", "2024-10-21#")):
        assert (await api.call("POST", "/api/byok", json=AZURE | {name: value})).status_code == 400
    assert (await api.registry.credentials("acme"), api.validation.asked) == ([], [])


async def test_an_endpoint_of_another_host_is_shown_as_the_users_own(api: Management) -> None:
    """Portkey PR 1597: what is no vendor's host is never passed off as one."""
    saved = await api.ok("POST", "/api/byok", json=AZURE)
    assert (saved["base_url"], saved["custom_base_url"]) == ("https://my-resource.openai.azure.com", False)
    for resource in PLAIN:
        body = AZURE | {"azure_endpoint": f"https://{resource}.openai.azure.com"}
        saved = await api.ok("POST", "/api/byok", json=body)
        assert (saved["base_url"], saved["custom_base_url"]) == ("https://evil.example/.openai.azure.com", True)


CHANGES_AN_ADDRESS = "#/\\?@:;%&=+,!*'\"()[]{}<>|^`~$ \t\r\n\0\x7f＃／？＠。．․"


def test_no_field_that_stands_in_an_address_can_change_what_it_means() -> None:
    """Portkey PR 1597, for every provider and form of the catalog: regions and projects are names as well."""
    tried = 0
    for provider in Catalog.load().providers:
        for form in provider.forms:
            addresses = [form.base_url or "", form.validation.path, form.token_url or "", *_exceptions(form)]
            for field in form.fields:
                if not any(f"{{{field.name}}}" in address for address in addresses):
                    continue
                assert field.pattern or field.choices, f"{provider.id}.{form.id}.{field.name}"
                good = field.example or (field.choices or ("x",))[0]
                for char in CHANGES_AN_ADDRESS:
                    for value in (f"evil.example{char}", f"{good}{char}", f"{char}{good}", f"{good}{char}{good}"):
                        assert not field.fits(value), f"{provider.id}.{form.id}.{field.name}: {value!r}"
                        tried += 1
                assert not any(field.fits(value) for value in ("", ".", "..", "../x", "evil.example"))
    assert tried > 0


def _exceptions(form: Any) -> list[str]:
    return [url for each in form.base_urls.values() for url in each.values()]


# ── Ways around a guard


IMAGES = ("http://127.0.0.1:{port}/a.png", "http://0.0.0.0:{port}/a.png", "http://localhost:{port}/a.png",
          "http://[::1]:{port}/a.png", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd")  # fmt: skip


async def test_what_a_message_links_to_is_not_fetched(world: World, canary: Canary) -> None:
    """new-api CVE-2025-59146: a user's URL in a request was fetched by the gateway, from inside its network.

    Root cause: the gateway fetches for the model. Here nothing in a message is looked at, let alone fetched.
    """
    for url in IMAGES:
        part = {"type": "image_url", "image_url": {"url": url.format(port=canary.port)}}
        content = [part, {"type": "file", "file": {"file_data": url.format(port=canary.port)}}]
        await world.post("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": content}]})
        source = {"type": "image", "source": {"type": "url", "url": url.format(port=canary.port)}}
        await world.post("/v1/messages", MESSAGES | {"messages": [{"role": "user", "content": [source]}]})
    assert canary.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_a_way_around_the_guard(world: World, canary: Canary, status: int) -> None:
    """new-api CVE-2025-62155: the first URL was checked, what it redirected to was not.

    Root cause: the client follows by itself. Here a redirect is an error of the provider, its target told to nobody.
    """
    answer = f"HTTP/1.1 {status} Found\r\nLocation: {{}}/stolen\r\nContent-Length: 0\r\n\r\n"
    async with listening() as there, listening(answer.format(there.origin).encode()) as here:
        origins = [*world.upstream._policy.allowed_origins, here.origin, there.origin]
        world.upstream._policy = UrlPolicy(origins)
        world.registry.own = [credential("openai", destination=f"{here.origin}/v1", custom_base_url=True)]
        response = await world.post("/v1/chat/completions", CHAT)
        assert (here.received.count(b"POST "), there.connections) == (1, 0)
    assert response.status_code == 502
    assert str(there.port) not in response.text + str(response.headers)


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "0x0", "00000000", "[::]", "0.0.0.0.", "[::0.0.0.0]"])
async def test_the_unspecified_address_is_loopback_too(
    api: Management, canary: Canary, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """new-api CVE-2026-42339: 0.0.0.0 was on no list, and Linux connects it to this host."""
    with pytest.raises(UnsafeBaseUrl):
        UrlPolicy().check(f"https://{host}/v1")
    body = {"provider": "OpenAI", "key": OPENAI_KEY, "base_url": f"https://{host}/v1"}
    assert (await api.refused("POST", "/api/byok", json=body))[0] == 400
    wire = tap(monkeypatch, lambda _: ["0.0.0.0"], divert_to=canary.port)
    upstream = Upstream(UrlPolicy())
    with pytest.raises(AddressRefused):
        await upstream.send(UpstreamRequest("GET", "https://llm.example/v1", {"api-key": KEY}))
    await upstream.close()
    assert wire.connected == []


async def test_a_name_that_cannot_be_resolved_is_not_called(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> None:
    """new-api CVE-2026-33655: where the check's own lookup failed, the request went on, and resolved anew.

    Root cause: two lookups. Here the lookup that is checked is the one that is connected to.
    """

    def failing(_: str) -> list[str]:
        raise OSError("Temporary failure in name resolution")

    upstream = Upstream(UrlPolicy())
    for resolve in (failing, lambda _: []):
        wire = tap(monkeypatch, resolve, divert_to=canary.port)
        with pytest.raises(UpstreamUnreachable):
            await upstream.send(UpstreamRequest("GET", "https://llm.example/v1", {"api-key": KEY}))
        assert (wire.asked, wire.connected) == (["llm.example"], [])
    await upstream.close()
