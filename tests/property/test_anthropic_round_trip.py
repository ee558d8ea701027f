"""What a Messages client says to Claude by way of no dialect is what it would have said itself."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ownkey.providers.anthropic.api import MessagesApi
from ownkey.providers.anthropic.client import MessagesClient
from ownkey.providers.anthropic.schemas import NotClosed, closed
from ownkey.providers.crossing import Crossing
from tests.support.providers import call

SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CROSSED = Crossing(MessagesClient(), MessagesApi())
words = st.text("abc XYZ äß", min_size=1, max_size=10).filter(lambda text: bool(text.strip()))
ids = st.from_regex(r"toolu_[a-zA-Z0-9]{4}", fullmatch=True)
marks = st.sampled_from([None, {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
objects = st.dictionaries(words, words | st.integers() | st.booleans(), max_size=2)


def marked(block: dict[str, Any], mark: dict[str, Any] | None) -> dict[str, Any]:
    return {**block, "cache_control": mark} if mark else block


texts = st.builds(lambda text: {"type": "text", "text": text}, words)
media = st.sampled_from(
    [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aQ=="}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüezi"},
            "title": "Report",
            "context": "Of today.",
            "citations": {"enabled": True},
        },
    ]
)
thoughts = st.sampled_from(
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thinking", "thinking": "", "signature": "b21pdHRlZA=="},
        {"type": "redacted_thinking", "data": "cmVk"},
    ]
)


@st.composite
def exchanges(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A user asks, the assistant thinks, speaks and calls, results come, and the user goes on."""
    asked = draw(st.lists(texts | media, min_size=1, max_size=3))
    calls = draw(st.lists(ids, max_size=2, unique=True))
    said = [
        *draw(st.lists(thoughts, max_size=1)),
        *draw(st.lists(texts, min_size=1, max_size=1)),
        *({"type": "tool_use", "id": id, "name": "clock", "input": draw(objects)} for id in calls),
    ]
    results = [
        {"type": "tool_result", "tool_use_id": id, **({"content": draw(words)} if draw(st.booleans()) else {})}
        for id in calls
    ]
    last = draw(st.lists(texts, min_size=1, max_size=2))
    return [
        {"role": "user", "content": [*asked[:-1], marked(asked[-1], draw(marks))]},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [*results, *last]},
    ]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    tool = {"name": "clock", "description": "Now.", "input_schema": {"type": "object", "properties": {}}}
    further: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "system": words.map(lambda text: [marked({"type": "text", "text": text}, {"type": "ephemeral"})]),
                "temperature": st.floats(0, 1),
                "top_k": st.integers(1, 50),
                "stop_sequences": st.lists(words, min_size=1, max_size=2),
                "tool_choice": st.sampled_from(
                    [
                        {"type": "auto"},
                        {"type": "any", "disable_parallel_tool_use": True},
                        {"type": "tool", "name": "clock"},
                    ]
                ),
                "metadata": st.just({"user_id": "u-1"}),
                "service_tier": st.sampled_from(["auto", "standard_only"]),
                "cache_control": st.just({"type": "ephemeral"}),
                "stream": st.just(True),
            },
        )
    )
    return {"model": "claude-sonnet-4-5", "max_tokens": 500, "messages": draw(exchanges()), "tools": [tool], **further}


def plain(values: Any) -> Any:
    """With one text where a list has no more than that."""
    if isinstance(values, list):
        return [plain(each) for each in values]
    if not isinstance(values, dict):
        return values
    found = {name: plain(value) for name, value in values.items()}
    content = found.get("content")
    if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
        found["content"] = content[0]["text"]
    return found


@given(requests())
@SOME
def test_a_request_is_the_same_on_the_other_side(body: dict[str, Any]) -> None:
    encoded = CROSSED.encode_request(call(body, provider="anthropic"))
    assert plain(json.loads(encoded.body)) == plain(body)
    assert encoded.dropped == ()


schemas = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "minimum": 1}, {"enum": ["a", 1]}, {"type": "null"}]),
    lambda inner: (
        st.builds(lambda each: {"type": "array", "items": each, "maxItems": 3}, inner)
        | st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=2))
        | st.builds(
            lambda members, open: {
                "type": "object",
                "properties": members,
                "required": sorted(members)[:1],
                **({} if open is None else {"additionalProperties": open}),
            },
            st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2),
            st.sampled_from([None, True, False]),
        )
    ),
    max_leaves=5,
)


values = st.recursive(
    st.none() | st.integers() | st.sampled_from(["a", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)


@given(schemas, values)
@SOME
def test_a_closed_schema_closes_every_object_and_lets_no_more_in(schema: dict[str, Any], value: Any) -> None:
    try:
        found = closed(schema)
    except NotClosed:
        assert "object" in json.dumps(schema)
        return
    assert all(each["additionalProperties"] is False for each in objects_of(found))
    Draft202012Validator.check_schema(found)
    if Draft202012Validator(loosened(schema)).is_valid(value) is False:
        assert not Draft202012Validator(found).is_valid(value)


def objects_of(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = [each for value in inner for each in objects_of(value)]
    return [*found, schema] if isinstance(schema, dict) and schema.get("type") == "object" else found


def loosened(schema: Any) -> Any:
    """Without what the API has no word for: that is told in descriptions."""
    if isinstance(schema, list):
        return [loosened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: loosened(value) for name, value in schema.items() if name not in ("minimum", "maxItems")}
