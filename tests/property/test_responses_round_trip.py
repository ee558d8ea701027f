"""Both halves of Responses against each other: what one writes the other reads, and it is the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulator import responses_requests
from ownkey.domain.usage import Usage
from ownkey.providers import Call
from ownkey.providers.crossing import (
    Answer,
    Conversation,
    Document,
    Finish,
    Format,
    Image,
    Inline,
    Link,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    folded,
)
from ownkey.providers.responses.api import ResponsesApi
from ownkey.providers.responses.client import ResponsesClient
from tests.support.providers import CATALOG, annotate, call

API, CLIENT = ResponsesApi(), ResponsesClient()
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
TOOLS = (
    Tool("f", "Does it.", SCHEMA, strict=True),
    Tool("patch", free_form=True),
    Tool("g", schema=SCHEMA, strict=False),
)

CHOICES = (
    None,
    ToolChoice("auto"),
    ToolChoice("required"),
    ToolChoice("named", ("patch",)),
    ToolChoice("auto", ("f", "g")),
)

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
ids = st.text("abcdef0123456789_", min_size=1, max_size=30)
images = st.builds(
    Image,
    st.builds(Inline, st.just("image/png"), st.just("iVBORw0KGgo=")) | st.just(Link("https://example.com/a.png")),
    st.sampled_from(["low", "high", "auto"]),
)
documents = st.builds(
    Document, st.just(Inline("application/pdf", "JVBERi0=")), st.from_regex(r"[a-z]{1,8}\.pdf", fullmatch=True)
)
texts = st.builds(Text, words)
own_thoughts = st.builds(
    lambda text, id: Thinking(text, responses_requests.encrypted(text), Format.OPENAI, f"rs_{id}"), words, ids
)
hidden_thoughts = st.builds(
    lambda id: RedactedThinking(responses_requests.encrypted(id), Format.OPENAI, f"rs_{id}"), ids
)


@st.composite
def loops(draw: st.DrawFn) -> list[Turn]:
    """What a user says, what the model thinks, says and calls, and what the tools gave."""
    asked: list[Part] = draw(st.lists(texts | images | documents, min_size=1, max_size=3))
    names = draw(st.lists(st.sampled_from(["f", "patch"]), max_size=3))
    calls = [ToolUse(f"call_{draw(ids)}_{at}", name, draw(words) if name == "patch" else "{}")
             for at, name in enumerate(names)]  # fmt: skip
    answered: list[Part] = [*draw(st.lists(own_thoughts | hidden_thoughts, max_size=2)), Text(draw(words)), *calls]
    given = [ToolResult(each.id, each.name, (Text(draw(words)),)) for each in calls]
    turns = [Turn(Role.USER, tuple(asked)), Turn(Role.ASSISTANT, tuple(answered))]
    return [*turns, *([Turn(Role.USER, tuple(given))] if given else [])]


conversations = st.builds(
    Conversation,
    system=st.lists(texts, max_size=1).map(tuple),
    turns=loops().map(lambda turns: (*turns, Turn(Role.SYSTEM, (Text("Quick!"),)), Turn(Role.USER, (Text("Well?"),)))),
    tools=st.just(TOOLS),
    tool_choice=st.sampled_from(CHOICES),
    parallel_tool_calls=st.none() | st.booleans(),
    output=st.sampled_from([None, OutputFormat(), OutputFormat(SCHEMA, "name", "What it is.", True)]),
    reasoning=st.sampled_from([None, Reasoning("low"), Reasoning("high", visible=True, summary="detailed")]),
    max_output_tokens=st.none() | st.integers(16, 10_000),
    verbosity=st.sampled_from([None, "low"]),
    service_tier=st.sampled_from([None, "flex"]),
    user=st.none() | st.just("ada"),
    metadata=st.none() | st.just({"team": "red"}),
    cache_key=st.none() | st.just("k"),
    stream=st.booleans(),
)


def aimed(body: dict[str, Any]) -> Call:
    return replace(call({"model": "gpt-5.4-mini", **body}), model=CATALOG.model("openai", "gpt-5.4-mini"))


@given(conversations)
@settings(max_examples=60, deadline=None)
def test_a_request_that_is_written_is_read_as_it_was(conversation: Conversation) -> None:
    encoded = API.write_request(aimed({}), conversation)
    assert encoded.dropped == ()
    body = json.loads(encoded.body)
    responses_requests.check(body)
    again = CLIENT.read_request(body)
    assert again.others == {}
    assert replace(again, names={}) == conversation


used = st.builds(Usage, input=st.integers(1, 99), cache_read=st.integers(0, 99), output=st.integers(0, 99))
parts = (
    texts
    | own_thoughts
    | hidden_thoughts
    | st.builds(Refusal, words)
    | st.builds(lambda id, text: ToolUse(f"c_{id}", "patch", text), ids, words.filter(lambda text: "{" not in text))
    | st.builds(lambda id: ToolUse(f"c_{id}", "f", '{"a":"b"}'), ids)
)


@given(st.lists(parts, max_size=5), st.none() | used, st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_answer_that_is_written_is_read_as_it_was(said: list[Any], usage: Usage | None, cut: bool) -> None:
    kinds = {type(part) for part in said}
    finish = Finish.TOOL_USE if ToolUse in kinds else Finish.REFUSAL if Refusal in kinds else Finish.END
    finish = Finish.LENGTH if cut else finish
    answer = Answer(tuple(said), finish, "resp_1", "m", usage=usage)
    request = aimed({"input": "x", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}]})
    conversation = CLIENT.read_request(request.body.values)
    whole = API.read_answer(request, CLIENT.write_answer(request, conversation, answer, annotate))
    assert (whole.parts, whole.finish, whole.id, whole.model) == (answer.parts, finish, "resp_1", "m")
    assert whole.usage == usage
    reader, writer = API.reader(request), CLIENT.writer(request, conversation, annotate)
    stream = json.loads(CLIENT.write_answer(request, conversation, answer, annotate))
    told = b"".join(
        writer.write(event)
        for event in API.reader(request).read({"type": f"response.{stream['status']}", "response": stream})  # type: ignore[attr-defined]
    )
    assert folded([*reader.feed(told), *reader.close(orderly=True)]) == whole
