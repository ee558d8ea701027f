"""The client of AWS's endpoints: kept connections and their deaths, silence, broken answers, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ownkey.wire import client as client_module
from ownkey.wire.client import Client, Origin, Patience
from ownkey.wire.http1 import NotHttp, request

REQUEST = request("POST", "/", {"host": "aws"}, b"{}")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER = Patience(connect_s=30, silence_s=30, whole_s=30)
Script = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Plays a script on each connection; knows how many there were."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.origin: Origin
        self._script = script

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            await self._script(self, reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


async def heard(reader: asyncio.StreamReader) -> None:
    """One whole request."""
    assert await reader.readexactly(len(REQUEST)) == REQUEST


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(script)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.origin = Origin.of(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield server
    finally:
        listening.close()
        for writer in server.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # the loop closes the sockets, TLS a turn later


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    await client.close()


async def steady(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await heard(reader)
        writer.write(OK)


async def test_one_connection_serves_one_request_after_the_other(client: Client) -> None:
    async with serving(steady) as server:
        answers = [await client.ask(server.origin, REQUEST, NEVER) for _ in range(3)]
    assert [answer.body for answer in answers] == [b"ok"] * 3
    assert server.connections == 1


async def test_requests_at_once_have_a_connection_each_and_leave_them_for_others(client: Client) -> None:
    async with serving(steady) as server:
        await asyncio.gather(*(client.ask(server.origin, REQUEST, NEVER) for _ in range(4)))
        await asyncio.gather(*(client.ask(server.origin, REQUEST, NEVER) for _ in range(4)))
    assert server.connections == 4


async def test_no_more_connections_are_open_than_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CONNECTIONS", 2)
    async with serving(steady) as server:
        limited = Client()
        await asyncio.gather(*(limited.ask(server.origin, REQUEST, NEVER) for _ in range(7)))
        await limited.close()
    assert server.connections == 2


async def test_a_kept_connection_that_the_server_closed_is_not_used(client: Client) -> None:
    closed = asyncio.Event()

    async def once(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with serving(once) as server:
        for _ in range(2):
            closed.clear()
            assert (await client.ask(server.origin, REQUEST, NEVER)).body == b"ok"
            await closed.wait()
            await asyncio.sleep(0.01)  # its end arrives
    assert server.connections == 2


async def test_a_server_that_says_close_is_taken_at_its_word(client: Client) -> None:
    async def closing(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await heard(reader)
            writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with serving(closing) as server:
        for _ in range(2):
            await client.ask(server.origin, REQUEST, NEVER)
    assert server.connections == 2


async def test_a_connection_that_lay_idle_for_long_is_not_used(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(client_module.time, "time", lambda: now_s)
    async with serving(steady) as server:
        await client.ask(server.origin, REQUEST, NEVER)
        now_s += 29
        await client.ask(server.origin, REQUEST, NEVER)
        assert server.connections == 1
        now_s += 31
        await client.ask(server.origin, REQUEST, NEVER)
        assert server.connections == 2


async def test_an_answer_in_many_pieces_is_one_answer(client: Client) -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"

    async def slowly(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await heard(reader)
            for at in range(len(whole)):
                writer.write(whole[at : at + 1])
                await asyncio.sleep(0)

    async with serving(slowly) as server:
        bodies = [(await client.ask(server.origin, REQUEST, NEVER)).body for _ in range(2)]
    assert bodies == [b"abcdefg"] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 200 OK\r\n", OK[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"]
)
async def test_an_answer_that_stops_is_an_error_and_the_next_request_works(client: Client, part: bytes) -> None:
    async def breaking(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(part if server.connections == 1 else OK)

    async with serving(breaking) as server:
        with pytest.raises(ConnectionError):
            await client.ask(server.origin, REQUEST, NEVER)
        assert (await client.ask(server.origin, REQUEST, NEVER)).body == b"ok"


async def test_what_is_no_http_is_an_error(client: Client) -> None:
    async def other(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await reader.read()

    async with serving(other) as server:
        with pytest.raises(ConnectionError):
            await client.ask(server.origin, REQUEST, NEVER)


async def test_a_request_that_nobody_answers_is_not_sent_twice(client: Client) -> None:
    """It may have been acted on: whether to repeat it is the caller's to know."""
    received: list[bytes] = []

    async def deaf(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readexactly(len(REQUEST)))

    async with serving(deaf) as server:
        with pytest.raises(ConnectionError):
            await client.ask(server.origin, REQUEST, NEVER)
    assert received == [REQUEST]


async def silent(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await heard(reader)
    if server.connections == 1:
        await reader.read()
    writer.write(OK)


async def test_silence_is_a_timeout_and_its_connection_is_not_used_again(client: Client) -> None:
    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await client.ask(server.origin, REQUEST, Patience(silence_s=0.02))
        assert (await client.ask(server.origin, REQUEST, NEVER)).body == b"ok"
    assert server.connections == 2


async def test_an_answer_that_trickles_on_and_on_is_a_timeout(client: Client) -> None:
    async def trickling(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"a: b\r\n")
            await asyncio.sleep(0.005)

    async with serving(trickling) as server:
        with pytest.raises(TimeoutError):
            await client.ask(server.origin, REQUEST, Patience(silence_s=5, whole_s=0.1))


async def test_an_answer_that_keeps_coming_outlasts_the_silence_it_may_keep(client: Client) -> None:
    async def pausing(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        for at in range(len(OK)):
            writer.write(OK[at : at + 1])
            await asyncio.sleep(0.03)

    async with serving(pausing) as server:
        answer = await client.ask(server.origin, REQUEST, Patience(silence_s=1, whole_s=30))
    assert answer.body == b"ok"


async def test_whoever_stops_waiting_leaves_no_answer_for_the_next(client: Client) -> None:
    async with serving(silent) as server:
        asking = asyncio.create_task(client.ask(server.origin, REQUEST, NEVER))
        while not server.connections:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await client.ask(server.origin, REQUEST, NEVER)).body == b"ok"
    assert server.connections == 2


async def test_an_answer_before_any_question_is_nobodys(client: Client) -> None:
    async def eager(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(OK)
        if server.connections == 1:
            await asyncio.sleep(0.01)
            writer.write(OK.replace(b"ok", b"no"))
        await reader.read()

    async with serving(eager) as server:
        await client.ask(server.origin, REQUEST, NEVER)
        await asyncio.sleep(0.05)
        assert (await client.ask(server.origin, REQUEST, NEVER)).body == b"ok"
    assert server.connections == 2


async def test_nobody_listens(client: Client) -> None:
    async with serving(steady) as server:
        pass
    with pytest.raises(OSError):
        await client.ask(server.origin, REQUEST, NEVER)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "authority", "prefix"),
    [
        ("https://kms.eu-west-1.amazonaws.com", "kms.eu-west-1.amazonaws.com", 443, True, None, ""),
        ("https://a.example:443/", "a.example", 443, True, "a.example", ""),
        ("http://127.0.0.1:4566/aws/", "127.0.0.1", 4566, False, "127.0.0.1:4566", "/aws"),
        ("http://[::1]:4566", "::1", 4566, False, "[::1]:4566", ""),
        ("http://LOCALHOST", "localhost", 80, False, "localhost", ""),
    ],
)
def test_an_endpoint_is_read_as_awss_sdks_read_it(url, host, port, tls, authority, prefix) -> None:
    assert Origin.of(url) == Origin(host, port, tls, authority or host, prefix)


@pytest.mark.parametrize("url", ["", "localhost:4566", "ftp://a.example", "https://"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Origin.of(url)


# ── TLS


class Authority:
    """A certificate authority, which the client's OpenSSL is told to believe by the standard variable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = folder / "root.pem"
        self.root.write_bytes(self._certificate("root", self._key, authority=True).public_bytes(Encoding.PEM))

    def server(self, name: x509.GeneralName, days: int = 1) -> ssl.SSLContext:
        """A server's side, with a certificate for the name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate("server", key, name=name, days=days)
        path = self._folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        *,
        name: x509.GeneralName | None = None,
        days: int = 1,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        named = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in ("root", subject)]
        builder = (
            x509.CertificateBuilder(*named, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            usage = {"key_cert_sign": True, "crl_sign": True}
            others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
            others += ("key_agreement", "encipher_only", "decipher_only")
            builder = builder.add_extension(x509.KeyUsage(**usage, **dict.fromkeys(others, False)), critical=True)
        if name is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


HERE = x509.DNSName("localhost")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Authority]:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    client_module.tls_context.cache_clear()
    yield authority
    client_module.tls_context.cache_clear()


async def over_tls(client: Client, context: ssl.SSLContext) -> bytes:
    async with serving(steady, context) as server:
        port = server.origin.port
        bodies = {(await client.ask(Origin.of(f"https://localhost:{port}"), REQUEST, NEVER)).body for _ in range(2)}
        await client.close()
        assert server.connections == 1
    return bodies.pop()


async def test_a_certificate_for_the_host_is_believed(client: Client, authority: Authority) -> None:
    assert await over_tls(client, authority.server(HERE)) == b"ok"


async def test_another_hosts_certificate_is_refused(client: Client, authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await over_tls(client, authority.server(x509.DNSName("dynamodb.us-east-1.amazonaws.com")))


async def test_an_expired_certificate_is_refused(client: Client, authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await over_tls(client, authority.server(HERE, days=-1))


async def test_an_unknown_authoritys_certificate_is_refused(
    client: Client, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(ssl.SSLCertVerificationError):
        await over_tls(client, Authority(tmp_path / "other").server(HERE))


async def test_a_server_without_tls_is_not_spoken_to(client: Client, authority: Authority) -> None:
    async with serving(steady) as server:
        with pytest.raises(OSError):
            await client.ask(Origin.of(f"https://localhost:{server.origin.port}"), REQUEST, NEVER)


def test_a_broken_answer_is_a_broken_connection_to_whoever_tries_again() -> None:
    assert issubclass(NotHttp, OSError)
