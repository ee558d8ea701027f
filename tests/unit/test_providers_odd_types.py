"""A `type` that is no text is of no kind that is known, wherever it stands: never an error of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers import translator_of
from ownkey.providers.anthropic import words as anthropic_words
from ownkey.providers.crossing import Citation
from ownkey.providers.responses import words as responses_words
from tests.support.providers import annotate, call, events, passed

ODD: list[Any] = [[], {}, ["url_citation"], 7, None, True]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("read", [anthropic_words.read_citation, responses_words.read_citation])
def test_a_citation_of_no_kind_is_none(read, odd):
    assert read({"type": odd, "url": "https://example.com"}) is None


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_place_of_no_kind_is_written_as_what_is_known_of_it(odd):
    citation = Citation("url", url="https://example.com", place={"type": odd})
    assert anthropic_words.write_citation(citation)["type"] == "web_search_result_location"
    assert responses_words.write_citation(citation, "text")["type"] == "url_citation"


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_event_of_no_kind_goes_through(odd):
    translator = translator_of(Surface.RESPONSES, Dialect.OPENAI)
    assert translator is not None
    request = call({"model": "gpt-4o", "input": "hi", "stream": True}, provider="openai")
    result = passed(translator, request, [b"data: " + json.dumps({"type": odd}).encode() + b"\n\n"], marks=annotate)
    assert events(result.output) == [{"type": odd}]
    assert result.decoder.finished is False
