"""What one vendor takes and may cross, the other takes: each simulated vendor refuses what its own API does.

Whatever clients of either send is refused by Ownkey before anything is sent, or is a request that the target accepts.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulator import anthropic_requests, openai_requests
from ownkey.domain.errors import BadRequest
from ownkey.domain.surfaces import Surface
from ownkey.providers import translator_of
from tests.support.providers import CATALOG, call

CLAUDES = ("claude-haiku-4-5", "claude-opus-4-6", "claude-opus-4-8", "claude-sonnet-5", "claude-opus-5-5")
NAMES = ("clock", "mcp.clock", "a" * 130, "été")
IDS = ("call_0", "call_1", "functions.clock:0", "x" * 70)
TEXTS = st.sampled_from(["Hello", "", " ", "\n", "ends with a space ", "Zürich"])
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
THOUGHTS: list[dict[str, Any]] = [
    {"reasoning_content": "Hm."},
    {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "x", "index": 0}]},
]
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object"},
    {"type": "object", "properties": {"tags": {"type": "array"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}, "additionalProperties": False},
    {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}},
        "required": ["a"],
        "additionalProperties": False,
    },
]


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


# ── What OpenAI's clients send

USER_PARTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    st.just({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
    st.just({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
)
PLAIN = st.one_of(
    st.builds(lambda text: [{"role": "user", "content": text}], TEXTS),
    st.builds(lambda parts: [{"role": "user", "content": parts}], st.lists(USER_PARTS, max_size=3)),
    st.builds(lambda role, text: [{"role": role, "content": text}], st.sampled_from(["system", "developer"]), TEXTS),
    st.builds(
        lambda text, thoughts: [{"role": "assistant", "content": text, **thoughts}],
        TEXTS,
        st.sampled_from([{}, *THOUGHTS]),
    ),
)


@st.composite
def chat_calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An answer that calls, and what came of it."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True))
    name = draw(st.sampled_from(NAMES))
    arguments = draw(st.sampled_from(["{}", "", '{"a":1}', "not JSON", "null"]))
    calls = [{"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}} for id_ in ids]
    answer = {"role": "assistant", "content": draw(st.none() | TEXTS), "tool_calls": calls}
    return [
        answer,
        *({"role": "tool", "tool_call_id": id_, "content": draw(TEXTS)} for id_ in draw(st.permutations(ids))),
    ]


TOOLS = st.lists(
    st.builds(
        lambda name, schema, strict: {"type": "function", "function": {"name": name, "parameters": schema, **strict}},
        st.sampled_from(NAMES),
        st.sampled_from(SCHEMAS),
        st.sampled_from([{}, {"strict": True}]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tool: tool["function"]["name"],
)
HELLO = {"role": "user", "content": "Hello"}
CHAT = st.builds(
    lambda messages, members: {"messages": [HELLO, *(each for turn in messages for each in turn)], **members},
    st.lists(PLAIN | chat_calls(), max_size=5),
    maybe(
        tools=TOOLS,
        tool_choice=st.sampled_from(["auto", "none", "required"]),
        parallel_tool_calls=st.booleans(),
        max_completion_tokens=st.sampled_from([1, 1024, 5000, 500_000]),
        temperature=st.sampled_from([0, 1, 1.7]),
        top_p=st.sampled_from([0.5, 1]),
        stop=st.sampled_from(["END", ["a", "b"]]),
        reasoning_effort=st.sampled_from(["none", "low", "high", "max"]),
        user=st.sampled_from(["u-1", "ada@example.com"]),
        response_format=st.sampled_from(
            [{"type": "json_object"}]
            + [{"type": "json_schema", "json_schema": {"name": "a", "schema": schema}} for schema in SCHEMAS]
        ),
        prompt_cache_key=st.just("k"),
        seed=st.just(1),
    ),
)


@settings(max_examples=80)
@given(body=CHAT, model=st.sampled_from(CLAUDES))
def test_what_chat_clients_send_claude_takes(body: dict[str, Any], model: str) -> None:
    sent = written(Surface.CHAT, "anthropic", {"model": model, **body})
    if sent is not None:
        anthropic_requests.check(sent, beta=False)
        anthropic_requests.check_for_model(sent, {"id": model, "max_tokens": 64_000 if "haiku" in model else 128_000})


# ── What Anthropic's clients send

PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
BLOCKS = st.one_of(
    st.sampled_from(["Hello", "Zürich"]).map(lambda text: {"type": "text", "text": text}),
    st.just({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
    st.just({"type": "document", "title": "a", "source": PDF_SOURCE}),
)
THINKING = [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "redacted_thinking", "data": "eA=="}]


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A question, an answer that perhaps calls, and what came of it."""
    question = {"role": "user", "content": draw(st.lists(BLOCKS, min_size=1, max_size=3))}
    uses = [
        {"type": "tool_use", "id": id_.replace(".", "_").replace(":", "_"), "name": "clock", "input": {}}
        for id_ in draw(st.lists(st.sampled_from(IDS), max_size=2, unique=True))
    ]
    said = draw(st.lists(st.sampled_from([*THINKING, {"type": "text", "text": "Well."}]), max_size=3))
    if not uses:
        return [question, {"role": "assistant", "content": [*said, {"type": "text", "text": "Yes."}]}]
    given_ = [draw(maybe(content=st.lists(BLOCKS, max_size=2), is_error=st.booleans())) for _ in uses]
    results = [
        {"type": "tool_result", "tool_use_id": use["id"], **what} for use, what in zip(uses, given_, strict=True)
    ]
    further = draw(st.lists(BLOCKS, max_size=1))
    return [
        question,
        {"role": "assistant", "content": [*said, *uses]},
        {"role": "user", "content": [*results, *further]},
    ]


CHOICES: list[dict[str, Any]] = [
    {"type": "auto"},
    {"type": "none"},
    {"type": "any", "disable_parallel_tool_use": True},
]
THINKS: list[dict[str, Any]] = [
    {"type": "enabled", "budget_tokens": 1024},
    {"type": "adaptive"},
    {"type": "disabled"},
]
FORMATS = [{"format": {"type": "json_schema", "schema": schema}} for schema in SCHEMAS]
MESSAGES = st.builds(
    lambda turns_, members: {"max_tokens": 2_000, "messages": [each for turn in turns_ for each in turn], **members},
    st.lists(turns(), min_size=1, max_size=3),
    maybe(
        system=st.sampled_from(["Be brief.", [{"type": "text", "text": "Be", "cache_control": {"type": "ephemeral"}}]]),
        tools=st.lists(
            st.builds(
                lambda name, schema, more: {"name": name, "input_schema": schema, **more},
                st.sampled_from(["clock", "b" * 100]),
                st.sampled_from(SCHEMAS),
                st.sampled_from([{}, {"strict": True}, {"cache_control": {"type": "ephemeral"}}]),
            ),
            min_size=1,
            max_size=2,
            unique_by=lambda tool: tool["name"],
        ),
        tool_choice=st.sampled_from(CHOICES),
        stop_sequences=st.sampled_from([["END"], ["a", "b", "c", "d", "e"]]),
        metadata=st.just({"user_id": "u" * 150}),
        top_k=st.just(5),
        temperature=st.just(0.5),
        thinking=st.sampled_from(THINKS),
        output_config=st.sampled_from([{"effort": "high"}, *FORMATS]),
    ),
)


@settings(max_examples=80)
@given(body=MESSAGES, model=st.sampled_from([("gpt-4o-mini", False), ("o3", True)]))
def test_what_messages_clients_send_openai_takes(body: dict[str, Any], model: tuple[str, bool]) -> None:
    sent = written(Surface.MESSAGES, "openai", {"model": model[0], **body})
    if sent is not None:
        openai_requests.check(sent, strict=True)
        openai_requests.check_for_model(sent, {"id": model[0], "reasoning": model[1]})


def written(surface: Surface, provider: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What is sent; None: it is refused before."""
    translator = translator_of(surface, provider)
    assert translator is not None
    try:
        aimed = replace(call(body, provider=provider), model=CATALOG.model(provider, body["model"]))
        sent: dict[str, Any] = json.loads(translator.encode_request(aimed).body)
    except BadRequest:
        return None
    return sent
