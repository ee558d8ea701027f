"""What clients of chat completions are given: whole and in chunks, by what their request asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.usage import Terms, Usage
from ownkey.providers.crossing import (
    Answer,
    ArgumentsAdded,
    Begun,
    Citation,
    CitationAdded,
    Conversation,
    Counted,
    Ended,
    Event,
    Finish,
    PartBegun,
    PartEnded,
    Reasoning,
    RedactedThinking,
    SignatureAdded,
    Text,
    TextAdded,
    Thinking,
    Tool,
    ToolUse,
)
from ownkey.providers.openai.client import ChatClient
from tests.support.providers import CHAT, annotate, call, events

CLIENT = ChatClient()
CLAUDES = "anthropic-claude-v1"
PLAIN = Conversation()
END = Ended(Finish.END, None, "end_turn")
CALLED = Ended(Finish.TOOL_USE, None, "tool_use")


def chunks(*told: Event, asked: Conversation = PLAIN) -> list[Any]:
    """The chunks of a stream; the events begin it."""
    writer = CLIENT.writer(call(CHAT), asked, annotate)
    sent = events(b"".join(map(writer.write, [Begun("id", "m"), *told])))
    assert sent.pop() == "[DONE]"
    return sent


def deltas(*told: Event, asked: Conversation = PLAIN) -> list[dict[str, Any]]:
    return [each["choices"][0]["delta"] for each in chunks(*told, asked=asked) if each["choices"]]


def whole(answer: Answer, asked: Conversation = PLAIN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CLIENT.write_answer(call(CHAT), asked, answer, annotate))
    return found


def message(*parts: Any, asked: Conversation = PLAIN, finish: Finish = Finish.END) -> dict[str, Any]:
    found: dict[str, Any] = whole(Answer(parts, finish), asked)["choices"][0]["message"]
    return found


def test_the_role_comes_with_the_first_delta_alone() -> None:
    said = deltas(PartBegun(0, Text()), TextAdded(0, "a"), TextAdded(0, "b"), PartEnded(0), END)
    assert said == [{"role": "assistant", "content": "a", "refusal": None}, {"content": "b"}, {}]


def test_nothing_said_is_an_empty_text() -> None:
    assert deltas(END) == [{"role": "assistant", "content": ""}]
    assert message()["content"] is None


@pytest.mark.parametrize("id_", ["id", None])
def test_an_answer_without_id_or_model_has_some(id_: str | None) -> None:
    answer = Answer((Text("a"),), Finish.END, id_, None)
    told = whole(answer)
    assert told["id"] == (id_ or told["id"])
    assert len(told["id"]) > 1
    assert told["model"] == CHAT["model"]
    assert whole(answer) == told


class TestThoughts:
    STREAM = (
        PartBegun(0, Thinking()),
        TextAdded(0, "a"),
        SignatureAdded(0, "s", CLAUDES),
        PartEnded(0),
        PartBegun(1, RedactedThinking("d", CLAUDES)),
        PartEnded(1),
        PartBegun(2, Text()),
        TextAdded(2, "b"),
        PartEnded(2),
        END,
    )
    PARTS = (Thinking("a", "s", CLAUDES), RedactedThinking("d", CLAUDES), Text("b"))
    TEXT = {"type": "reasoning.text", "text": "a", "index": 0, "signature": "s", "format": CLAUDES}  # noqa: RUF012
    REDACTED = {"type": "reasoning.encrypted", "data": "d", "format": CLAUDES, "index": 1}  # noqa: RUF012

    def test_are_shown_with_what_proves_them(self) -> None:
        said = message(*self.PARTS)
        assert (said["reasoning_content"], said["reasoning_details"]) == ("a", [self.TEXT, self.REDACTED])
        first, second, third, *_ = deltas(*self.STREAM)
        assert (first["reasoning_content"], first["reasoning_details"][0]["text"]) == ("a", "a")
        assert second["reasoning_details"][0]["signature"] == "s"
        assert third["reasoning_details"] == [self.REDACTED]

    def test_come_back_as_they_were_given(self) -> None:
        said = message(*self.PARTS)
        asked = CLIENT.read_request({"model": "m", "messages": [CHAT["messages"][0], said]})
        assert asked.turns[1].parts == self.PARTS

    def test_are_hidden_where_the_client_says_so(self) -> None:
        asked = Conversation(reasoning=Reasoning(visible=False))
        said = message(*self.PARTS, asked=asked)
        assert "reasoning_content" not in said
        assert [each["type"] for each in said["reasoning_details"]] == ["reasoning.encrypted"]
        told = deltas(*self.STREAM, asked=asked)
        assert not any("reasoning_content" in each for each in told)
        assert [each["type"] for delta in told for each in delta.get("reasoning_details", ())] == [
            "reasoning.encrypted"
        ]


class TestCalls:
    FREE = Conversation(tools=(Tool("sql", free_form=True),))

    @pytest.mark.parametrize("arguments", ['{"input":"select 1"}', "select 1"])
    def test_of_a_free_form_tool_have_its_text(self, arguments: str) -> None:
        (use,) = message(ToolUse("c", "sql", arguments), asked=self.FREE)["tool_calls"]
        assert use == {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
        half = len(arguments) // 2
        pieces = [ArgumentsAdded(0, arguments[:half]), ArgumentsAdded(0, arguments[half:])]
        told = deltas(PartBegun(0, ToolUse("c", "sql")), *pieces, PartEnded(0), CALLED, asked=self.FREE)
        inputs = [use["custom"]["input"] for delta in told for use in delta.get("tool_calls", ())]
        assert "".join(inputs) == "select 1"

    def test_of_functions_of_the_old_form(self) -> None:
        asked = Conversation(tools=(Tool("f"),), names={"tools": "functions"})
        told = whole(Answer((ToolUse("c", "f", ""),), Finish.TOOL_USE), asked)["choices"][0]
        assert told["message"]["function_call"] == {"name": "f", "arguments": "{}"}
        assert told["finish_reason"] == "function_call"
        said = chunks(PartBegun(0, ToolUse("c", "f")), PartEnded(0), CALLED, asked=asked)
        assert [each["choices"][0]["delta"].get("function_call") for each in said] == [
            {"name": "f", "arguments": ""}, {"arguments": "{}"}, None
        ]  # fmt: skip
        assert said[-1]["choices"][0]["finish_reason"] == "function_call"

    def test_that_overlap_keep_their_index(self) -> None:
        begun = [PartBegun(at, ToolUse(f"c{at}", "f")) for at in (0, 1)]
        told = deltas(*begun, ArgumentsAdded(1, "{}"), ArgumentsAdded(0, "{}"), PartEnded(0), PartEnded(1), CALLED)
        pieces = [(use["index"], use["function"]["arguments"]) for delta in told for use in delta.get("tool_calls", ())]
        assert pieces == [(0, ""), (1, ""), (1, "{}"), (0, "{}")]


def test_citations_are_counted_from_the_start_of_the_content() -> None:
    page = Citation("url", "https://example.com", "A")
    paper = Citation("document", title="B")
    cited = [Text("ab"), Text("cd", citations=(page, replace(page, start=1, end=2), paper))]
    places = [(each["url_citation"]["start_index"], each["url_citation"]["end_index"])
              for each in message(*cited)["annotations"]]  # fmt: skip
    assert places == [(2, 4), (3, 4)]
    told = deltas(
        PartBegun(0, Text()), TextAdded(0, "ab"), PartEnded(0),
        PartBegun(1, Text()), CitationAdded(1, page), TextAdded(1, "cd"), PartEnded(1), END,
    )  # fmt: skip
    assert [each["annotations"][0]["url_citation"]["start_index"] for each in told if "annotations" in each] == [2]


class TestUsage:
    USAGE = Usage(input=3, cache_read=4, cache_write_5m=5, cache_write_1h=6, output=7, reasoning=8)

    def test_is_openais_arithmetic_annotated(self) -> None:
        told = whole(Answer((), Finish.END, usage=self.USAGE, terms=Terms("priority")))
        usage = told["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (18, 15, 33)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 4
        assert usage["prompt_tokens_details"]["cache_write_tokens"] == 11
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 8
        assert (usage["is_byok"], usage["cost"], told["service_tier"]) == (True, 33, "priority")

    def test_is_told_at_the_end_of_a_stream_that_asked(self) -> None:
        asked = Conversation(include_usage=True)
        *before, last = chunks(Counted(Usage(output=1), Terms()), Counted(self.USAGE, Terms()), END, asked=asked)
        assert (last["choices"], last["usage"]["total_tokens"]) == ([], 33)
        assert all(each["usage"] is None for each in before)
        unasked = chunks(Counted(self.USAGE, Terms()), END, asked=Conversation(include_usage=False))
        assert all("usage" not in each for each in unasked)

    def test_that_nobody_told_is_not_made_up(self) -> None:
        assert all(each["choices"] for each in chunks(END, asked=Conversation(include_usage=True)))
        assert "usage" not in whole(Answer((), Finish.END))
