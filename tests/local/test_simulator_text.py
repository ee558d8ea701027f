"""The simulated model's words: tokens, JSON that matches a schema, directives."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulator.behaviour import Behaviour, split_directives
from local.simulator.brain import Segment
from local.simulator.cache import PromptCache
from local.simulator.refusals import masked
from local.simulator.text import count_tokens, example_of, fragments, numbered_words, tokenize

RECURSIVE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
SCHEMAS = [
    {"type": "string", "minLength": 9},
    {"type": "string", "maxLength": 2},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 5},
    {"type": "number", "maximum": -1.5},
    {"type": "number", "exclusiveMaximum": 1},
    {"type": ["string", "null"]},
    {"enum": ["celsius", "fahrenheit"]},
    {"const": 3},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]},
    {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}},
            {"properties": {"b": {"type": "integer"}}},
        ]
    },
    {"type": "object", "properties": {"when": {"type": "string", "format": "date-time"}}, "required": ["when"]},
    {"properties": {"deep": {"properties": {"deeper": {"items": {"type": "number"}}}}}},
    RECURSIVE,
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:60])
def test_an_example_matches_its_schema(schema):
    jsonschema.validate(example_of(schema), schema, format_checker=jsonschema.FormatChecker())


@given(st.text())
def test_tokens_and_fragments_joined_are_the_text(text):
    assert "".join(tokenize(text)) == text
    assert "".join(fragments(text)) == text
    assert count_tokens(text) == len(tokenize(text))


@given(st.integers(0, 300))
def test_a_numbered_word_is_one_token(count):
    assert count_tokens("".join(numbered_words(count))) == count


def test_a_directive_is_read_and_taken_out_of_the_text():
    text, knobs = split_directives("Tell me [[sim: fail=429 retry_after=2]] a tale [[sim: echo_key]]")
    assert text == "Tell me  a tale"
    assert Behaviour.of(knobs) == Behaviour(fail="429", retry_after=2.0, echo_key=True)


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"fial": "429"}, "unknown knob 'fial'"),
        ({"chunks": "many"}, "invalid literal"),
        ({"hang": "perhaps"}, "neither true nor false"),
        ({"cut_mode": "gently"}, "cut_mode is one of"),
        ({"fail": "200"}, "fail is a status"),
        ({"fail": "bad_luck"}, "fail is a status"),
    ],
)
def test_a_knob_that_cannot_be_turned_is_an_error(knobs, complaint):
    with pytest.raises(ValueError, match=complaint):
        Behaviour.of(knobs)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sk-abcdefghijklmnopqrstuvwxyz", "sk-abcde*****************wxyz"),
        ("YOUR_API_KEY", "YOUR_API*_KEY"),
    ],
)
def test_a_key_is_masked_as_openai_masks_it(key, shown):
    assert masked(key) == shown


def test_an_explicit_cache_writes_a_prefix_once_and_reads_it_after():
    cache = PromptCache()
    system, tools = Segment("system", 1500, "1h"), Segment("tools", 1100, "5m")
    first = cache.explicit("key", (tools, system, Segment("hello", 5)))
    again = cache.explicit("key", (tools, system, Segment("goodbye", 7)))
    assert (first.read, first.written_5m, first.written_1h) == (0, 1100, 1500)
    assert (again.read, again.written_5m, again.written_1h) == (2600, 0, 0)
    assert cache.explicit("another key", (tools,)).read == 0


def test_a_short_prefix_is_not_cached():
    cache = PromptCache()
    assert cache.explicit("key", (Segment("short", 1023, "5m"),)).written_5m == 0
    assert cache.implicit("key", (Segment("short", 1023),)) == cache.implicit("key", (Segment("short", 1023),))


def test_an_implicit_cache_reads_in_steps():
    cache = PromptCache()
    history = (Segment("long", 1300), Segment("question", 10))
    assert cache.implicit("key", history).read == 0
    assert cache.implicit("key", (Segment("long", 1300), Segment("another question", 20))).read == 1280
