"""Our signer against botocore's: the same signature for every request that is made here."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from ownkey.store.sigv4 import Signer

SERVICES = ("dynamodb", "kms", "lambda", "sts", "bedrock")
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1")
NAMES = st.from_regex(r"x-[a-z0-9-]{1,12}|content-type", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40).filter(str.strip)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
SEGMENTS = st.text(min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(quote(part, safe="") for part in parts))
HOSTS = st.sampled_from(("dynamodb.us-east-1.amazonaws.com", "127.0.0.1:4566", "[::1]:4566", "localhost"))
DAYS = st.datetimes(datetime(2020, 1, 1), datetime(2049, 12, 31))


def botocores(credentials, service, region, method, url, headers, payload, at) -> dict[str, str]:
    """The headers after botocore has signed, names in lower case."""
    request = AWSRequest(method=method, url=url, data=payload, headers=dict(headers))
    with patch("botocore.auth.get_current_datetime", return_value=at):
        SigV4Auth(credentials, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    service=st.sampled_from(SERVICES),
    region=st.sampled_from(REGIONS),
    method=st.sampled_from(("POST", "GET", "PUT")),
    host=HOSTS,
    scheme=st.sampled_from(("https", "http")),
    path=PATHS,
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    payload=st.binary(max_size=300),
    secret=SECRETS,
    token=st.none() | SECRETS,
    at=DAYS,
)
def test_our_signature_is_botocores(
    service, region, method, host, scheme, path, headers, payload, secret, token, at
) -> None:
    credentials = Credentials("AKIDEXAMPLE", secret, token)
    at = at.replace(microsecond=0)
    theirs = botocores(credentials, service, region, method, f"{scheme}://{host}{path}", headers, payload, at)
    ours = Signer(service, region).headers(
        credentials.get_frozen_credentials(),
        method,
        host,
        path,
        headers,
        payload,
        at.replace(tzinfo=UTC).timestamp(),
    )
    assert ours.pop("host") == host
    assert ours == theirs


@given(requests=st.lists(st.tuples(DAYS, st.sampled_from(("first", "second"))), min_size=2, max_size=6))
def test_a_kept_signing_key_serves_its_own_day_and_secret_only(requests) -> None:
    signer = Signer("dynamodb", "us-east-1")
    for at, secret in requests:
        at = at.replace(microsecond=0)
        credentials = Credentials("AKIDEXAMPLE", secret)
        given = (credentials.get_frozen_credentials(), "POST", "localhost", "/", {}, b"{}")
        ours = signer.headers(*given, at.replace(tzinfo=UTC).timestamp())
        theirs = botocores(credentials, "dynamodb", "us-east-1", "POST", "http://localhost/", {}, b"{}", at)
        assert ours["authorization"] == theirs["authorization"]
