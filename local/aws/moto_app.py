"""moto as a function from a request to an answer: its WSGI application, called without a server of its own."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, should_preserve_original_header_name
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.aws.call import Answer, AwsError, Call, error_answer

_log = logging.getLogger(__name__)


class Moto:
    """Everything that this package does not answer itself."""

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)

    def answer(self, call: Call, method: str, raw_path: str, headers: Iterable[tuple[str, str]], body: bytes) -> Answer:
        """Calls moto. What it has not implemented, or fails at, is an InternalFailure with its exception's words."""
        status: list[Any] = []

        def start_response(line: str, fields: list[tuple[str, str]], exc_info: Any = None) -> None:
            status[:] = [int(line.split(" ", 1)[0]), dict(fields)]

        try:
            chunks = self._application(_environ(method, raw_path, headers, body), start_response)
            content = b"".join(chunks)
        except Exception as e:  # noqa: BLE001 - moto raises anything; the client must learn of it as from AWS
            _log.exception("moto failed at %s %s", call.service, call.operation)
            return error_answer(call.service, AwsError("InternalFailure", f"moto: {e!r}", status=500))
        return Answer(status[0], status[1], content)


def _environ(method: str, raw_path: str, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, Any]:
    """PEP 3333's environment, with the two extras that moto's own request handler adds."""
    path, _, query = raw_path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": raw_path,
        "REQUEST_URI": raw_path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    preserved = environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = f"{environ[f'HTTP_{key}']},{value}" if f"HTTP_{key}" in environ else value
            if should_preserve_original_header_name(name):
                preserved[f"HTTP_{key}"] = name
    return environ
