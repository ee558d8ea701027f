"""Providers that take a message's content as a string alone."""

from __future__ import annotations

from typing import Any

import pytest

from ownkey.catalog import Parameters
from ownkey.providers.openai.departures import departed

STRINGS = Parameters(text_content=True)
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def sent(content: Any, parameters: Parameters = STRINGS) -> Any:
    """The content of a message as it goes out."""
    values = {"messages": [{"role": "user", "content": content}]}
    changes = departed(values, parameters, "Acme").changes
    return {**values, **changes}["messages"][0]["content"]


def test_a_list_of_texts_is_put_together() -> None:
    assert sent([{"type": "text", "text": "Tell me "}, {"type": "text", "text": "why."}]) == "Tell me why."


def test_marks_of_the_prompt_cache_go_with_the_list() -> None:
    assert sent([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]) == "Hi"


@pytest.mark.parametrize(
    "content",
    [
        "Hi",
        None,
        [],
        [IMAGE],
        [{"type": "text", "text": "See"}, IMAGE],
        [{"type": "text"}],
        [{"type": "text", "text": 7}],
        ["x"],
    ],
)
def test_what_is_no_list_of_texts_stays_as_it_is(content: Any) -> None:
    assert sent(content) == content


def test_nothing_is_reported_as_left_out() -> None:
    values = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, "not a message"]}
    assert departed(values, STRINGS, "Acme").dropped == ()


def test_others_get_the_list() -> None:
    parts = [{"type": "text", "text": "Hi"}]
    assert sent(parts, Parameters()) == parts
