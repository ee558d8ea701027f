"""Errors in each dialect, as its clients read them."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from ownkey.domain import errors
from ownkey.domain.errors import OwnkeyError, ProviderOverloaded, ProviderRateLimited, ProviderRefused
from ownkey.domain.gateway_keys import mint
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.http.errors import body_of, event_of, headers_of, status_of
from ownkey.http.presented import presented_key


def all_errors() -> list[OwnkeyError]:
    found: list[OwnkeyError] = [ProviderRefused("What happened.", status=422, code="too_odd", param="messages")]
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, OwnkeyError) and cls is not ProviderRefused:
            found.append(cls("What happened."))
    return found


@pytest.mark.parametrize("error", all_errors(), ids=lambda e: type(e).__name__)
def test_openai_clients_read_code_message_and_fix(error: OwnkeyError) -> None:
    body = body_of(error, Dialect.OPENAI, "req_1")["error"]
    assert openai.types.shared.ErrorObject.model_validate(body).code == error.code
    assert body["message"].startswith("What happened.")
    assert error.fix in body["message"]
    assert body["metadata"] == {"source": error.side.value, "fix": error.fix, "request_id": "req_1"}


@pytest.mark.parametrize("error", all_errors(), ids=lambda e: type(e).__name__)
def test_anthropic_clients_read_type_and_message(error: OwnkeyError) -> None:
    body = body_of(error, Dialect.ANTHROPIC, "req_1")
    assert (body["type"], body["request_id"]) == ("error", "req_1")
    known = {"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error"}
    known |= {"request_too_large", "rate_limit_error", "api_error", "timeout_error", "overloaded_error"}
    assert body["error"]["type"] in known
    assert body["error"]["code"] == error.code


def test_an_overload_has_anthropics_own_number_there_alone() -> None:
    error = ProviderOverloaded("Busy.")
    assert status_of(error, Dialect.ANTHROPIC) == 529
    assert status_of(error, Dialect.OPENAI) == 503
    assert body_of(error, Dialect.ANTHROPIC, "req_1")["error"]["type"] == "overloaded_error"


def test_when_to_try_again() -> None:
    assert headers_of(ProviderRateLimited("Slow.", retry_after_s=1.25)) == {
        "retry-after": "2",
        "retry-after-ms": "1250",
    }
    assert headers_of(errors.NoByokKey("None.")) == {"x-should-retry": "false"}


def test_an_error_in_a_stream_ends_it_in_its_dialect() -> None:
    error = errors.ProviderStreamBroken("Cut.")
    chunk, done, _ = event_of(error, Surface.CHAT, "req_1").split(b"\n\n")
    assert json.loads(chunk.removeprefix(b"data: "))["error"]["code"] == "provider_stream_broken"
    assert done == b"data: [DONE]"
    event = event_of(error, Surface.MESSAGES, "req_1")
    assert event.startswith(b"event: error\ndata: {")
    assert event.endswith(b"\n\n")


def headers(**given: str) -> httpx.Headers:
    return httpx.Headers({name.replace("_", "-"): value for name, value in given.items()})


def test_a_key_is_taken_from_either_header() -> None:
    key = mint("acme").reveal()
    for given in (
        headers(authorization=f"Bearer {key}"),
        headers(authorization=f"bearer  {key}"),
        headers(x_api_key=key),
        headers(x_api_key=key, authorization=f"Bearer {key}"),
        headers(x_api_key=key, authorization="Basic abc"),
    ):
        assert presented_key(given, allow_foreign=False).account_id == "acme"


def test_no_key_two_keys_and_strangers_are_told_apart() -> None:
    with pytest.raises(errors.MissingGatewayKey):
        presented_key(headers(authorization="Basic abc"), allow_foreign=True)
    both = headers(authorization=f"Bearer {mint('a').reveal()}", x_api_key=mint("a").reveal())
    with pytest.raises(errors.InvalidGatewayKey, match="two different"):
        presented_key(both, allow_foreign=True)
    with pytest.raises(errors.InvalidGatewayKey):
        presented_key(headers(x_api_key="sk-proj-a-providers-key-000000"), allow_foreign=False)
    assert presented_key(headers(x_api_key="sk-imported-key-000000"), allow_foreign=True).account_id is None
