"""However a stream is cut into pieces, the same comes out of it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers import Document, InvalidDocument, translator_of
from ownkey.providers.anthropic import read_usage as read_anthropic
from ownkey.providers.document import REMOVED
from ownkey.providers.openai import read_usage as read_openai
from tests.support.providers import CHAT, MESSAGES, Passed, call, fixture, passed

REQUESTS = {
    "silent": call(CHAT | {"stream": True}),
    "asking": call(CHAT | {"stream": True, "stream_options": {"include_usage": True}}),
    "messages": call(MESSAGES | {"stream": True}, provider="anthropic"),
    "responses": call({"model": "gpt-4o", "input": "Hello", "stream": True}),
}
STREAMS = {
    "silent": (Surface.CHAT, Dialect.OPENAI, fixture("openai", "stream.sse")),
    "asking": (Surface.CHAT, Dialect.OPENAI, fixture("openai", "stream.sse")),
    "messages": (Surface.MESSAGES, Dialect.ANTHROPIC, fixture("anthropic", "stream.sse")),
    "responses": (Surface.RESPONSES, Dialect.OPENAI, fixture("responses", "stream_refusal.sse")),
}
TROUBLE = [
    b": comment\n\n",
    b'data: {"error":{"message":"broke","type":"server_error"}}\n\n',
    b"data: {\n\n",
    b"\n\n",
    b"event: ping\n\n",
    b'data: {"a"\ndata: :1}\n\n',
    b"retry: 3\n\n",
    b'data: {"choices":[],"usage" : null}\n\n',
    b'data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"broke"}}}\n\n',
    b'data: {"type":"error","code":"server_error","message":"broke"}\n\n',
]


def run(name: str, pieces: list[bytes], *, orderly: bool) -> Passed:
    surface, dialect, _ = STREAMS[name]
    translator = translator_of(surface, dialect)
    assert translator is not None
    return passed(translator, REQUESTS[name], pieces, orderly=orderly)


def outcome(result: Passed) -> tuple[object, ...]:
    decoder = result.decoder
    return (result.output, decoder.reading, decoder.started, decoder.finished, repr(decoder.failure))


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, bytes, list[bytes], bool]:
    """A stream, perhaps with trouble in it, perhaps cut short, and the same in pieces."""
    name = draw(st.sampled_from(sorted(STREAMS)))
    events = STREAMS[name][2].split(b"\n\n")[:-1]
    blocks = [event + b"\n\n" for event in events]
    for trouble in draw(st.lists(st.sampled_from(TROUBLE), max_size=2)):
        blocks.insert(draw(st.integers(0, len(blocks))), trouble)
    stream = b"".join(blocks)
    if draw(st.booleans()):
        stream = stream[: draw(st.integers(0, len(stream)))]
    stream = stream.replace(b"\n", draw(st.sampled_from([b"\n", b"\r\n", b"\r"])))
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=40)) | {0, len(stream)})
    return name, stream, [stream[a:b] for a, b in pairwise(cuts)], draw(st.booleans())


@given(streams())
@settings(max_examples=300, deadline=None)
def test_any_cut_gives_the_same(case: tuple[str, bytes, list[bytes], bool]) -> None:
    name, stream, pieces, orderly = case
    assert outcome(run(name, pieces, orderly=orderly)) == outcome(run(name, [stream], orderly=orderly))


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_every_single_cut_gives_the_same(name: str) -> None:
    stream = STREAMS[name][2]
    whole = outcome(run(name, [stream], orderly=True))
    for at in range(len(stream)):
        assert outcome(run(name, [stream[:at], stream[at:]], orderly=True)) == whole


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_byte_by_byte_gives_the_same(name: str) -> None:
    stream = STREAMS[name][2]
    assert outcome(run(name, [bytes([byte]) for byte in stream], orderly=True)) == outcome(
        run(name, [stream], orderly=True)
    )


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([*TROUBLE, b"data: ", b"\n", b"\r", b"[DONE]", b'"usage"']),
        max_size=30,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    for name in STREAMS:
        decoder = run(name, pieces, orderly=True).decoder
        assert decoder.finished or decoder.failure
        assert decoder.estimated_output_tokens() >= 0


# ── Usage

counts = st.integers(0, 10**9) | st.sampled_from([None, -1, "7", 1.5, True, float("inf"), 10**30])
openai_usages = st.fixed_dictionaries(
    {"prompt_tokens": st.integers(0, 10**9), "completion_tokens": st.integers(0, 10**9)},
    optional={
        "prompt_tokens_details": st.none()
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"]), counts
        ),
        "completion_tokens_details": st.none()
        | st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens", "image_tokens"]), counts),
        "prompt_cache_hit_tokens": counts,
    },
)
anthropic_usages = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 10**9), "output_tokens": st.integers(0, 10**9)},
    optional={
        "cache_read_input_tokens": st.none() | st.integers(0, 10**9),
        "cache_creation_input_tokens": st.integers(1, 10**9),
        "cache_creation": st.none()
        | st.dictionaries(st.sampled_from(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]), counts),
        "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": counts}),
    },
)


@given(openai_usages)
def test_openai_buckets_add_up_to_the_providers_totals(usage: dict[str, object]) -> None:
    read = read_openai(usage)
    if not (usage["prompt_tokens"] or usage["completion_tokens"]):
        assert read is None, "zeros for an answer tell nothing: it is estimated, not free"
        return
    assert read is not None
    assert min(read.to_item().values(), default=0) >= 0
    assert read.input_tokens == usage["prompt_tokens"]
    assert read.output_tokens == usage["completion_tokens"]


@given(anthropic_usages)
def test_anthropic_buckets_add_up_to_the_providers_totals(usage: dict[str, object]) -> None:
    read = read_anthropic(usage)
    inputs = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    if not any(usage.get(name) for name in (*inputs, "output_tokens")):
        assert read is None, "zeros for an answer tell nothing: it is estimated, not free"
        return
    assert read is not None
    assert min(read.to_item().values(), default=0) >= 0
    if usage.get("cache_creation_input_tokens"):
        assert read.input_tokens == sum(usage.get(name) or 0 for name in inputs)  # type: ignore[misc]
    assert read.output_tokens == usage["output_tokens"]


# ── Documents

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(), json_values, max_size=6)


@given(objects, objects, st.sampled_from([None, 2]), st.booleans())
def test_an_edited_object_is_the_object_with_the_edits(
    values: dict[str, object], changes: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    raw = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    document = Document.parse(raw)
    assert document.values == json.loads(raw)
    removed = dict.fromkeys(list(document.values)[:2], REMOVED)
    edited = json.loads(document.edited({**changes, **removed}))
    expected = {**document.values, **changes}
    assert edited == {name: value for name, value in expected.items() if name not in removed}


@given(st.binary(max_size=60) | objects.map(lambda values: json.dumps(values).encode()[:-1]))
def test_reading_agrees_with_pythons_own(raw: bytes) -> None:
    try:
        expected = json.loads(raw.decode())
    except (ValueError, RecursionError):
        expected = None
    try:
        found = Document.parse(raw).values
    except InvalidDocument:
        found = None
    assert found == (expected if isinstance(expected, dict) else None)
