"""Answers of compatible providers, each departing from OpenAI's chat completions in its own way, read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.catalog import Parameters, ReasoningField
from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse
from ownkey.providers.crossing import (
    Answer,
    Citation,
    Ended,
    Event,
    Finish,
    PartEnded,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    folded,
)
from ownkey.providers.openai.answers_in import ChatReader, read_answer

DONE = b"data: [DONE]\n\n"
TAGS = Parameters(reasoning=ReasoningField.THINK_TAGS)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more.pop("choice", {})}
    return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice], **more}).encode() + b"\n\n"


def call(**fields: Any) -> dict[str, Any]:
    """A delta of one call."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {"tool_calls": [{**fields, "function": function}]}


def events(*deltas: dict[str, Any], finish: str | None = "stop", parameters: Parameters | None = None) -> list[Event]:
    reader = ChatReader(parameters or Parameters())
    stream = b"".join(map(chunk, deltas)) + chunk({}, finish) + DONE
    return [*reader.feed(stream), *reader.close(orderly=True)]


def answer(*deltas: dict[str, Any], finish: str | None = "stop", parameters: Parameters | None = None) -> Answer:
    return folded(events(*deltas, finish=finish, parameters=parameters))


def uses(*deltas: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = answer(*deltas)
    assert found.finish is Finish.TOOL_USE
    return [(part.id, part.name, part.arguments) for part in found.parts if isinstance(part, ToolUse)]


class TestCalls:
    def test_in_fragments_as_openai_has_them(self) -> None:
        first = [
            call(index=0, id="a", name="f", arguments=""),
            call(index=0, arguments='{"x"'),
            call(index=0, arguments=":1}"),
        ]
        assert uses(*first, call(index=1, id="b", name="g", arguments="{}")) == [
            ("a", "f", '{"x":1}'),
            ("b", "g", "{}"),
        ]

    def test_one_is_over_when_the_next_begins(self) -> None:
        said = events(call(index=0, id="a", name="f", arguments="{}"), call(index=1, id="b", name="g", arguments="{}"))
        assert said.index(PartEnded(0)) < len(said) - 3

    def test_interleaved(self) -> None:
        begun = [call(index=0, id="a", name="f", arguments='{"x"'), call(index=1, id="b", name="g", arguments='{"y"')]
        assert uses(*begun, call(index=0, arguments=":1}"), call(index=1, arguments=":2}")) == [
            ("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')
        ]  # fmt: skip

    def test_with_id_and_name_in_every_chunk(self) -> None:
        pieces = [call(index=0, id="a", name="f", arguments=piece) for piece in ('{"x"', ":1", "}")]
        assert uses(*pieces) == [("a", "f", '{"x":1}')]

    def test_without_index(self) -> None:
        pieces = [
            call(id="a", name="f", arguments='{"x"'),
            call(arguments=":1}"),
            call(id="b", name="f", arguments="{}"),
        ]
        assert uses(*pieces) == [("a", "f", '{"x":1}'), ("b", "f", "{}")]

    def test_without_index_and_id(self) -> None:
        pieces = [call(name="f", arguments='{"x"'), call(name="f", arguments=":1}"), call(name="f", arguments="{}")]
        (one, name, arguments), (two, _, more) = uses(*pieces)
        assert (name, arguments, more) == ("f", '{"x":1}', "{}")
        assert one != two
        assert one.startswith("call_")
        assert uses(*pieces) == uses(*pieces)

    def test_several_at_once_without_index(self) -> None:
        both = {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}},
                               {"id": "b", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
        assert [id_ for id_, _, _ in uses(both)] == ["a", "b"]

    def test_all_under_one_index(self) -> None:
        pieces = [call(index=0, id=id_, name="f", arguments='{"x":1}') for id_ in ("a", "b")]
        assert [(id_, arguments) for id_, _, arguments in uses(*pieces)] == [("a", '{"x":1}'), ("b", '{"x":1}')]

    def test_with_a_new_id_in_every_chunk(self) -> None:
        assert uses(call(index=0, id="a", name="f", arguments='{"x"'), call(index=0, id="b", arguments=":1}")) == [
            ("a", "f", '{"x":1}')
        ]

    def test_with_the_name_after_the_arguments(self) -> None:
        assert uses(call(index=0, id="a", arguments='{"x"'), call(index=0, name="f", arguments=":1}")) == [
            ("a", "f", '{"x":1}')
        ]

    def test_with_arguments_that_are_an_object(self) -> None:
        assert uses(call(index=0, id="a", name="f", arguments={"x": 1})) == [("a", "f", '{"x":1}')]

    def test_after_text_that_goes_on(self) -> None:
        said = answer({"content": "a"}, call(index=0, id="a", name="f", arguments="{}"), {"content": "b"})
        assert [type(part) for part in said.parts] == [Text, ToolUse, Text]

    def test_of_free_form_tools(self) -> None:
        custom = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "select"}}
        more = {"index": 0, "custom": {"input": " 1"}}
        assert uses({"tool_calls": [custom]}, {"tool_calls": [more]}) == [("a", "sql", "select 1")]


class TestThoughts:
    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_beside_the_content(self, name: str) -> None:
        said = answer({"role": "assistant", "content": "", name: "a"}, {name: "b"}, {"content": "c"})
        assert said.parts == (Thinking("ab"), Text("c"))

    def test_under_both_names_are_read_once(self) -> None:
        assert answer({"reasoning": "a", "reasoning_content": "a"}).parts == (Thinking("a"),)

    def test_are_their_details_words_but_where_those_are_encrypted(self) -> None:
        text = {"type": "reasoning.text", "text": "a", "index": 0}
        hidden = {"type": "reasoning.encrypted", "data": "d", "format": "google-gemini-v1", "index": 1}
        said = answer(
            {"reasoning": "a", "reasoning_details": [text]}, {"reasoning": "b", "reasoning_details": [hidden]}
        )
        assert said.parts == (Thinking("ab"), RedactedThinking("d", "google-gemini-v1"))

    def test_as_parts_of_the_content(self) -> None:
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}
        said = answer({"content": [thought]}, {"content": [{"type": "text", "text": "b"}]}, {"content": "c"})
        assert said.parts == (Thinking("a"), Text("bc"))

    @pytest.mark.parametrize(
        ("pieces", "parts"),
        [
            (["<think>", "a b", "</think>", "\n\n", "c"], (Thinking("a b"), Text("c"))),
            (["<th", "ink>a</", "thin", "k>c"], (Thinking("a"), Text("c"))),
            (["\n<think>a</think>\n\nc</think>"], (Thinking("a"), Text("c</think>"))),
            (["<think>a < b</thinner> c"], (Thinking("a < b</thinner> c"),)),
            (["<think>a</th"], (Thinking("a</th"),)),
            (["<think></think>c"], (Text("c"),)),
            (["<thought>c"], (Text("<thought>c"),)),
            (["c <think>"], (Text("c <think>"),)),
            (["<th"], (Text("<th"),)),
        ],
    )
    def test_between_tags(self, pieces: list[str], parts: tuple[Any, ...]) -> None:
        assert answer(*({"content": piece} for piece in pieces), parameters=TAGS).parts == parts
        whole = {"id": "c1", "choices": [{"message": {"content": "".join(pieces)}, "finish_reason": "stop"}]}
        assert read_answer(json.dumps(whole).encode(), ChatReader(TAGS)).parts == parts

    def test_tags_are_text_where_the_row_does_not_say_so(self) -> None:
        assert answer({"content": "<think>a</think>b"}).parts == (Text("<think>a</think>b"),)

    def test_between_tags_before_a_call(self) -> None:
        said = answer({"content": "<think>a</th"}, call(index=0, id="a", name="f", arguments="{}"), parameters=TAGS)
        assert said.parts == (Thinking("a</th"), ToolUse("a", "f", "{}"))


class TestEnds:
    @pytest.mark.parametrize(
        ("word", "finish"),
        [
            ("stop", Finish.END),
            ("eos", Finish.END),
            ("length", Finish.LENGTH),
            ("model_length", Finish.CONTEXT_WINDOW),
            ("content_filter", Finish.CONTENT_FILTER),
            ("sensitive", Finish.CONTENT_FILTER),
            ("of_tomorrow", Finish.OTHER),
        ],
    )
    def test_words(self, word: str, finish: Finish) -> None:
        said = answer({"content": "a"}, finish=word)
        assert (said.finish, said.native_finish) == (finish, word)

    @pytest.mark.parametrize("word", ["tool_calls", "tool_use", "function_call"])
    def test_a_call_that_never_came_is_no_call(self, word: str) -> None:
        """An agent that is told of one waits for it, or asks again and again."""
        said = answer({"content": "a"}, finish=word)
        assert (said.finish, said.native_finish) == (Finish.END, word)

    def test_a_refusal_is_no_end(self) -> None:
        said = answer({"refusal": "I"}, {"refusal": " won't"})
        assert (said.parts, said.finish) == ((Refusal("I won't"),), Finish.REFUSAL)

    def test_the_sequence_where_it_is_told(self) -> None:
        reader = ChatReader(Parameters())
        said = folded(reader.feed(chunk({"content": "a"}, "stop", choice={"stop_reason": "END"}) + DONE))
        assert (said.finish, said.stop_sequence) == (Finish.STOP_SEQUENCE, "END")

    def test_a_finish_reason_ends_a_stream_without_done(self) -> None:
        reader = ChatReader(Parameters())
        assert not any(isinstance(each, Ended) for each in reader.feed(chunk({"content": "a"}, "stop")))
        assert isinstance([*reader.close(orderly=True)][-1], Ended)

    @pytest.mark.parametrize(("finish", "orderly"), [(None, True), ("stop", False)])
    def test_a_cut_stream_has_no_end(self, finish: str | None, orderly: bool) -> None:
        reader = ChatReader(Parameters())
        assert not any(isinstance(each, Ended) for each in reader.feed(chunk({"content": "a"}, finish)))
        assert [*reader.close(orderly=orderly)] == []

    def test_done_without_its_blank_line_is_done(self) -> None:
        reader = ChatReader(Parameters())
        assert isinstance(
            [*reader.feed(chunk({"content": "a"}) + b"data: [DONE]"), *reader.close(orderly=True)][-1], Ended
        )

    @pytest.mark.parametrize(
        "data",
        [
            b'data: {"error":{"message":"late","code":502}}\n\n',
            b'data: {"object":"error","message":"late","code":400}\n\n',
            chunk({}, "error"),
            chunk({}, "error", choice={"error": {"message": "late", "code": 429}}),
            b"data: {\n\n",
            b"data: []\n\n",
            b'data: {"choices":[{"logprobs":NaN}]}\n\n',
            DONE,
        ],
    )
    def test_failures_come_after_what_was_before_them(self, data: bytes) -> None:
        reader, seen = ChatReader(Parameters()), []
        before = b"" if data == DONE else chunk({"content": "a"})
        with pytest.raises(ProviderFailure):
            seen.extend(reader.feed(before + data))
        assert len(seen) == (3 if before else 0)

    def test_a_whole_answer_that_is_none(self) -> None:
        for body in (b"", b"[]", b"{}", b'{"choices":null}', b'{"choices":{}}', b'{"choices":[]}'):
            with pytest.raises(ProviderInvalidResponse):
                read_answer(body, ChatReader(Parameters()))


class TestUsage:
    USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("path", "last"),
        [
            ("usage", {"usage": USED}),
            ("choices.usage", {"choice": {"usage": USED}}),
            ("x_groq.usage", {"x_groq": {"usage": USED}}),
        ],
    )
    def test_where_the_row_says(self, path: str, last: dict[str, Any]) -> None:
        reader = ChatReader(Parameters(usage=path))
        said = folded([*reader.feed(chunk({"content": "a"}) + chunk({}, "stop", **last) + DONE)])
        assert said.usage is not None
        assert said.usage.total_tokens == 5

    def test_in_every_chunk_is_told_when_it_changes(self) -> None:
        reader = ChatReader(Parameters())
        counts = [{"prompt_tokens": 3, "completion_tokens": each} for each in (0, 1, 1, 2)]
        said = [*reader.feed(b"".join(chunk({"content": "a"}, usage=each) for each in counts) + DONE)]
        assert [type(each).__name__ for each in said].count("Counted") == 3
        usage = folded(said).usage
        assert usage is not None
        assert usage.total_tokens == 5

    def test_none_is_none(self) -> None:
        assert answer({"content": "a"}).usage is None


def test_azures_first_chunk_is_no_beginning() -> None:
    filters = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'
    reader = ChatReader(Parameters())
    assert [*reader.feed(filters)] == []
    said = folded([*reader.feed(chunk({"content": "a"}, "stop") + DONE)])
    assert (said.id, said.model) == ("c1", "m")


@pytest.mark.parametrize(
    ("sources", "title"),
    [
        ({"search_results": [{"url": "https://example.com", "title": "A", "date": None}], "citations": ["x"]}, "A"),
        ({"citations": ["https://example.com", 7]}, None),
    ],
)
def test_sources_of_the_whole_answer_are_citations(sources: dict[str, Any], title: str | None) -> None:
    reader = ChatReader(Parameters())
    said = folded(reader.feed(chunk({"content": "a"}, **sources) + chunk({}, "stop", **sources) + DONE))
    assert said.parts == (Text("a", citations=(Citation("url", "https://example.com", title),)),)


def test_citations_stand_at_the_text() -> None:
    cited = {"url": "https://example.com", "title": "A", "start_index": 0, "end_index": 1}
    said = answer({"content": "a"}, {"annotations": [{"type": "url_citation", "url_citation": cited}, None, {}]})
    assert said.parts == (Text("a", citations=(Citation("url", "https://example.com", "A", start=0, end=1),)),)
