"""How a credential authorises a request: a header, a token beside its flags, AWS's signature over the exact bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from ownkey.catalog import Auth, Form
from ownkey.domain.secrets import Secret
from ownkey.providers import authorize
from tests.support.providers import CATALOG

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
KEY = {"key": Secret("the-key")}
KEYS = {"access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"), "secret_access_key": Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCY")}
URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-sonnet-4-5-v1:0/converse"
GOLDEN = Path(__file__).parent.parent / "contract" / "fixtures" / "probes"


def form(provider: str, form_id: str) -> Form:
    return CATALOG.provider(provider).form(form_id)


def added(
    of: Form,
    fields: Mapping[str, Secret],
    headers: Mapping[str, str] | None = None,
    *,
    url: str = URL,
    body: bytes = b"{}",
    region: str | None = "us-east-1",
    auth: Auth | None = None,
) -> dict[str, str]:
    return authorize(
        of, fields, method="POST", url=url, headers=headers or {}, body=body, region=region, now=NOW, auth=auth
    )


def botocores(
    keys: Mapping[str, Secret], method: str, url: str, headers: Mapping[str, str], body: bytes, region: str
) -> dict[str, str]:
    """What botocore's own signer adds, names in lower case."""
    token = keys["session_token"].reveal() if "session_token" in keys else None
    credentials = Credentials(keys["access_key_id"].reveal(), keys["secret_access_key"].reveal(), token)
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    with patch("botocore.auth.get_current_datetime", return_value=NOW):
        SigV4Auth(credentials, "bedrock", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name.lower() not in headers}


class TestHeaders:
    @pytest.mark.parametrize(
        ("provider", "form_id", "headers"),
        [
            ("openai", "key", {"authorization": "Bearer the-key"}),
            ("anthropic", "key", {"x-api-key": "the-key"}),
            ("azure", "key", {"api-key": "the-key"}),
            ("bedrock", "api_key", {"authorization": "Bearer the-key"}),
            ("vertex", "service_account", {"authorization": "Bearer the-key"}),
            ("openai", "workload_identity", {"authorization": "Bearer the-key"}),
            (
                "anthropic",
                "workload_identity",
                {"authorization": "Bearer the-key", "anthropic-beta": "oauth-2025-04-20"},
            ),
        ],
    )
    def test_a_key_or_token_stands_in_the_header_of_its_form(self, provider, form_id, headers):
        assert added(form(provider, form_id), KEY) == headers

    def test_a_translator_may_want_a_plain_key_in_another_header_but_not_a_token(self):
        bearer, header = Auth("authorization", "Bearer {key}"), Auth("x-api-key", "{key}")
        assert added(form("anthropic", "key"), KEY, auth=bearer) == {"authorization": "Bearer the-key"}
        assert "x-api-key" not in added(form("anthropic", "workload_identity"), KEY, auth=header)

    @pytest.mark.parametrize(
        ("own", "sent"),
        [
            ("", "oauth-2025-04-20"),
            ("tools-2026", "tools-2026,oauth-2025-04-20"),
            ("a, oauth-2025-04-20", "a,oauth-2025-04-20"),
        ],
    )
    def test_flags_of_the_clients_own_stay(self, own, sent):
        headers = {"anthropic-beta": own} if own else {}
        assert added(form("anthropic", "workload_identity"), KEY, headers)["anthropic-beta"] == sent


class TestSignatures:
    @pytest.mark.parametrize("form_id", ["access_key", "session", "role"])
    def test_every_signing_form_signs_as_botocore_does(self, form_id):
        keys = KEYS if form_id == "access_key" else {**KEYS, "session_token": Secret("IQoJb3JpZ2luX2VjEXAMPLE")}
        headers = {"content-type": "application/json"}
        assert added(form("bedrock", form_id), keys, headers) == botocores(
            keys, "POST", URL, headers, b"{}", "us-east-1"
        )

    def test_headers_that_change_on_the_way_are_not_signed(self):
        headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "x", "via": "y"}
        signed = added(form("bedrock", "access_key"), KEYS, headers)
        assert "SignedHeaders=content-type;host;x-amz-date," in signed["authorization"]
        assert signed.keys() == {"authorization", "x-amz-date"}

    @given(
        model=st.from_regex(r"[a-z][a-z0-9.-]{1,20}((:|%3A)[0-9]{1,2})?(%2F[a-z.]{1,9})?", fullmatch=True),
        body=st.binary(max_size=200),
        region=st.sampled_from(form("bedrock", "access_key").fields[2].choices),
        secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=64),
        token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
        kind=st.sampled_from(["application/json", "application/vnd.amazon.eventstream"]),
    )
    def test_whatever_is_sent(self, model, body, region, secret, token, kind):
        keys: dict[str, Any] = {**KEYS, "secret_access_key": Secret(secret)}
        keys |= {"session_token": Secret(token)} if token else {}
        url = f"https://bedrock-runtime.{region}.amazonaws.com/model/{model}/converse-stream"
        headers = {"content-type": kind}
        ours = added(form("bedrock", "session"), keys, headers, url=url, body=body, region=region)
        assert ours == botocores(keys, "POST", url, headers, body, region)

    def test_another_byte_is_another_signature(self):
        one, other = (added(form("bedrock", "access_key"), KEYS, body=body) for body in (b"{}", b"{ }"))
        assert one["authorization"] != other["authorization"]

    def test_nothing_is_signed_without_a_region_or_with_a_query(self):
        with pytest.raises(ValueError, match="region"):
            added(form("bedrock", "access_key"), KEYS, region=None)
        with pytest.raises(ValueError, match="query"):
            added(form("bedrock", "access_key"), KEYS, url=URL + "?a=b")

    @pytest.mark.parametrize("name", ["bedrock-access_key", "bedrock-session"])
    def test_the_requests_written_down_are_signed_as_botocore_does(self, name):
        golden = json.loads((GOLDEN / f"{name}.json").read_text())
        secrets = {
            "access_key_id": Secret(golden["headers"]["authorization"].partition("Credential=")[2].partition("/")[0]),
            "secret_access_key": Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        }
        if token := golden["headers"].get("x-amz-security-token"):
            secrets["session_token"] = Secret(token)
        theirs = botocores(secrets, golden["method"], golden["url"], {}, b"", "us-east-1")
        assert golden["headers"] == {"accept": "application/json", **theirs}


def test_the_keys_that_sign_are_not_shown() -> None:
    from ownkey.providers.authorize import _Keys

    shown = repr(_Keys("AKIAIOSFODNN7EXAMPLE", "secret-part", "token-part"))
    assert "secret-part" not in shown
    assert "token-part" not in shown
