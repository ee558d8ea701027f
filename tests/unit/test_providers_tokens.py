"""Estimates of tokens: near enough, and never of what is no text."""

from __future__ import annotations

import pytest

from ownkey.providers.tokens import MEDIA_TOKENS, tokens_of, tokens_of_input, tokens_of_prompt

# Counts by o200k, taken once.
PROSE = (
    "Hello! Can you explain how to write a function in Python that reverses a string? "
    "Please keep it short, and give one example."
)
NUMBERS = "2026-11-21 09:43:11 41091727 3.14159265 1000000 192.168.10.22 "


@pytest.mark.parametrize(("text", "tokens"), [(PROSE, 28), (NUMBERS, 35), ("", 0)])
def test_estimates_are_near_what_a_tokenizer_counts(text: str, tokens: int) -> None:
    assert tokens_of(text) == pytest.approx(tokens, rel=0.15)


def test_a_long_text_is_sampled() -> None:
    once = tokens_of(PROSE + " ")
    assert tokens_of((PROSE + " ") * 1_000) == pytest.approx(once * 1_000, rel=0.1)


def test_a_prompt_is_all_text_of_either_dialect() -> None:
    chat = {
        "messages": [{"role": "user", "content": PROSE}, {"role": "user", "content": [{"type": "text", "text": PROSE}]}]
    }
    messages = {
        "system": [{"type": "text", "text": PROSE}],
        "messages": [{"role": "user", "content": [{"type": "tool_result", "content": PROSE}]}],
    }
    for body in (chat, messages):
        assert tokens_of_prompt(body) == pytest.approx(56, rel=0.25)
    assert tokens_of_prompt(chat | {"tools": [{"function": {"description": PROSE}}]}) >= tokens_of_prompt(chat) + 25


def test_media_count_by_the_piece_not_by_their_letters() -> None:
    data = "iVBORw0KGgo" * 100_000
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    tokens = tokens_of_prompt({"messages": [{"role": "user", "content": parts}]})
    assert 3 * MEDIA_TOKENS <= tokens <= 3 * MEDIA_TOKENS + 50


@pytest.mark.parametrize("messages", [None, "text", 7, [None, 1, "a"], {"a": {"b": ["c"]}}, []])
def test_whatever_stands_there_is_counted_somehow(messages: object) -> None:
    assert tokens_of_prompt({"messages": messages}) >= 0
    deep: object = "x"
    for _ in range(500):
        deep = [deep]
    assert tokens_of_prompt({"messages": deep}) >= 0


def test_many_short_texts_are_not_one_long_word() -> None:
    """A hold on the platform would be a fraction of what they cost."""
    assert tokens_of_input({"input": ["red", "fox"] * 500}) == 1_000
    assert tokens_of_input({"query": "red", "documents": ["fox", {"text": "hen"}]}) == 3
