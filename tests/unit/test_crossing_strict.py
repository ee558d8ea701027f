"""Clients' JSON is read strictly, and an error says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ownkey.domain.errors import InvalidParameter
from ownkey.providers.crossing.strict import Fields

REQUEST = {
    "text": "a",
    "empty": "",
    "null": None,
    "flag": False,
    "number": 1.5,
    "whole": 2.0,
    "texts": ["a", "b"],
    "objects": [{"a": 1}, {"b": 2}],
    "object": {"inner": {"text": 1}},
}
FIELDS = Fields(REQUEST)


def test_what_is_as_it_must_be_is_given() -> None:
    assert FIELDS.text("text") == FIELDS.needed_text("text") == "a"
    assert FIELDS.needed_text("empty") == ""
    assert FIELDS.word("text", ("a", "b")) == "a"
    assert FIELDS.flag("flag") is False
    assert FIELDS.number("number") == 1.5
    assert FIELDS.integer("whole") == 2
    assert FIELDS.texts("texts") == ("a", "b")
    assert FIELDS.texts("text") == ("a",)
    assert [each.path for each in FIELDS.members("objects")] == ["objects.0", "objects.1"]
    assert FIELDS.needed_member("object").values is REQUEST["object"]


@pytest.mark.parametrize("name", ["null", "absent"])
def test_null_is_as_good_as_absent(name: str) -> None:
    read: list[Callable[[str], Any]] = [
        FIELDS.text, FIELDS.flag, FIELDS.number, FIELDS.integer, FIELDS.items, FIELDS.member
    ]  # fmt: skip
    assert [each(name) for each in read] == [None] * len(read)
    assert list(FIELDS.members(name)) == []
    assert FIELDS.texts(name) == ()


@pytest.mark.parametrize(
    ("read", "param"),
    [
        (lambda: FIELDS.text("number"), "number"),
        (lambda: FIELDS.needed_text("null"), "null"),
        (lambda: FIELDS.word("text", ("b",)), "text"),
        (lambda: FIELDS.flag("number"), "number"),
        (lambda: FIELDS.number("flag"), "flag"),
        (lambda: FIELDS.integer("number"), "number"),
        (lambda: FIELDS.integer("whole", least=3), "whole"),
        (lambda: FIELDS.items("text"), "text"),
        (lambda: FIELDS.member("texts"), "texts"),
        (lambda: FIELDS.needed_member("absent"), "absent"),
        (lambda: list(FIELDS.members("texts")), "texts.0"),
        (lambda: FIELDS.texts("objects"), "objects.0"),
        (lambda: FIELDS.needed_member("object").needed_member("inner").text("text"), "object.inner.text"),
        (lambda: Fields({"n": 1e999}).number("n"), "n"),
        (lambda: Fields({"n": 10**400}).text("n"), "n"),
    ],
)
def test_what_is_not_is_refused_with_its_path(read: Callable[[], Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read()
    assert refused.value.param == param
    assert f"`{param}`" in refused.value.message
