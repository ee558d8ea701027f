"""docs/contracts/errors.md and headers.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from ownkey.domain import errors
from ownkey.domain.errors import OwnkeyError, ProviderFailure, ProviderRefused
from ownkey.domain.surfaces import Dialect
from ownkey.http.errors import body_of, render, status_of
from ownkey.http.exchange import encoded_headers
from ownkey.router.verdict import MOST_TELLING

PAGES = Path(__file__).parents[2] / "docs" / "contracts"


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading (or the text that begins its section)."""
    text = (PAGES / page).read_text().split(heading, 1)[1]
    table = re.search(r"\n((?:\|.*\n)+)", text)
    assert table is not None
    return [[cell.strip().strip("`") for cell in line.strip("|\n").split(" | ")] for line in table[1].splitlines()[2:]]


def test_the_page_lists_every_error_as_it_is_rendered() -> None:
    abstract = (OwnkeyError, ProviderFailure)
    listed = {row[0].strip("| "): row for row in rows("errors.md", "# Errors")}
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, OwnkeyError) and kind not in abstract
    }
    assert listed.keys() == kinds.keys()
    for name, kind in kinds.items():
        error = ProviderRefused("x", status=400) if kind is ProviderRefused else kind("x")
        _, code, status, openai_type, anthropic_type, side, retry, fix = listed[name]
        statuses = dict.fromkeys(str(status_of(error, dialect)) for dialect in Dialect)
        assert body_of(error, Dialect.OPENAI, "r")["error"]["type"] == openai_type
        assert body_of(error, Dialect.ANTHROPIC, "r")["error"]["type"] == anthropic_type
        assert (error.side.value, error.fix) == (side, fix.removesuffix(" |"))
        assert retry == {True: "true", False: "false", None: "–"}[error.retryable]
        if kind is not ProviderRefused:
            assert (error.code, " / ".join(statuses)) == (code, status)


OPENAI_SDK = openai.OpenAI(api_key="ok-x", base_url="http://gateway")
ANTHROPIC_SDK = anthropic.Anthropic(api_key="ok-x", base_url="http://gateway")
# The exception of each status that has one of its own; the SDKs raise APIStatusError for any other 4xx.
EXCEPTIONS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


@pytest.mark.parametrize(
    ("dialect", "sdk"), [(Dialect.OPENAI, OPENAI_SDK), (Dialect.ANTHROPIC, ANTHROPIC_SDK)], ids=["openai", "anthropic"]
)
def test_the_sdks_raise_what_the_status_says_and_read_the_body(dialect: Dialect, sdk: Any) -> None:
    for kind in vars(errors).values():
        if not (isinstance(kind, type) and issubclass(kind, OwnkeyError)) or kind is ProviderRefused:
            continue
        rendered = render(kind("What happened."), dialect, "req_1")
        response = httpx2.Response(
            rendered.status,
            headers={**rendered.headers, "request-id": "req_1", "x-request-id": "req_1"},
            content=rendered.body,
            request=httpx2.Request("POST", "http://gateway/v1/x"),
        )
        raised = sdk._make_status_error_from_response(response)
        if rendered.status in EXCEPTIONS:
            assert type(raised).__name__ == EXCEPTIONS[rendered.status]
        elif rendered.status >= 500:
            assert isinstance(raised, openai.InternalServerError | anthropic.InternalServerError)
        assert "What happened." in raised.message
        assert raised.request_id == "req_1"
        if dialect is Dialect.OPENAI:
            assert raised.code == kind.code


def test_the_page_has_the_order_of_the_table_in_the_code() -> None:
    listed = [row[1].split(",")[0].removesuffix(" |") for row in rows("errors.md", "## Several failures, one error")]
    assert listed == [kind.__name__ for kind in MOST_TELLING]


def test_the_page_lists_every_header_of_every_response() -> None:
    listed = [name for row in rows("headers.md", "## On every response") for name in row[0].strip("| ").split(", ")]
    sent = [name.decode() for name, _ in encoded_headers({}, "req_1")]
    assert sorted(listed) == sorted(sent)
