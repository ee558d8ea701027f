"""The door of use: `Upstream.send` for every hostile URL and name. No connection is made, and no key leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import AddressRefused, Upstream, UpstreamFailure, UpstreamRequest, UrlPolicy
from ownkey.upstream import addresses as upstream_addresses
from tests.security.canary import KEY, Canary, listening, tap
from tests.security.hostile import ANSWERS, COUNT, URLS


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with listening() as canary:
        yield canary


def request(url: str) -> UpstreamRequest:
    headers = {"Authorization": f"Bearer {KEY}", "x-api-key": KEY}
    return UpstreamRequest("POST", url, headers, b'{"model": "gpt-4o"}')


async def sent(upstream: Upstream, url: str) -> int:
    """The answer's status."""
    async with await upstream.send(request(url)) as response:
        await response.read(100_000)
        return response.status


def test_there_are_at_least_two_hundred_different_cases() -> None:
    assert COUNT >= 200
    assert len(set(URLS.values())) == len(URLS)
    assert len(set(ANSWERS.values())) == len(ANSWERS)


@pytest.mark.parametrize("case", URLS)
async def test_a_hostile_url_is_refused_before_any_name_is_asked_for(
    case: str, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = tap(monkeypatch, lambda _: ["127.0.0.1"])
    upstream = Upstream(UrlPolicy())
    with pytest.raises(UnsafeBaseUrl) as refused:
        await sent(upstream, URLS[case].replace("{port}", str(canary.port)))
    await upstream.close()
    assert refused.value.status == 400
    assert (wire.asked, wire.connected, canary.connections, canary.saw_the_key) == ([], [], 0, False)


@pytest.mark.parametrize("case", ANSWERS)
async def test_a_name_that_resolves_inside_is_refused_before_a_connection(
    case: str, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ANSWERS[case]
    wire = tap(monkeypatch, lambda _: list(answer.addresses))
    upstream = Upstream(UrlPolicy())
    with pytest.raises(AddressRefused):
        await sent(upstream, f"https://{answer.host}/v1/chat/completions")
    await upstream.close()
    assert (wire.asked, wire.connected, canary.connections) == ([answer.host], [], 0)


@pytest.mark.parametrize("case", [case for case in ANSWERS if len(ANSWERS[case].addresses) == 1])
async def test_the_socket_refuses_the_same_addresses_by_itself(
    case: str, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the resolver's check to fail, the waist below it still holds."""
    wire = tap(monkeypatch, lambda _: list(ANSWERS[case].addresses), divert_to=canary.port)
    monkeypatch.setattr(upstream_addresses.AddressGuard, "admit", lambda *_: None)
    upstream = Upstream(UrlPolicy())
    with pytest.raises(UpstreamFailure):
        await sent(upstream, f"https://{ANSWERS[case].host}/v1")
    await upstream.close()
    assert (wire.connected, canary.connections) == ([], 0)


async def test_without_the_guard_the_cases_do_reach_the_canary(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above prove is the guard's doing: the same transport without it connects, and brings the key.

    Without TLS, which the canary does not speak.
    """
    wire = tap(monkeypatch, lambda _: ["127.0.0.1"], divert_to=canary.port)
    monkeypatch.setattr(UrlPolicy, "request_url", lambda _, url: url)
    monkeypatch.setattr(upstream_addresses.AddressGuard, "admit", lambda *_: None)
    monkeypatch.setattr(upstream_addresses.AddressGuard, "socket", _any_socket)
    reached = 0
    for url in filter(str.isprintable, URLS.values()):  # the ssl module chokes on a NUL
        before, upstream = len(wire.connected), Upstream(UrlPolicy())
        # Whatever a client without a guard makes of it: it may fail, as long as it has connected.
        with suppress(UnsafeBaseUrl, UpstreamFailure, ValueError):
            await sent(upstream, url.replace("{port}", str(canary.port)).replace("https:", "http:"))
        await upstream.close()
        reached += len(wire.connected) > before
    assert reached > 200
    assert canary.saw_the_key


def _any_socket(_guard: Any, addr_info: tuple[Any, ...]) -> Any:
    return upstream_addresses.socket.socket(*addr_info[:3])
