"""JSON log lines by Powertools, scrubbed of secrets as the last thing before they are written.

`configure` once at init. Code logs through the standard library (`logging.getLogger(__name__)`, facts in `extra`); the
one handler stands at the root, so no logger, ours or a library's, has a way around the scrubber. It works on the
finished line: message, extra fields, JSON inside JSON, exception text and traceback alike.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from ownkey.domain.scrub import scrub

PINNED = (
    "asyncio",
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "httpcore",
    "httpx",
    "mangum",
    "urllib3",
)
"""Never below WARNING: at DEBUG they write headers and bodies (botocore: the plaintext data key)."""

_UNFORMATTABLE = '{"level":"ERROR","message":"a log line could not be formatted","location":"%s:%d"}\n'


class ScrubbingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON line without secrets."""

    def serialize(self, log: Any) -> str:
        """The finished line."""
        return scrub(super().serialize(log))


class _Handler(logging.StreamHandler[TextIO]):
    @property
    def stream(self) -> TextIO:
        """Standard output, which Lambda sends to CloudWatch."""
        return sys.stdout

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """There is no other stream."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """In place of logging's own, which prints the unformatted record, secrets and all, to stderr."""
        with suppress(OSError, ValueError):  # standard output itself may be what is broken
            self.stream.write(_UNFORMATTABLE % (record.filename, record.lineno))


_formatter = ScrubbingFormatter(utc=True, use_rfc3339=True, serialize_stacktrace=False)
_handler = _Handler()
_handler.setFormatter(_formatter)


def configure(service: str, level: str) -> Logger:
    """Makes the scrubbing handler the process's only one, and sets the level. May be called again.

    Args:
        service: The function's name, in every line.
        level: `DEBUG` to `CRITICAL`, for all but the pinned libraries.

    Returns:
        Powertools' logger of that service, for `inject_lambda_context` and `append_keys`: keys appended there stand in
        the lines of all loggers.
    """
    # Empty while Powertools sets up: it would silence the service's logger in handlers it finds at the root.
    logging.root.handlers[:] = []
    logger = Logger(service=service, level=level, logger_handler=_handler, logger_formatter=_formatter)
    logger.setLevel(level)
    logging.getLogger(service).propagate = False
    logging.root.handlers[:] = [_handler]
    logging.root.setLevel(level)
    for name in PINNED:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
    logging.captureWarnings(True)
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]  # from 3.12 on; "Task-7" says nothing
    sys.excepthook = _log_uncaught
    return logger


def bind(**keys: str) -> None:
    """Puts the keys into every line from now on, in place of their former values: the facts of an invocation."""
    _formatter.append_keys(**keys)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("ownkey").critical("uncaught exception", exc_info=(kind, error, traceback))
