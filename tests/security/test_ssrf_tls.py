"""TLS stays on the name that was asked for: no certificate of another lets a key through, whatever DNS says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ownkey.upstream import Upstream, UpstreamRequest, UpstreamUnreachable, UrlPolicy, dialing
from tests.security.canary import KEY, NOTHING, Wire, tap

PUBLIC = "93.184.215.14"
NOW = datetime.now(UTC)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    """As strict verification wants it: with the identifiers of both keys."""
    return (
        x509.CertificateBuilder(_name("Test CA"), _name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


_SIGNS = x509.KeyUsage(
    **dict.fromkeys(
        [
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ],
        False,
    ),
    key_cert_sign=True,
)


@dataclass
class Authority:
    """A certificate authority that the transport trusts, as it does the public ones."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def root(self) -> str:
        """Its own certificate, PEM."""
        builder = _certificate("Test CA", self.key, self.key, 30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = builder.add_extension(_SIGNS, critical=True).sign(self.key, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode()

    def server(self, *names: str, days: int = 30, signed_by: Authority | None = None) -> ssl.SSLContext:
        """A server's side, with a certificate for these names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        signer = (signed_by or self).key
        builder = _certificate(names[0], key, signer, days).add_extension(alternatives, critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        path = self.folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _alternative(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path)
    # The transport's verifying context is made once, at import; the same, with one more authority.
    trusting = ssl.create_default_context()
    trusting.load_verify_locations(cadata=authority.root())
    monkeypatch.setattr(dialing, "tls_context", lambda: trusting)
    return authority


@dataclass
class Tls:
    """A TLS server where `PUBLIC` is, and a way to send it a key."""

    wire: Wire
    received: list[bytes]

    async def send(self, url: str) -> int:
        """The answer's status."""
        upstream = Upstream(UrlPolicy())
        try:
            request = UpstreamRequest("POST", url, {"Authorization": f"Bearer {KEY}"}, b"{}")
            async with await upstream.send(request) as response:
                await response.read(100)
                return response.status
        finally:
            await upstream.close()
            await asyncio.sleep(0.01)  # the loop closes what TLS has left open


@pytest.fixture
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable]:
    servers: list[asyncio.Server] = []

    async def start(context: ssl.SSLContext | None) -> Tls:
        received: list[bytes] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.read(65_536))
            writer.write(NOTHING)
            writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context))
        port = servers[-1].sockets[0].getsockname()[1]
        return Tls(tap(monkeypatch, lambda _: [PUBLIC], divert_to=port), received)

    yield start
    for server in servers:
        server.close()


async def test_a_certificate_for_the_name_is_believed(authority: Authority, serving: Callable) -> None:
    tls = await serving(authority.server("llm.example"))
    assert await tls.send("https://llm.example/v1") == 200
    assert tls.wire.connected == [(PUBLIC, 443)]
    assert KEY.encode() in tls.received[0]
    assert b"Host: llm.example\r\n" in tls.received[0]


@pytest.mark.parametrize(
    "names",
    [("other.example",), (PUBLIC,), ("example",), ("*.llm.example",), ("llm.example.evil.test",), ("xllm.example",)],
)
async def test_one_for_another_name_or_for_the_address_is_not(
    authority: Authority, serving: Callable, names: tuple[str, ...]
) -> None:
    tls = await serving(authority.server(*names))
    with pytest.raises(UpstreamUnreachable):
        await tls.send("https://llm.example/v1")
    assert KEY.encode() not in b"".join(tls.received)


async def test_an_address_needs_a_certificate_for_the_address(authority: Authority, serving: Callable) -> None:
    tls = await serving(authority.server("llm.example"))
    with pytest.raises(UpstreamUnreachable):
        await tls.send(f"https://{PUBLIC}/v1")
    assert KEY.encode() not in b"".join(tls.received)


async def test_with_one_it_is_believed(authority: Authority, serving: Callable) -> None:
    tls = await serving(authority.server(PUBLIC))
    assert await tls.send(f"https://{PUBLIC}/v1") == 200


async def test_an_expired_one_is_not_believed(authority: Authority, serving: Callable) -> None:
    tls = await serving(authority.server("llm.example", days=-1))
    with pytest.raises(UpstreamUnreachable):
        await tls.send("https://llm.example/v1")
    assert KEY.encode() not in b"".join(tls.received)


async def test_one_of_an_authority_that_nobody_knows_is_not_believed(authority: Authority, serving: Callable) -> None:
    tls = await serving(authority.server("llm.example", signed_by=Authority(authority.folder)))
    with pytest.raises(UpstreamUnreachable):
        await tls.send("https://llm.example/v1")
    assert KEY.encode() not in b"".join(tls.received)


async def test_a_server_without_tls_gets_no_key(authority: Authority, serving: Callable) -> None:
    tls = await serving(None)
    with pytest.raises(UpstreamUnreachable):
        await tls.send("https://llm.example/v1")
    assert KEY.encode() not in b"".join(tls.received)


async def test_over_tls_too_a_large_body_comes_whole_and_its_connection_serves_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, parts, connections = b"0123456789abcdef" * 2_000, 100, 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n{}"):
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(parts):
                    writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
        except EOFError:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=authority.server("llm.example"))
    tap(monkeypatch, lambda _: [PUBLIC], divert_to=server.sockets[0].getsockname()[1])
    upstream = Upstream(UrlPolicy())
    for _ in range(2):
        async with await upstream.send(UpstreamRequest("POST", "https://llm.example/v1", {}, b"{}")) as response:
            body = bytearray()
            while piece := await response.next():
                body += piece
                await asyncio.sleep(0)
        assert body == part * parts
    await upstream.close()
    server.close()
    await asyncio.sleep(0.02)
    assert connections == 1
