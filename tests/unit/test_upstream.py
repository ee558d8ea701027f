"""The guarded transport: where a key may not go, and what a provider's silence becomes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import (
    AddressRefused,
    Timeouts,
    Upstream,
    UpstreamBroken,
    UpstreamRequest,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
    UrlPolicy,
)
from ownkey.upstream.addresses import is_public

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://API.OpenAI.com:443/v1/", "https://api.openai.com/v1"),
        ("https://xn--bcher-kva.example/api", "https://xn--bcher-kva.example/api"),
        ("https://8.8.8.8/v1", "https://8.8.8.8/v1"),
        ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]/v1"),
        ("http://127.0.0.1:9000/openai/v1/", "http://127.0.0.1:9000/openai/v1"),
    ],
)
def test_base_urls_are_made_canonical(url: str, canonical: str) -> None:
    assert UrlPolicy(["http://127.0.0.1:9000"]).check(url) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "//api.openai.com",
        "http://api.openai.com/v1",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com:/v1",
        "https://api.openai.com:99999/v1",
        "https://user:pass@api.openai.com/v1",
        "https://api.openai.com@evil.example/v1",
        "https://my-resource#.evil.example/v1",
        "https://evil.example/#.openai.azure.com",
        "https://api.openai.com/v1?next=https://evil.example",
        "https://api.openai.com\\@evil.example/v1",
        "https://api.openai.com/v1/../../admin",
        "https://api.openai.com/%2e%2e/admin",
        "https://api.openai.com/v1//x",
        "https://api.openai.com /v1",
        "https://api.openai.com\r\nX-Evil: 1/v1",
        "https://localhost/v1",
        "https://foo.localhost/v1",
        "https://intranet/v1",
        "https://metadata.google.internal/v1",
        "https://printer.local/v1",
        "https://127.0.0.1/v1",
        "https://127.1/v1",
        "https://2130706433/v1",
        "https://0x7f000001/v1",
        "https://0x7f.1/v1",
        "https://0177.0.0.1/v1",
        "https://0.0.0.0/v1",
        "https://10.0.0.1/v1",
        "https://100.64.0.1/v1",
        "https://169.254.169.254/latest",
        "https://169.254.170.2/v2",
        "https://192.168.1.1/v1",
        "https://224.0.0.1/v1",
        "https://255.255.255.255/v1",
        "https://①②⑦.⓪.⓪.①/v1",
        "https://ｌocalhost/v1",
        "https://[::1]/v1",
        "https://[::]/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://[::127.0.0.1]/v1",
        "https://[64:ff9b::7f00:1]/v1",
        "https://[2002:7f00:1::]/v1",
        "https://[2001:0:7f00:1::]/v1",
        "https://[fe80::1%25eth0]/v1",
        "https://[fc00::1]/v1",
        "https://[fd00:ec2::254]/v1",
        "https://[ff02::1]/v1",
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "https://api.openai.com./v1",
        "https://-bad-.example/v1",
        "https://" + "a" * 3000 + ".example",
    ],
)
def test_base_urls_that_a_key_is_never_sent_to(url: str) -> None:
    with pytest.raises(UnsafeBaseUrl) as refused:
        UrlPolicy(["http://127.0.0.1:9000"]).check(url)
    assert refused.value.status == 400


@pytest.mark.parametrize("address", ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "64:ff9b::7f00:1",
        "::127.0.0.1",
        "2002:7f00:1::",
        "ff02::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "2606:4700::1111%eth0",
        "2001:db8::1",
        "x",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Starts raw TCP servers on loopback; gives their origins."""
    servers: list[asyncio.Server] = []

    async def start(handler: Handler) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Makes the system resolver answer with each list in turn (the last one for good); gives the names asked for."""
    asked: list[str] = []
    remaining = list(answers)

    async def getaddrinfo(self, host, port, **_: object):
        asked.append(host)
        found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in a], socket.SOCK_STREAM, 6, "", (a, port, 0, 0) if ":" in a else (a, port)) for a in found
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def send(upstream: Upstream, url: str, **timeouts: float) -> bytes:
    headers = {"Authorization": f"Bearer {CANARY}"}
    request = UpstreamRequest("POST", url, headers, b"{}", Timeouts(**timeouts))
    async with await upstream.send(request) as response:
        return await response.read(1_000_000)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(raw)
    await writer.drain()


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["169.254.169.254"]])
async def test_a_name_with_any_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve_to(monkeypatch, addresses)
    upstream = Upstream(UrlPolicy())
    with pytest.raises(AddressRefused):
        await send(upstream, "https://rebinding.example/v1/chat/completions")
    await upstream.close()


async def test_a_name_that_changes_its_address_is_checked_each_time_it_is_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 127.0.0.2 plays the public address, so that nothing leaves the machine.
    monkeypatch.setattr("ownkey.upstream.addresses.is_public", lambda address: address == "127.0.0.2")
    asked = resolve_to(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    upstream = Upstream(UrlPolicy())
    with pytest.raises(UpstreamUnreachable):
        await send(upstream, "https://flip.example/v1")
    await upstream.close()
    with pytest.raises(AddressRefused):
        await send(upstream, "https://flip.example/v1")
    assert asked == ["flip.example", "flip.example"]
    await upstream.close()


async def test_the_socket_itself_refuses_what_the_policy_would_have_missed(serve) -> None:
    origin = await serve(lambda r, w: answer(r, w, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    upstream = Upstream(UrlPolicy())
    upstream._policy.check = lambda url: url  # a hole in the policy
    with pytest.raises(UpstreamUnreachable):
        await send(upstream, f"{origin}/v1")
    await upstream.close()


async def test_redirects_are_not_followed(serve) -> None:
    followed = asyncio.Event()

    async def trap(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        followed.set()

    there = await serve(trap)
    raw = f"HTTP/1.1 302 Found\r\nLocation: {there}/steal\r\nContent-Length: 0\r\n\r\n".encode()
    origin = await serve(lambda r, w: answer(r, w, raw))
    upstream = Upstream(UrlPolicy([origin, there]))
    async with await upstream.send(UpstreamRequest("POST", f"{origin}/v1", {}, b"{}")) as response:
        assert response.status == 302
    assert not followed.is_set()
    await upstream.close()


async def test_a_proxy_of_the_environment_is_ignored(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = await serve(lambda r, w: answer(r, w, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream = Upstream(UrlPolicy([origin]))
    assert await send(upstream, f"{origin}/v1") == b"{}"
    await upstream.close()


async def test_connections_are_reused_and_renewed_after_a_pause(serve) -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n{}"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except asyncio.IncompleteReadError:
            return

    origin, now = await serve(quiet), 0.0
    upstream = Upstream(UrlPolicy([origin]), clock=lambda: now)
    for _ in range(3):
        assert await send(upstream, f"{origin}/v1") == b"{}"
    assert connections == 1
    now += 300
    assert await send(upstream, f"{origin}/v1") == b"{}"
    assert connections == 2
    await upstream.close()


async def test_a_pause_does_not_cut_an_answer_that_is_still_being_read(serve) -> None:
    more = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await more.wait()
        writer.write(b"cd")

    origin, now = await serve(handler), 0.0
    upstream = Upstream(UrlPolicy([origin]), clock=lambda: now)
    async with await upstream.send(UpstreamRequest("POST", f"{origin}/v1", {}, b"{}")) as slow:
        now += 300
        more.set()
        assert await send(upstream, f"{origin}/v1") == b"abcd"
        assert await slow.read(100) == b"abcd"
    await upstream.close()


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        (b"", UpstreamUnreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", UpstreamBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", UpstreamBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (UpstreamBroken, UpstreamUnreachable)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", UpstreamUnreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000, UpstreamTooLarge),
    ],
)
async def test_broken_answers_have_a_name_and_no_secret(serve, raw: bytes, failure) -> None:
    origin = await serve(lambda r, w: answer(r, w, raw))
    upstream = Upstream(UrlPolicy([origin]))
    with pytest.raises(failure) as failed:
        await send(upstream, f"{origin}/v1")
    e = failed.value
    assert CANARY not in repr(e)
    assert e.__cause__ is None
    assert e.__suppress_context__ or e.__context__ is None
    await upstream.close()


async def test_silence_is_a_timeout_before_and_within_the_answer(serve) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def halting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await reader.read()

    one, two = await serve(silent), await serve(halting)
    upstream = Upstream(UrlPolicy([one, two]))
    with pytest.raises(UpstreamTimeout, match="begin"):
        await send(upstream, f"{one}/v1", first_byte_s=0.05)
    with pytest.raises(UpstreamTimeout, match="middle"):
        await send(upstream, f"{two}/v1", idle_s=0.05)
    await upstream.close()


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{taken.getsockname()[1]}"
        upstream = Upstream(UrlPolicy([origin]))
        with pytest.raises(UpstreamUnreachable):
            await send(upstream, f"{origin}/v1")
        await upstream.close()


def test_requests_do_not_show_their_key() -> None:
    request = UpstreamRequest("POST", "https://x.example", {"Authorization": CANARY}, CANARY.encode())
    assert CANARY not in repr(request)
