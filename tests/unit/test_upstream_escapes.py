"""Escapes in a request's URL: `/` and `:` within a segment of its path, and nothing else, nowhere else. `@` is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.errors import UnsafeBaseUrl
from ownkey.upstream import UrlPolicy

LOCAL = "http://127.0.0.1:9000"
HOST = "https://models.example.com"
ADMITTED = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%2F|%3A)+)*/?")


@pytest.fixture
def policy() -> UrlPolicy:
    return UrlPolicy([LOCAL])


@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/model/amazon.nova-lite-v1%3A0/converse",
        f"{HOST}/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x.y-v1%3A0/converse",
        f"{LOCAL}/bedrock/v1/models.example.com/model/a%2Fb/converse",
        f"{HOST}/model/a%3A0/invoke?beta=true",
        f"{HOST}/model/a%3A0/",
        f"{HOST}/models/claude-sonnet-4-5@20250929:rawPredict",
        f"{LOCAL}/vertex/v1/a.example.com/models/a@1:streamRawPredict?alt=sse",
    ],
)
def test_a_name_with_slashes_and_colons_is_one_segment(policy, url):
    assert policy.request_url(url) == url


def test_the_rest_is_made_canonical_as_ever(policy):
    url = "https://Models.Example.com:443/model/a%3A0/converse"
    assert policy.request_url(url) == f"{HOST}/model/a%3A0/converse"


@pytest.mark.parametrize(
    "url",
    [
        "https://user@models.example.com/model/a",
        "https://models.example.com@evil.example",
        "https://models.example.com@evil.example/",
        "https://@models.example.com/a@b",
        f"{HOST}/model/@%40",
        f"{HOST}/model/a%2fb",
        f"{HOST}/model/a%3a0",
        f"{HOST}/model/a%252Fb",
        f"{HOST}/model/a%25",
        f"{HOST}/model/a%2Eb",
        f"{HOST}/model/a%5Cb",
        f"{HOST}/model/a%40b",
        f"{HOST}/model/a%23b",
        f"{HOST}/model/a%3Fb",
        f"{HOST}/model/a%00b",
        f"{HOST}/model/a%0D%0Ab",
        f"{HOST}/model/a%",
        f"{HOST}/model/a%2",
        f"{HOST}/model/%2F",
        f"{HOST}/model%2F%2Fa",
        f"{HOST}/model/a%2F/b",
        f"{HOST}/model/..%2Fadmin",
        f"{HOST}/model/a%2F..%2Fadmin",
        f"{HOST}/model/a%2F..",
        f"{HOST}/model/.%2Fa",
        f"{HOST}/../a%3A0",
    ],
)
def test_what_reads_as_another_path_once_unescaped_is_refused(policy, url):
    with pytest.raises(UnsafeBaseUrl):
        policy.request_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://models.example.com%2Fmodel",
        "https://models.example.com%2F.evil.example/model",
        "https://models.example.com%3A443/model",
        "https://models.example.com%3A8443/model/a%3A0",
        "https%3A//models.example.com/model",
        "https:%2F%2Fmodels.example.com/model",
        "https://evil.example%2F@models.example.com/a%3A0",
        "//models.example.com/a%3A0",
        "http://models.example.com/a%3A0",
        "https://10.0.0.1/a%3A0",
        "https://[::1%2F]/a",
    ],
)
def test_before_the_path_nothing_is_escaped(policy, url):
    with pytest.raises(UnsafeBaseUrl):
        policy.request_url(url)


@pytest.mark.parametrize("path", ["/a%3A0", "/a%2Fb", "/%3A"])
def test_a_base_url_has_no_escapes(policy, path):
    with pytest.raises(UnsafeBaseUrl):
        policy.check(HOST + path)


@given(st.text("%23AFaf.:/ab", max_size=16) | st.from_regex(r"(/[a-z.]{1,3}(%2F|%3A|%2f|%25)?[a-z.]{0,2}){1,4}"))
@settings(max_examples=100)
def test_nothing_else_gets_through(path):
    try:
        admitted = UrlPolicy().request_url(f"{HOST}/{path}")
    except UnsafeBaseUrl:
        return
    assert admitted == f"{HOST}/{path}"
    assert ADMITTED.fullmatch(f"/{path}") or not path
    plain = admitted.replace("%2F", "/").replace("%3A", ":").removeprefix(f"{HOST}/").removesuffix("/")
    assert not {"", ".", ".."} & set(plain.split("/")) or not plain
