"""What a server can answer to lead a key elsewhere, and what an environment can say: neither moves anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import Upstream, UpstreamRequest, UrlPolicy
from tests.security.canary import KEY, NOTHING, Canary, listening

BODY = b'{"model": "gpt-4o"}'


@pytest.fixture
async def servers() -> AsyncIterator[tuple[Canary, Canary]]:
    """The provider, and where it would lead; both may be called."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(listening()), await stack.enter_async_context(listening())


@pytest.fixture
async def upstream(servers: tuple[Canary, Canary]) -> AsyncIterator[Upstream]:
    upstream = Upstream(UrlPolicy([each.origin for each in servers]))
    yield upstream
    await upstream.close()


async def sent(upstream: Upstream, url: str, **headers: str) -> int:
    """The answer's status."""
    request = UpstreamRequest("POST", url, {"Authorization": f"Bearer {KEY}", "x-api-key": KEY} | headers, BODY)
    async with await upstream.send(request) as response:
        await response.read(100_000)
        return response.status


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]).encode()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "{there}/steal",
        "//127.0.0.1:{port}/steal",
        "https://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "/elsewhere/on/the/same/host",
        "?only=a-query",
        "http://user:pass@127.0.0.1:{port}/",
        "file:///proc/self/environ",
        "",
    ],
)
async def test_a_redirect_is_an_answer_and_not_followed(
    servers: tuple[Canary, Canary], upstream: Upstream, status: int, location: str
) -> None:
    here, there = servers
    where = location.format(there=there.origin, port=there.port)
    here.answer = answer(f"{status} -", f"Location: {where}", f"Refresh: 0; url={where}", f"Content-Location: {where}")
    assert await sent(upstream, f"{here.origin}/v1") == status
    assert here.received.count(b"POST ") == 1
    assert there.connections == 0


@pytest.mark.parametrize(
    "raw",
    [
        answer("401 -", 'WWW-Authenticate: Basic realm="x"'),
        answer("401 -", 'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"'),
        answer("407 -", 'Proxy-Authenticate: Basic realm="x"'),
        answer("421 -"),
        answer("425 -", "Retry-After: 0"),
        answer("503 -", "Retry-After: 0"),
        answer("101 -", "Upgrade: websocket", "Connection: Upgrade"),
    ],
)
async def test_nothing_that_a_server_asks_for_has_the_key_sent_again(
    servers: tuple[Canary, Canary], upstream: Upstream, raw: bytes
) -> None:
    here, _ = servers
    here.answer = raw
    await sent(upstream, f"{here.origin}/v1")
    assert here.received.count(b"POST ") == 1


async def test_what_a_server_says_of_itself_changes_nothing_for_the_next_request(
    servers: tuple[Canary, Canary], upstream: Upstream
) -> None:
    here, there = servers
    here.answer = answer(
        "200 -",
        f'Alt-Svc: http/1.1="127.0.0.1:{there.port}"; ma=86400',
        "Strict-Transport-Security: max-age=1",
        "Set-Cookie: session=1; Path=/",
        f"Link: <{there.origin}>; rel=preconnect",
    )
    for _ in range(2):
        assert await sent(upstream, f"{here.origin}/v1") == 200
    assert here.received.count(b"POST ") == 2
    assert b"ookie" not in here.received
    assert there.connections == 0


async def test_hints_before_the_answer_are_not_followed(servers: tuple[Canary, Canary], upstream: Upstream) -> None:
    here, there = servers
    hint = f"HTTP/1.1 103 Early Hints\r\nLink: <{there.origin}>; rel=preload\r\nLocation: {there.origin}\r\n\r\n"
    here.answer = hint.encode() + NOTHING
    assert await sent(upstream, f"{here.origin}/v1") == 200
    assert there.connections == 0


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_is_not_asked(
    servers: tuple[Canary, Canary], upstream: Upstream, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here, proxy = servers
    monkeypatch.setenv(name, proxy.origin)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert await sent(upstream, f"{here.origin}/v1") == 200
    assert (here.connections, proxy.connections) == (1, 0)


async def test_a_netrc_of_the_environment_is_not_read(
    servers: tuple[Canary, Canary], upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, _ = servers
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with await upstream.send(UpstreamRequest("POST", f"{here.origin}/v1", {}, BODY)) as response:
        await response.read(100)
    assert b"uthorization" not in here.received


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
async def test_a_host_header_of_its_own_would_name_another_host_than_was_checked(
    servers: tuple[Canary, Canary], upstream: Upstream, name: str
) -> None:
    here, _ = servers
    with pytest.raises(UnsafeBaseUrl):
        await sent(upstream, f"{here.origin}/v1", **{name: "169.254.169.254"})
    assert here.connections == 0


@pytest.mark.parametrize("query", ["a b", "a\r\nX: 1", "a#b", "%zz", "ä", "a\\b", 'a"b', "a\x00b"])
async def test_a_query_has_only_what_a_query_needs(
    servers: tuple[Canary, Canary], upstream: Upstream, query: str
) -> None:
    here, _ = servers
    with pytest.raises(UnsafeBaseUrl):
        await sent(upstream, f"{here.origin}/v1?{query}")
    assert here.connections == 0
    assert await sent(upstream, f"{here.origin}/v1/x/?api-version=2024-10-21&a=%2Fb") == 200
    assert here.received.startswith(b"POST /v1/x/?api-version=2024-10-21&a=%2Fb HTTP/1.1\r\n")


async def test_an_allowed_origin_allows_nothing_besides(servers: tuple[Canary, Canary]) -> None:
    """Not another port, scheme, name or spelling of it."""
    here, there = servers
    upstream = Upstream(UrlPolicy([here.origin]))
    for url in (
        f"{there.origin}/v1",
        f"http://localhost:{here.port}/v1",
        f"http://127.1:{here.port}/v1",
        f"https://127.0.0.1:{here.port}/v1",
        f"http://127.0.0.1:{here.port}0/v1",
        f"http://127.0.0.1:{here.port}@127.0.0.1:{there.port}/v1",
        f"http://127.0.0.1:{here.port}.llm.example/v1",
        f"http://127.0.0.1:{here.port}#@127.0.0.1:{there.port}/v1",
        "http://127.0.0.1/v1",
    ):
        with pytest.raises(UnsafeBaseUrl):
            await sent(upstream, url)
    assert await sent(upstream, f"{here.origin}/v1") == 200
    await upstream.close()
    assert (here.connections, there.connections) == (1, 0)
