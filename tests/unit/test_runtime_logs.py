"""Log lines: what they hold, and that a secret is in none of them, whoever writes it and at whatever level."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ownkey.domain import scrub
from ownkey.runtime import logs

CANARY = "Zq7Xw2Lm9Bv4Tn8Kp3Rj6Hd"

Lines = Callable[[], list[dict]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Logging as in a function at DEBUG, with the canary live; gives the lines written since the last call."""
    handlers, level, hook = logging.root.handlers[:], logging.root.level, sys.excepthook
    pinned = {name: logging.getLogger(name).level for name in logs.PINNED}
    logs.configure("test-function", "DEBUG")
    scrub.register(CANARY)

    def read() -> list[dict]:
        output = capsys.readouterr()
        assert output.err == ""
        assert CANARY[:8] not in output.out
        return [json.loads(line) for line in output.out.splitlines()]

    yield read
    scrub.unregister(CANARY)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(False)
    for name, former in pinned.items():
        logging.getLogger(name).setLevel(former)


def test_a_line_is_json_with_level_service_facts_and_the_invocation(lines: Lines):
    logs.bind(function_request_id="request-1")
    logging.getLogger("ownkey.router.attempt").info("attempt %s", "ended", extra={"ttft_ms": 312})
    [line] = lines()
    facts = {name: line[name] for name in ("level", "message", "service", "function_request_id", "ttft_ms")}
    assert facts == {
        "level": "INFO",
        "message": "attempt ended",
        "service": "test-function",
        "function_request_id": "request-1",
        "ttft_ms": 312,
    }
    assert line["timestamp"].endswith("+00:00")


def test_powertools_logger_and_the_standard_library_s_write_each_line_once(lines: Lines):
    logger = logs.configure("test-function", "INFO")
    logger.append_keys(cold_start=True)
    logger.info("one")
    logging.getLogger("anything").info("two")
    logging.getLogger("anything").debug("below the level")
    assert [(line["message"], line["cold_start"]) for line in lines()] == [("one", True), ("two", True)]
    logger.remove_keys(["cold_start"])


class Sensitive:
    """An object whose text is a secret, as an HTTP client's request may be."""

    def __repr__(self) -> str:
        return f"<Request key={CANARY}>"


class Unprintable:
    def __str__(self) -> str:
        raise ValueError(CANARY)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
@pytest.mark.parametrize(
    ("message", "arguments", "extra"),
    [
        (f"key {CANARY}", (), {}),
        ("key %s", (CANARY,), {}),
        ("request %r", (Sensitive(),), {}),
        ({"error": {"key": CANARY}}, (), {}),
        (json.dumps({"error": json.dumps({"key": CANARY})}), (), {}),
        ("refused", (), {"provider_body": json.dumps({"error": json.dumps({"key": CANARY})})}),
        ("refused", (), {"headers": {"x-api-key": CANARY, "list": [Sensitive()]}, CANARY: 1}),
        ("refused", (), {"url": f"https://example.com/v1?key={CANARY}", "tail": CANARY[-12:]}),
    ],
    ids=["text", "argument", "object", "dict", "json", "nested json", "fields", "url"],
)
def test_a_secret_is_in_no_part_of_a_line(lines: Lines, level: str, message: object, arguments: tuple, extra: dict):
    logging.getLogger("ownkey.test").log(getattr(logging, level.upper()), message, *arguments, extra=extra)
    [line] = lines()
    assert "[scrubbed]" in json.dumps(line)


def test_a_secret_is_in_no_traceback_and_in_no_cause(lines: Lines):
    try:
        try:
            raise KeyError(f"first {CANARY}")
        except KeyError as error:
            error.add_note(f"noted {CANARY}")
            raise OSError(f"connect to https://user:{CANARY}@example.com failed") from error
    except OSError:
        logging.getLogger("ownkey.test").exception("boom")
    [line] = lines()
    assert line["exception_name"] == "OSError"
    assert line["exception"].count("[scrubbed]") >= 3


def test_a_record_that_cannot_be_formatted_is_told_of_without_its_content(lines: Lines):
    logs.configure("test-function", "DEBUG")  # pytest's own handler, which would raise, is gone for this test
    logging.getLogger("ownkey.test").error("key %s", Unprintable())
    logging.getLogger("ownkey.test").error("two %s %s", CANARY)
    assert [line["message"] for line in lines()] == ["a log line could not be formatted"] * 2


def test_warnings_and_uncaught_exceptions_are_lines_too(lines: Lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logs.configure("test-function", "DEBUG")
        warnings.warn(f"deprecated {CANARY}", stacklevel=1)
    try:
        raise RuntimeError(CANARY)
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    warning, uncaught = lines()
    assert (warning["level"], uncaught["level"]) == ("WARNING", "CRITICAL")
    assert uncaught["exception"].endswith("RuntimeError: [scrubbed]")


def test_libraries_that_write_headers_and_bodies_stay_silent_at_debug(lines: Lines):
    for name in logs.PINNED:
        logging.getLogger(f"{name}.any.child").info("response body: %s", CANARY)
    request = AWSRequest("POST", "https://kms.eu-west-1.amazonaws.com/", data=CANARY, headers={"X-Canary": CANARY})
    SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", CANARY), "kms", "eu-west-1").add_auth(request)
    assert lines() == []
    logging.getLogger("botocore.credentials").warning("expired %s", CANARY)
    assert [line["message"] for line in lines()] == ["expired [scrubbed]"]


def test_configuring_again_leaves_one_handler_and_takes_the_new_level(lines: Lines):
    logs.configure("test-function", "ERROR")
    logs.configure("another", "WARNING")
    logging.getLogger("ownkey").info("no")
    logging.getLogger("ownkey").warning("yes")
    logging.getLogger("another").warning("its own")
    assert [(line["message"], line["service"]) for line in lines()] == [("yes", "another"), ("its own", "another")]
    assert len(logging.root.handlers) == 1
