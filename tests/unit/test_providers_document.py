"""A JSON object from the wire: read strictly, changed member by member."""

from __future__ import annotations

import json

import pytest

from ownkey.providers import Document, InvalidDocument
from ownkey.providers.document import REMOVED


def test_an_object_is_read_once_and_kept_as_it_came() -> None:
    raw = ' {"a": 1, "b": {"c": [true, null]}, "ü": "\\u00fc"} \n'.encode()
    document = Document.parse(raw)
    assert document.values == json.loads(raw)
    assert document.raw == raw


@pytest.mark.parametrize("raw", [b"{}", b" { } "])
def test_an_empty_object(raw: bytes) -> None:
    assert Document.parse(raw).values == {}
    assert Document.parse(raw).edited({"a": 1}) == b'{"a":1}'


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not valid"),
        (b"{", "not valid"),
        (b'{"a"', "not valid"),
        (b'{"a":', "not valid"),
        (b'{"a":1', "not valid"),
        (b'{"a":1,}', "not valid"),
        (b'{"a" 1}', "not valid"),
        (b"{a:1}", "not valid"),
        (b'{"a":1 "b":2}', "not valid"),
        (b'{"a":"x\ny"}', "not valid"),
        (b'{"a":' + b"1" * 5000 + b"}", "not valid"),
        (b'{"a":1}x', "after the JSON object"),
        (b'{"a":1}{"b":2}', "after the JSON object"),
        (b"[1]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":[-Infinity]}', "NaN"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b'\xff\xfe{\x00"', "UTF-8"),
        (b'{"a":' + b"[" * 100_000, "too deeply"),
        (b'{"a":' + b'{"a":' * 100_000, "too deeply"),
    ],
)
def test_what_is_no_object_is_refused_without_repeating_it(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidDocument, match=reason) as refused:
        Document.parse(raw)
    assert refused.value.__cause__ is None


def test_a_field_given_twice_is_named() -> None:
    with pytest.raises(InvalidDocument, match="twice") as refused:
        Document.parse(b'{"model":"cheap","model":"dear"}', unique=True)
    assert refused.value.param == "model"
    assert Document.parse(b'{"model":"cheap","model":"dear"}').values == {"model": "dear"}


def test_members_are_replaced_added_and_removed_and_the_rest_keeps_its_text() -> None:
    document = Document.parse(b'{ "a" : 1.50 , "b":"\\u00e9" ,"c":[1 , 2], "d": {} }')
    edited = document.edited({"a": {"x": None}, "b": REMOVED, "e": "é", "f": REMOVED})
    assert edited == b'{"a" : {"x":null},"c":[1 , 2],"d": {},"e":"\\u00e9"}'
