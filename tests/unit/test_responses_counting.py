"""A count of tokens asks of OpenAI what would be asked of a model, and no more."""

from __future__ import annotations

import json
from typing import get_type_hints

import pytest
from openai.types.responses.input_token_count_params import InputTokenCountParams

from ownkey.domain.errors import ProviderFailure
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_for
from ownkey.providers.responses.counting import InputTokensApi
from tests.support.providers import CATALOG, annotate, call

ASKED = {
    "model": "gpt-4o",
    "max_tokens": 50,
    "temperature": 0.5,
    "stop_sequences": ["END"],
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hello"}],
    "tools": [{"name": "clock", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "metadata": {"user_id": "u-1"},
}


def test_only_what_has_tokens_is_sent():
    translator = translator_for(Surface.COUNT_TOKENS, CATALOG.provider("openai"), "gpt-4o", None)
    assert translator is not None
    encoded = translator.encode_request(call(ASKED, provider="openai"))
    body = json.loads(encoded.body)
    assert encoded.url == "https://api.openai.com/v1/responses/input_tokens"
    assert body.keys() <= get_type_hints(InputTokenCountParams).keys()
    assert (body["model"], body["instructions"], body["parallel_tool_calls"]) == ("gpt-4o", "Be brief.", False)
    assert body["tools"][0]["name"] == "clock"


def test_the_count_is_the_clients():
    translator = translator_for(Surface.COUNT_TOKENS, CATALOG.provider("openai"), "gpt-4o", None)
    assert translator is not None
    whole = translator.decode_whole(
        call(ASKED, provider="openai"), b'{"object":"response.input_tokens","input_tokens":11}', annotate
    )
    assert json.loads(whole.body) == {"input_tokens": 11}
    assert whole.reading.usage is not None
    assert whole.reading.usage.total_tokens == 0


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"input_tokens":"7"}', b'{"input_tokens":-1}', b'{"error":{}}'])
def test_what_is_no_count_is_the_providers_failure(body):
    with pytest.raises(ProviderFailure):
        InputTokensApi().read_count(body)
