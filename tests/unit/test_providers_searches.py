"""Web searches that a provider's answer tells of: they are billed by the call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.domain.surfaces import Dialect, Surface
from ownkey.domain.usage import Usage
from ownkey.providers import translator_of
from tests.support.providers import CHAT, annotate, call, events, passed

OPENAI = translator_of(Surface.CHAT, Dialect.OPENAI)
assert OPENAI is not None
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CITATION = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}


def answer(usage: dict[str, Any], **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi", **message}, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "choices": [choice], "usage": usage}).encode()


def stream(*chunks: dict[str, Any]) -> bytes:
    lines = [json.dumps({"id": "c1", "choices": []} | each, separators=(",", ":")) for each in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()


def test_an_answer_that_cites_pages_was_one_search() -> None:
    reading = OPENAI.decode_whole(call(CHAT), answer(USED, annotations=[CITATION, CITATION]), annotate).reading
    assert reading.usage == Usage(input=3, output=2, web_searches=1)


@pytest.mark.parametrize("annotations", [None, [], "url_citation", [None], [{"type": "file_citation"}]])
def test_other_annotations_are_no_search(annotations: Any) -> None:
    assert OPENAI.decode_whole(call(CHAT), answer(USED, annotations=annotations), annotate).reading.usage == Usage(
        3, output=2
    )


def test_citations_in_a_stream_count_before_its_usage_is_annotated() -> None:
    said = {"index": 0, "delta": {"annotations": [CITATION]}, "finish_reason": None}
    body = stream({"choices": [said], "usage": None}, {"usage": USED})
    told: list[Usage] = []

    def note(usage: Usage, _: object) -> dict[str, object]:
        told.append(usage)
        return {}

    asking = call(CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    got = passed(OPENAI, asking, [body[:40], body[40:]], marks=note)
    assert got.decoder.reading.usage == told[-1] == Usage(input=3, output=2, web_searches=1)
    assert events(got.output)[0]["choices"][0]["delta"]["annotations"] == [CITATION]


def test_the_size_of_a_searchs_context_is_one_of_its_terms() -> None:
    reading = OPENAI.decode_whole(call(CHAT), answer(USED | {"search_context_size": "high"}), annotate).reading
    assert reading.terms.search_context == "high"
    assert reading.usage == Usage(input=3, output=2, web_searches=1)
