"""What a plain function's uncaught exception becomes."""

from __future__ import annotations

import logging

import pytest

from ownkey.runtime.guard import FunctionFailed, guarded


def test_an_uncaught_exception_is_logged_and_raised_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: dict, _context: object) -> None:
        raise ValueError("sk-secret-in-an-exception")

    with caplog.at_level(logging.ERROR), pytest.raises(FunctionFailed) as failed:
        guarded(broken)({}, None)
    assert "sk-secret" not in repr(failed.value)
    assert failed.value.__context__ is None
    assert "sk-secret" in caplog.text, "the log has it, behind the scrubber"


def test_an_answer_goes_through() -> None:
    assert guarded(lambda event, _: event["x"])({"x": 7}, None) == 7
