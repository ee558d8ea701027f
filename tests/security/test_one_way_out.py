"""No HTTP client in the tree but the guarded transport: read from the sources' syntax, with every import resolved.

An exemption names what a module may use, and why. One that is no longer needed fails too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))

CLIENTS = {
    *("asyncio.open_connection", "asyncio.open_unix_connection", "asyncio.streams", "asyncio.subprocess"),
    *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
    *("botocore.session", "botocore.client", "botocore.httpsession", "botocore.endpoint", "botocore.vendored"),
    *("http.client", "jwt.PyJWKClient", "jwt.jwks_client", "urllib.request", "ssl.get_server_certificate"),
    *("socket.socket", "socket.SocketType", "socket.create_connection", "socket.fromfd", "_socket"),
    *("os.system", "os.popen", "os.execv", "os.execve", "os.execvp", "os.posix_spawn", "os.spawnv", "pty"),
    *("aiobotocore", "aioboto3", "aiodns", "aiohappyeyeballs", "aiohttp", "boto3", "curl_cffi", "dns", "ftplib"),
    *(
        "grpc",
        "h11",
        "h2",
        "httpcore",
        "httplib2",
        "httpx",
        "httpx2",
        "imaplib",
        "multiprocessing",
        "niquests",
        "paramiko",
        "poplib",
    ),
    *("pycurl", "requests", "s3transfer", "smtplib", "subprocess", "telnetlib", "tornado", "twisted", "urllib3"),
    *("stripe", "uvloop", "websocket", "websockets", "xmlrpc"),
}
"""What connects, or starts something that may: a module, or a name in one, with all that is below it."""
METHODS = {
    *("create_client", "create_connection", "create_datagram_endpoint", "create_unix_connection", "sock_connect"),
    *("subprocess_exec", "subprocess_shell", "connect_ex", "urlopen"),
}
"""Methods that connect, whatever they are called on: `loop.create_connection`."""
HIDING = {"__import__", "eval", "exec", "importlib", "runpy", "ctypes", "builtins"}
"""What could hide any of it."""

EXEMPT: dict[str, dict[str, str]] = {
    "shared/ownkey/wire/reaching.py": {
        "*.sock_connect": "sockets that the caller makes: the guard's, to addresses that it has admitted, and AWS's",
        "*.create_connection": "a protocol over such a socket",
        "socket.socket": "the type of what the caller makes",
    },
    "shared/ownkey/upstream/addresses.py": {
        "socket.socket": "the one place where sockets to providers are made, after the check",
    },
    "shared/ownkey/wire/client.py": {
        "socket.socket": "AWS's endpoints: the region's, or those of AWS's own environment variables",
    },
    "shared/ownkey/store/aws.py": {
        "botocore.session": "finds the function's own credentials",
    },
    "shared/ownkey/payments/stripe.py": {
        "stripe": "checks signatures with it; the test below holds it to that",
    },
    "shared/ownkey/runtime/http1.py": {
        "asyncio.open_connection": "the Runtime API, at the address that Lambda puts into the environment",
    },
    "shared/ownkey/providers/selection.py": {
        "importlib": "loads translators by the paths that stand in it, all below `ownkey.providers`",
    },
    "shared/ownkey/runtime/bootstrap.py": {
        "importlib": "loads the handler that Lambda's environment names",
    },
}


def bindings(tree: ast.AST) -> dict[str, str]:
    """What the imports bind: local name → full name."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                root = each.name.partition(".")[0]
                bound[each.asname or root] = each.name if each.asname else root
        elif isinstance(node, ast.ImportFrom):
            bound |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return bound


def mentioned(tree: ast.AST) -> Iterator[str]:
    """The full name of everything imported, used, or asked for by `getattr`; `*.name` for an attribute of a value."""
    bound = bindings(tree)

    def named(node: ast.AST) -> str:
        match node:
            case ast.Name(id=name):
                return bound.get(name, name)
            case ast.Attribute(value=value, attr=attr):
                return f"{named(value)}.{attr}"
            case ast.Call(func=ast.Name(id="getattr"), args=[of, ast.Constant(value=str(attr)), *_]):
                return f"{named(of)}.{attr}"
            case ast.Call(func=ast.Name(id="getattr"), args=[of, *_]) if named(of) in bound.values():
                return "builtins.getattr"  # of a module, by a name that only shows when it runs
        return "*"

    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                yield from (each.name for each in imported)
            case ast.ImportFrom(module=module, names=imported):
                yield from (f"{module}.{each.name}" for each in imported)
            case ast.Name() | ast.Attribute() | ast.Call():
                yield named(node)


def ways_out(source: str) -> set[str]:
    """What a source uses to get out, by its entry above."""
    found = set()
    for name in mentioned(ast.parse(source)):
        parts = name.split(".")
        heads = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
        found |= heads & CLIENTS
        found |= {parts[0]} & HIDING
        if len(parts) > 1 and parts[-1] in METHODS and not heads & CLIENTS:
            found.add(f"*.{parts[-1]}")
        if parts[-1] == "*" and len(parts) > 1 and parts[0] != "ownkey":
            found.add("import *")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_gets_out_but_through_the_guarded_transport(path: Path) -> None:
    exempt = EXEMPT.get(str(path.relative_to(ROOT)), {})
    assert ways_out(path.read_text()) == exempt.keys()


def test_of_stripes_library_the_check_of_signatures_alone_is_used() -> None:
    tree = ast.parse((ROOT / "shared/ownkey/payments/stripe.py").read_text())
    assert {name for name in mentioned(tree) if name.startswith("stripe.")} == {
        "stripe.SignatureVerificationError",
        "stripe.WebhookSignature",
        "stripe.WebhookSignature.verify_header",
    }


def test_every_exempt_module_is_there() -> None:
    assert EXEMPT.keys() <= {str(path.relative_to(ROOT)) for path in SOURCES}


TRUSTING = {
    "shared/ownkey/store/aws.py": "AWS's endpoints",
    "shared/ownkey/http/sessions.py": "the user pool's public keys, at the address in the function's settings",
}
"""Who may use the client that asks nobody whether an address is allowed, and for which addresses."""


def test_the_unguarded_client_is_used_for_addresses_of_the_deployment_alone() -> None:
    using = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if "ownkey.wire.client.Client" in set(mentioned(ast.parse(path.read_text())))
    }
    assert using == TRUSTING.keys()


UNVERIFIED = {"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context", "_create_stdlib_context", "Fingerprint"}


def test_nobody_turns_the_verification_of_certificates_off() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(attr=name) | ast.Name(id=name) if name in UNVERIFIED:
                    found.append(f"{path.name}:{node.lineno}")
                case ast.keyword(
                    arg="ssl" | "verify" | "verify_ssl" | "check_hostname", value=ast.Constant(value=False)
                ):
                    found.append(f"{path.name}:{node.value.lineno}")
                case ast.Assign(targets=[ast.Attribute(attr="check_hostname" | "verify_mode")]):
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("import aiohttp\naiohttp.ClientSession()", "aiohttp"),
        ("import aiohttp as a\nasync def f():\n    async with a.ClientSession() as s: ...", "aiohttp"),
        ("from aiohttp import ClientSession as Pool\nPool()", "aiohttp"),
        ("import jwt\ngetattr(jwt, 'PyJWKClient')('https://x.example')", "jwt.PyJWKClient"),
        ("import socket\ngetattr(socket, 'create_' + 'connection')", "builtins"),
        ("import httpx", "httpx"),
        ("def f():\n    from httpx import AsyncClient", "httpx"),
        ("import requests as r\nr.get('https://x.example')", "requests"),
        ("import urllib.request", "urllib.request"),
        ("from urllib.request import urlopen as read", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("import urllib\nurllib.request.urlopen('x')", "urllib.request"),
        ("import http.client", "http.client"),
        ("from http import client", "http.client"),
        ("import urllib3", "urllib3"),
        ("import socket\nsocket.create_connection(('x', 443))", "socket.create_connection"),
        ("from socket import socket as s\ns()", "socket.socket"),
        ("import asyncio\nasyncio.open_connection('x', 443)", "asyncio.open_connection"),
        ("from asyncio import open_connection", "asyncio.open_connection"),
        ("import asyncio\nasyncio.get_running_loop().create_connection(None, 'x', 443)", "*.create_connection"),
        ("async def f(self):\n    await self._loop.sock_connect(s, a)", "*.sock_connect"),
        ("import boto3\nboto3.client('sts')", "boto3"),
        ("from botocore.session import Session\nSession().create_client('sts')", "botocore.session"),
        ("def f(session):\n    session.create_client('sts')", "*.create_client"),
        ("import jwt\njwt.PyJWKClient('https://x.example')", "jwt.PyJWKClient"),
        ("import subprocess\nsubprocess.run(['curl', 'x'])", "subprocess"),
        ("import os\nos.system('curl x')", "os.system"),
        ("import importlib\nimportlib.import_module('http' + 'x')", "importlib"),
        ("__import__('http' + 'x')", "__import__"),
        ("exec('import httpx')", "exec"),
        ("from httpx import *", "httpx"),
        ("from somewhere import *", "import *"),
    ],
)
def test_the_check_itself_sees_a_client(planted: str, found: str) -> None:
    assert found in ways_out(planted)


def test_the_check_itself_lets_through_what_does_not_connect() -> None:
    harmless = """
import asyncio, re, socket
from urllib.parse import quote, urlsplit
from starlette.requests import Request
from ownkey.http.requests import parse_body
TIMEOUT = asyncio.timeout(5)
kind = socket.SOCK_STREAM
PATTERN = re.compile("x")
def f(upstream, request):
    try:
        return upstream.send(request), getattr(request, "app", None)
    except OSError:
        return None
"""
    assert ways_out(harmless) == set()
