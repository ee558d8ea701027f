"""What a scope's parts are: patterns of models, networks, origins; how they are written, what they admit."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ownkey.domain.scopes import admits_address, admits_model, model_names, model_pattern, network, origin

OPENAI = ("openai", "OpenAI")


class TestModels:
    @pytest.mark.parametrize(
        ("pattern", "asked", "admitted"),
        [
            ("gpt-4o-mini", "gpt-4o-mini", True),
            ("gpt-4o-mini", "openai/gpt-4o-mini", True),
            ("openai/gpt-4o-mini", "gpt-4o-mini", True),
            ("OpenAI/gpt-4o-mini", "gpt-4o-mini", True),
            ("GPT-4o-mini", "gpt-4o-mini", True),
            ("gpt-4o*", "gpt-4o-mini", True),
            ("openai/*", "gpt-4o-mini", True),
            ("gpt-4o", "gpt-4o-mini", False),
            ("gpt-4o-mini", "gpt-4o", False),
            ("anthropic/*", "gpt-4o-mini", False),
            ("azure/gpt-4o-mini", "gpt-4o-mini", False),
            ("4o-mini*", "gpt-4o-mini", False),
        ],
    )
    def test_a_pattern_fits_any_of_a_models_names(self, pattern: str, asked: str, admitted: bool) -> None:
        names = {asked} | model_names(OPENAI, asked.removeprefix("openai/"))
        assert admits_model([model_pattern(pattern)], names) is admitted

    @pytest.mark.parametrize("text", ["*", "gpt-*-mini", "*gpt", "gpt-**"])
    def test_a_star_stands_at_the_end_behind_something(self, text: str) -> None:
        with pytest.raises(ValueError):
            model_pattern(text)


class TestAddresses:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("::ffff:cb00:7107", "203.0.113.7"),
        ],
    )
    def test_each_has_one_form(self, written: str, kept: str) -> None:
        assert network(written) == kept
        assert network(kept) == kept

    @pytest.mark.parametrize(
        "text",
        [
            *("", "everybody", "203.0.113", "203.0.113.7/33", "203.0.113.7/24", "010.0.0.1", "2130706433"),
            *(
                "203.0.113.0/255.255.255.0",
                "203.0.113.0/",
                "203.0.113.0/٢٤",
                "fe80::1%eth0",
                "[2001:db8::1]",
                "::1/129",
            ),
        ],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            network(text)

    @pytest.mark.parametrize(
        ("networks", "caller", "admitted"),
        [
            (("203.0.113.0/24",), "203.0.113.200", True),
            (("203.0.113.0/24",), "203.0.114.1", False),
            (("203.0.113.0/24",), "::ffff:203.0.113.200", True),
            (("203.0.113.7", "2001:db8::/32"), "2001:db8:1::9", True),
            (("::/0",), "203.0.113.7", False),
            (("0.0.0.0/0",), "2001:db8::1", False),
            (("0.0.0.0/0",), None, False),
            (("0.0.0.0/0", "::/0"), "", False),
            (("203.0.113.0/24",), "203.0.113.7, 198.51.100.1", False),
        ],
    )
    def test_a_caller_stands_in_one_of_them_or_is_not_admitted(
        self, networks: tuple[str, ...], caller: str | None, admitted: bool
    ) -> None:
        assert admits_address(networks, caller) is admitted

    @given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
    def test_mapped_or_not_is_the_same(self, base: IPv4Address, bits: int, caller: IPv4Address) -> None:
        plain = ip_network((base, bits), strict=False)
        kept = (network(f"::ffff:{plain.network_address}/{96 + bits}"),)
        assert admits_address(kept, str(caller)) is admits_address(kept, f"::ffff:{caller}") is (caller in plain)

    @given(st.ip_addresses(v=6), st.integers(1, 128), st.ip_addresses(v=6))
    def test_networks_are_those_of_the_standard_library(
        self, base: IPv6Address, bits: int, caller: IPv6Address
    ) -> None:
        plain = ip_network((base, bits), strict=False)
        if plain.network_address.ipv4_mapped is None and caller.ipv4_mapped is None:
            assert admits_address((network(str(plain)),), str(caller)) is (caller in plain)


class TestOrigins:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("https://app.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("HTTPS://App.Example:443", "https://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ],
    )
    def test_each_is_kept_as_a_browser_writes_it(self, written: str, kept: str) -> None:
        assert origin(written) == kept
        assert origin(kept) == kept

    @pytest.mark.parametrize(
        "text",
        [
            *("", "null", "*", "app.example", "//app.example", "https://", "https://*.app.example", "file:///x"),
            *("https://app.example/path", "https://app.example?q", "https://app.example?", "https://app.example#"),
            *("https://user@app.example", "https://app.example:", "https://app.example:99999", "https://app example"),
            *("https://app.example\n.evil.example", "javascript:alert(1)", "https://app.example,https://b.example"),
        ],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            origin(text)
