"""Numbers that a request can have and none can write again: the client's mistake, whoever is asked."""

from __future__ import annotations

import json

import pytest

from ownkey.domain.errors import InvalidParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_of
from tests.support.providers import call

SCHEMA = b'{"type":"object","properties":{"size":{"type":"number","maximum":1e999}}}'
HEAD = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[%s]}'
CHAT = HEAD % (b'{"type":"function","function":{"name":"f","parameters":%s}}' % SCHEMA)
MESSAGES = HEAD % (b'{"name":"f","input_schema":%s}' % SCHEMA)


@pytest.mark.parametrize(
    ("surface", "wire", "provider"),
    [
        (Surface.CHAT, "anthropic", "anthropic"),
        (Surface.CHAT, "bedrock", "bedrock"),
        (Surface.MESSAGES, "openai", "openai"),
    ],
)
def test_an_infinite_number_in_a_schema_is_refused(surface: Surface, wire: str, provider: str) -> None:
    translator = translator_of(surface, wire)
    assert translator is not None
    body = MESSAGES if surface is Surface.MESSAGES else CHAT
    with pytest.raises(InvalidParameter) as refused:
        translator.encode_request(call(body, provider=provider))
    assert refused.value.__cause__ is None


def test_what_is_passed_through_untouched_keeps_it() -> None:
    translator = translator_of(Surface.CHAT, "openai")
    assert translator is not None
    sent = translator.encode_request(call(CHAT, model="another"))
    assert b"1e999" in sent.body
    assert json.loads(sent.body)["model"] == "another"
