"""Names that change their mind: what was checked is what is connected to, each time anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.upstream import AddressRefused, Upstream, UpstreamRequest, UpstreamUnreachable, UrlPolicy
from ownkey.upstream import transport as upstream_transport
from ownkey.upstream.addresses import MAX_ADDRESSES, is_public
from tests.security.canary import KEY, tap

PUBLIC, OTHER = "93.184.215.14", "93.184.215.15"
NOBODY = 1
"""A port on loopback where nobody listens: connections end there, and their real address has been taken down."""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(UrlPolicy())
    yield upstream
    await upstream.close()


async def try_to_send(upstream: Upstream, url: str = "https://flip.example/v1") -> None:
    await upstream.send(UpstreamRequest("POST", url, {"Authorization": f"Bearer {KEY}"}, b"{}"))


def flipping(*answers: list[str]) -> Iterator[list[str]]:
    yield from answers
    raise AssertionError("asked once too often")


async def test_the_address_that_was_checked_is_the_one_connected_to(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is resolved once for a connection: between check and connect there is no second answer to be had."""
    answers = flipping([PUBLIC], ["127.0.0.1"])
    wire = tap(monkeypatch, lambda _: next(answers), divert_to=NOBODY)
    with pytest.raises(UpstreamUnreachable, match="could not be reached"):
        await try_to_send(upstream)
    assert (wire.asked, wire.connected) == (["flip.example"], [(PUBLIC, 443)])


async def test_a_remembered_answer_is_the_checked_one(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = flipping([PUBLIC, OTHER])
    wire = tap(monkeypatch, lambda _: next(answers), divert_to=NOBODY)
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable, match="could not be reached"):
            await try_to_send(upstream)
    assert wire.asked == ["flip.example"]
    assert set(wire.connected) == {(PUBLIC, 443), (OTHER, 443)}


@pytest.mark.parametrize("then", [["127.0.0.1"], [PUBLIC, "169.254.169.254"], []])
async def test_once_it_is_forgotten_the_next_answer_is_checked_as_well(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, then: list[str]
) -> None:
    monkeypatch.setattr(upstream_transport, "_DNS_S", 0)
    answers = flipping([PUBLIC], then)
    wire = tap(monkeypatch, lambda _: next(answers), divert_to=NOBODY)
    with pytest.raises(UpstreamUnreachable, match="could not be reached"):
        await try_to_send(upstream)
    with pytest.raises(AddressRefused):
        await try_to_send(upstream)
    assert wire.connected == [(PUBLIC, 443)]


async def test_a_refused_name_is_not_remembered_as_good(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = flipping(["127.0.0.1"], ["127.0.0.1"], [PUBLIC])
    wire = tap(monkeypatch, lambda _: next(answers), divert_to=NOBODY)
    for _ in range(2):
        with pytest.raises(AddressRefused):
            await try_to_send(upstream)
    with pytest.raises(UpstreamUnreachable, match="could not be reached"):
        await try_to_send(upstream)
    assert wire.connected == [(PUBLIC, 443)]


async def test_a_name_that_does_not_resolve_is_no_reason_to_skip_the_check(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unresolved(_: str) -> list[str]:
        raise OSError("Name or service not known")

    wire = tap(monkeypatch, unresolved, divert_to=NOBODY)
    with pytest.raises(UpstreamUnreachable):
        await try_to_send(upstream)
    assert wire.connected == []


async def test_many_addresses_are_all_checked_and_few_of_them_tried(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a name could have one request knock at a thousand doors."""
    wire = tap(monkeypatch, lambda _: [f"93.184.215.{n}" for n in range(1, 200)], divert_to=NOBODY)
    with pytest.raises(UpstreamUnreachable):
        await try_to_send(upstream)
    assert 1 <= len(set(wire.connected)) <= MAX_ADDRESSES


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_address_is_public_that_pythons_own_tables_say_is_not(address: IPv4Address | IPv6Address) -> None:
    """A second opinion, on any address."""
    if is_public(str(address)):
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_reserved, address.is_link_local))


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_ipv6_that_embeds_an_ipv4_address_is_public(embedded: int) -> None:
    """Whatever it embeds: who translates it decides where it leads."""
    prefixes = ["::ffff:0:0", "::", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::"]
    forms = [int(ip_address(prefix)) + embedded for prefix in prefixes]
    forms += [int(ip_address("2002::")) + (embedded << 80), int(ip_address("2001::")) + (embedded << 64)]
    forms += [int(ip_address("2001::")) + (embedded ^ 0xFFFF_FFFF)]
    assert not any(is_public(str(IPv6Address(form))) for form in forms)
