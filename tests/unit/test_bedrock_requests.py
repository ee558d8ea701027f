"""What a conversation is on Converse: each request here is also one that botocore would send."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from local.simulator.eventstream import event
from ownkey.domain.errors import (
    CredentialsExhausted,
    InvalidParameter,
    ProviderInvalidResponse,
    ProviderRefused,
    UnsupportedParameter,
)
from ownkey.domain.faults import FaultKind, fault_of
from ownkey.providers import Encoded
from ownkey.providers.bedrock.answers import read
from ownkey.providers.bedrock.api import ConverseApi, ConverseCount
from ownkey.providers.crossing import (
    FREE_FORM_SCHEMA,
    Audio,
    CacheMark,
    Conversation,
    Counted,
    Document,
    Ended,
    FileId,
    Finish,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
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
from tests.support.bedrock import converse_stream, problems
from tests.support.providers import CATALOG, call

NOVA, LLAMA, OPEN = "us.amazon.nova-pro-v1:0", "meta.llama3-1-70b-instruct-v1:0", "openai.gpt-oss-120b-1:0"
NOVA_2, MISTRAL = "global.amazon.nova-2-lite-v1:0", "mistral.mistral-large-2402-v1:0"
OWN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
DATA = base64.b64encode(b"data").decode()
PNG = Inline("image/png", DATA)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOSED = SCHEMA | {"additionalProperties": False}
OPENED = SCHEMA | {"additionalProperties": {"type": "string"}}
WEATHER = Tool("get_weather", "The weather.", SCHEMA)
API = ConverseApi()


def said(*parts: Part, role: Role = Role.USER) -> Turn:
    return Turn(role, parts)


def asked(*turns: Turn, model: str = NOVA, **wishes: Any) -> tuple[dict[str, Any], Encoded]:
    """The body, and all of the request."""
    conversation = Conversation(turns=turns or (said(Text("Hello")),), **wishes)
    request = call({"model": model, "stream": wishes.get("stream", False)}, provider="bedrock")
    sent = API.write_request(request, conversation)
    body = json.loads(sent.body)
    assert problems("ConverseStream" if conversation.stream else "Converse", body) == ""
    return body, sent


def refusal(*turns: Turn, **wishes: Any) -> str:
    with pytest.raises(UnsupportedParameter) as refused:
        asked(*turns, **wishes)
    return str(refused.value.param)


def nova_thinks(effort: str) -> dict[str, Any]:
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


class TestTheAddress:
    def test_model_and_stream_are_in_the_url(self) -> None:
        assert asked()[1].url.endswith("/model/us.amazon.nova-pro-v1%3A0/converse")
        assert asked(stream=True)[1].url.endswith("/model/us.amazon.nova-pro-v1%3A0/converse-stream")

    def test_an_arn_is_one_segment(self) -> None:
        url = asked(model=OWN)[1].url
        escaped = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2c3"
        assert url.endswith(f"/model/{escaped}/converse")

    @pytest.mark.parametrize("model", ["a b", "a%2Fb", "a?b", "a#b", "..", "a/../b", "/a", "a//b", "ä", "a\\b", "a;b"])
    def test_a_name_that_is_none_goes_nowhere(self, model: str) -> None:
        with pytest.raises(InvalidParameter) as refused:
            asked(model=model)
        assert refused.value.param == "model"

    def test_nothing_of_the_clients_headers_goes_on(self) -> None:
        request = call({"model": NOVA}, provider="bedrock", client_headers={"anthropic-beta": "x", "x-api-key": "k"})
        sent = API.write_request(request, Conversation(turns=(said(Text("Hello")),)))
        assert sent.headers == {"content-type": "application/json", "accept": "application/json"}


class TestTurns:
    def test_system_texts_stand_apart_and_later_ones_in_their_place(self) -> None:
        kind = said(Text("Be kind."), role=Role.SYSTEM)
        body, _ = asked(said(Text("Hello")), kind, said(Text("You?")), system=(Text("Be brief."),))
        assert body["system"] == [{"text": "Be brief."}]
        content = [{"text": "Hello"}, {"text": "<system>\nBe kind.\n</system>"}, {"text": "You?"}]
        assert body["messages"] == [{"role": "user", "content": content}]

    def test_without_any_turn_the_system_texts_are_the_users(self) -> None:
        request = call({"model": NOVA}, provider="bedrock")
        sent = json.loads(API.write_request(request, Conversation(system=(Text("Go."),))).body)
        assert sent == {"messages": [{"role": "user", "content": [{"text": "Go."}]}]}

    def test_texts_of_nothing_are_left_out_and_so_are_turns_of_nothing(self) -> None:
        body, _ = asked(said(Text("Hello"), Text(" \n")), said(Text(""), role=Role.ASSISTANT), said(Text("More")))
        assert body["messages"] == [{"role": "user", "content": [{"text": "Hello"}, {"text": "More"}]}]

    @pytest.mark.parametrize("before", [(), (said(Text(" ")),)], ids=["a greeting", "behind nothing"])
    def test_where_the_assistant_speaks_first_the_user_says_nothing_before_it(self, before: tuple[Turn, ...]) -> None:
        """ "A conversation must start with a user message": deepgram-python-sdk 760."""
        greeting = said(Text("How can I help?"), role=Role.ASSISTANT)
        body, sent = asked(*before, greeting, said(Text("Hello")), system=(Text("Be kind."),))
        assert [(each["role"], each["content"][0]["text"]) for each in body["messages"]] == [
            ("user", "(no message)"),
            ("assistant", "How can I help?"),
            ("user", "Hello"),
        ]
        assert sent.dropped == ()

    def test_names_of_speakers_are_dropped(self) -> None:
        assert asked(Turn(Role.USER, (Text("Hello"),), name="Ann"))[1].dropped == ("messages.name",)


class TestMedia:
    def test_an_image_is_sent_as_data(self) -> None:
        body, sent = asked(said(Image(PNG, detail="low"), Text("What is it?")))
        assert body["messages"][0]["content"][0] == {"image": {"format": "png", "source": {"bytes": DATA}}}
        assert sent.dropped == ("messages.detail",)

    @pytest.mark.parametrize(
        "part",
        [
            Image(Link("https://example.com/a.png")),
            Image(Link("s3://a-bucket-of-someone/a.png", "image/png")),
            Image(FileId("file-1")),
            Image(Inline("image/tiff", DATA)),
            Document(Link("https://example.com/a.pdf")),
            Document(Inline("application/zip", DATA)),
            Audio(Inline("audio/wav", DATA)),
        ],
        ids=lambda part: f"{type(part).__name__} {type(part.source).__name__}",
    )
    def test_what_would_have_to_be_fetched_or_cannot_be_read_is_refused(self, part: Part) -> None:
        assert refusal(said(part)) == "messages"

    def test_data_that_is_none_is_the_clients_mistake(self) -> None:
        with pytest.raises(InvalidParameter):
            asked(said(Image(Inline("image/png", "not base64!"))))

    @pytest.mark.parametrize(
        ("stated", "name"),
        [
            (None, "document"),
            ("Q3 report.pdf", "Q3 report pdf"),
            ("a/b\\c:d", "a b c d"),
            ("  two\t\nspaces  ", "two spaces"),
            ("[draft] (final)-2", "[draft] (final)-2"),
            ("übersicht_2026", "bersicht 2026"),
            ("…", "document"),
            ("x" * 300, "x" * 200),
        ],
    )
    def test_a_documents_name_is_made_to_fit_bedrocks_rule(self, stated: str | None, name: str) -> None:
        body, _ = asked(said(Document(Inline("application/pdf", DATA), stated), Text("Sum it up.")))
        document = body["messages"][0]["content"][0]["document"]
        assert document == {"format": "pdf", "name": name, "source": {"bytes": DATA}}

    def test_no_two_documents_have_one_name(self) -> None:
        one = Document(Inline("text/plain", DATA), "notes", context="old ones", citations=True)
        body, _ = asked(said(one, one, Text("Compare.")), said(one))
        documents = [block["document"] for block in body["messages"][0]["content"] if "document" in block]
        assert [each["name"] for each in documents] == ["notes", "notes (2)", "notes (3)"]
        assert documents[0]["format"] == "txt"
        assert documents[0]["citations"] == {"enabled": True}
        assert documents[0]["context"] == "old ones"


class TestThinking:
    def test_only_what_converse_itself_signed_goes_back(self) -> None:
        body, sent = asked(
            said(Text("Hello")),
            said(
                Thinking("mine", "c2ln", Format.BEDROCK),
                Thinking("another's", "c2ln", Format.ANTHROPIC),
                Thinking("nobody's"),
                RedactedThinking(DATA, Format.BEDROCK),
                RedactedThinking(DATA, Format.GEMINI),
                Text("Hi"),
                role=Role.ASSISTANT,
            ),
        )
        assert body["messages"][1]["content"] == [
            {"reasoningContent": {"reasoningText": {"text": "mine", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": DATA}},
            {"text": "Hi"},
        ]
        assert sent.dropped == ()

    @pytest.mark.parametrize(
        ("model", "reasoning", "wishes", "fields"),
        [
            (OPEN, Reasoning(effort="high"), {}, {"reasoning_effort": "high"}),
            (OPEN, Reasoning(effort="minimal"), {}, {"reasoning_effort": "low"}),
            (OPEN, Reasoning(budget_tokens=500), {"max_output_tokens": 1000}, {"reasoning_effort": "medium"}),
            (OPEN, Reasoning(adaptive=True), {}, {"reasoning_effort": "medium"}),
            (
                NOVA_2,
                Reasoning(effort="low"),
                {},
                {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            ),
            (
                NOVA_2,
                Reasoning(effort="max"),
                {"max_output_tokens": 9},
                {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            ),
            (NOVA_2, Reasoning(effort="none"), {}, None),
        ],
    )
    def test_effort_is_said_as_the_family_has_it(
        self, model: str, reasoning: Reasoning, wishes: dict[str, Any], fields: dict[str, Any] | None
    ) -> None:
        body, sent = asked(model=model, reasoning=reasoning, **wishes)
        assert body.get("additionalModelRequestFields") == fields
        assert sent.dropped == ()

    def test_the_highest_effort_leaves_no_room_for_sampling(self) -> None:
        body, sent = asked(model=NOVA_2, reasoning=Reasoning(effort="high"), temperature=0.3, stop=("END",))
        assert body["inferenceConfig"] == {"stopSequences": ["END"]}
        assert sent.dropped == ("temperature",)

    @pytest.mark.parametrize("model", [LLAMA, NOVA, OWN])
    def test_a_model_that_cannot_be_asked_to_is_not(self, model: str) -> None:
        body, sent = asked(model=model, reasoning=Reasoning(effort="high"))
        assert "additionalModelRequestFields" not in body
        assert sent.dropped == ("reasoning",)


class TestTools:
    def test_a_tool_and_each_way_to_choose(self) -> None:
        body, _ = asked(tools=(WEATHER, Tool("now")))
        assert body["toolConfig"]["tools"] == [
            {"toolSpec": {"name": "get_weather", "description": "The weather.", "inputSchema": {"json": SCHEMA}}},
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        ]
        assert "toolChoice" not in body["toolConfig"]
        chosen = [
            asked(tools=(WEATHER,), tool_choice=choice)[0]["toolConfig"].get("toolChoice")
            for choice in (ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", ("get_weather",)))
        ]
        assert chosen == [None, {"any": {}}, {"tool": {"name": "get_weather"}}]
        assert "toolConfig" not in asked(tools=(WEATHER,), tool_choice=ToolChoice("none"))[0]

    def test_of_tools_to_choose_from_the_others_are_left_out(self) -> None:
        body, _ = asked(tools=(WEATHER, Tool("now")), tool_choice=ToolChoice("required", ("now",)))
        assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["now"]

    @pytest.mark.parametrize(("model", "mode"), [(LLAMA, "required"), (LLAMA, "named")])
    def test_a_call_that_cannot_be_demanded_is_refused(self, model: str, mode: Any) -> None:
        names = ("get_weather",) if mode == "named" else ()
        assert refusal(model=model, tools=(WEATHER,), tool_choice=ToolChoice(mode, names)) == "tool_choice"

    def test_a_named_tool_is_the_only_one_where_that_is_all_that_can_be_said(self) -> None:
        choice = ToolChoice("named", ("now",))
        config = asked(model=MISTRAL, tools=(WEATHER, Tool("now")), tool_choice=choice)[0]["toolConfig"]
        assert [each["toolSpec"]["name"] for each in config["tools"]] == ["now"]
        assert config["toolChoice"] == {"any": {}}

    def test_what_is_strict_only_where_schemas_hold(self) -> None:
        strict = Tool("a", schema=SCHEMA, strict=True)
        held = asked(model=OPEN, tools=(strict,))[0]["toolConfig"]["tools"][0]["toolSpec"]
        assert (held["strict"], held["inputSchema"]["json"]) == (True, CLOSED)
        _, sent = asked(model=OPEN, tools=(Tool("a", schema=OPENED, strict=True),), parallel_tool_calls=True)
        assert sent.dropped == ("tools.strict",)
        body, sent = asked(model=NOVA, tools=(strict,), parallel_tool_calls=False)
        assert "strict" not in body["toolConfig"]["tools"][0]["toolSpec"]
        assert sent.dropped == ("parallel_tool_calls", "tools.strict")

    def test_hosted_tools_are_refused(self) -> None:
        assert refusal(tools=(HostedTool("web_search", {"type": "web_search"}),)) == "tools"

    def test_a_free_form_tool_takes_one_text(self) -> None:
        shell = Tool("shell", free_form=True, grammar={"type": "grammar"})
        body, sent = asked(
            said(Text("List.")),
            said(ToolUse("t1", "shell", "ls -l"), role=Role.ASSISTANT),
            said(ToolResult("t1", "shell", (Text("a b"),))),
            tools=(shell,),
        )
        assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": FREE_FORM_SCHEMA}
        assert body["messages"][1]["content"][0]["toolUse"]["input"] == {"input": "ls -l"}
        assert sent.dropped == ("tools.grammar",)

    def test_calls_and_results_keep_together_under_ids_that_bedrock_takes(self) -> None:
        long = "call|" + "x" * 100
        body, _ = asked(
            said(Text("Weather?")),
            said(ToolUse("t-1", "get_weather", '{"city":"Bern"}'), ToolUse(long, "get_weather"), role=Role.ASSISTANT),
            said(
                ToolResult("t-1", "get_weather", (Text("sunny"), Text(""), Image(PNG))),
                ToolResult(long, "get_weather", (Text("no such city", CacheMark()),), failed=True),
            ),
            tools=(WEATHER,),
        )
        first, second = (block["toolUse"] for block in body["messages"][1]["content"])
        assert first == {"toolUseId": "t-1", "name": "get_weather", "input": {"city": "Bern"}}
        assert second["input"] == {}
        results = [block["toolResult"] for block in body["messages"][2]["content"]]
        assert results == [
            {
                "toolUseId": "t-1",
                "content": [{"text": "sunny"}, {"image": {"format": "png", "source": {"bytes": DATA}}}],
            },
            {"toolUseId": second["toolUseId"], "content": [{"text": "no such city"}], "status": "error"},
        ]

    @pytest.mark.parametrize("content", [(), (Text(""),), (Text(" \n"),)])
    def test_a_result_of_nothing_says_so(self, content: tuple[Text, ...]) -> None:
        called = said(ToolUse("t1", "now", "{}"), role=Role.ASSISTANT)
        body, _ = asked(said(Text("Now?")), called, said(ToolResult("t1", "now", content)), tools=(Tool("now", " "),))
        assert body["messages"][2]["content"] == [
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "(no output)"}]}}
        ]
        assert "description" not in body["toolConfig"]["tools"][0]["toolSpec"]

    def test_tools_that_were_called_are_named_where_none_are_offered_any_more(self) -> None:
        turns = (
            said(Text("Weather?")),
            said(ToolUse("t1", "get_weather", "{}"), role=Role.ASSISTANT),
            said(ToolResult("t1", "get_weather", (Text("sunny"),))),
        )
        body, _ = asked(*turns)
        assert [each["toolSpec"]["name"] for each in body["toolConfig"]["tools"]] == ["get_weather"]
        assert refusal(*turns, tools=(WEATHER,), tool_choice=ToolChoice("none")) == "tool_choice"

    @pytest.mark.parametrize("arguments", ["[1]", "{", '"x"', '{"a":1e999}', '{"a":NaN}', "null"])
    def test_arguments_that_are_no_object_do_not_end_the_conversation(self, arguments: str) -> None:
        """A model garbles them, or a limit cuts them; they are in the history from then on (CLIProxyAPI 2001)."""
        garbled = said(ToolUse("t1", "a", arguments), role=Role.ASSISTANT)
        body, _ = asked(said(Text("x")), garbled, said(ToolResult("t1", "a", (Text("What?"),))))
        assert body["messages"][1]["content"][0]["toolUse"]["input"] == {"input": arguments}


class TestCaching:
    def test_marks_become_cache_points(self) -> None:
        body, _ = asked(
            said(Text("Long", CacheMark("1h")), Text("Hello")),
            model=OWN,
            system=(Text("Longer", CacheMark()),),
            tools=(Tool("a", cache=CacheMark()),),
            cache=CacheMark(),
        )
        point = {"cachePoint": {"type": "default"}}
        assert body["system"] == [{"text": "Longer"}, point]
        assert body["messages"][0]["content"] == [
            {"text": "Long"},
            {"cachePoint": {"type": "default", "ttl": "1h"}},
            {"text": "Hello"},
            point,
        ]
        assert body["toolConfig"]["tools"][1] == point

    def test_a_model_without_a_cache_gets_none(self) -> None:
        body, sent = asked(said(Text("Long", CacheMark())), model=LLAMA, cache=CacheMark())
        assert body["messages"][0]["content"] == [{"text": "Long"}]
        assert sent.dropped == ("cache_control",)

    @pytest.mark.parametrize(
        "model",
        [
            "us.openai.gpt-5.5",
            "moonshotai.kimi-k2.5",
            "nvidia.nemotron-super-3-120b",
            "us.deepseek.v3.2",
            "xai.grok-4.6",
        ],
    )
    def test_nor_does_any_but_anthropics_and_nova(self, model: str) -> None:
        """Bedrock: 403, "your request did not allow prompt caching" (BerriAI/litellm 39210)."""
        body, sent = asked(said(Text("Long", CacheMark())), model=model)
        assert body["messages"][0]["content"] == [{"text": "Long"}]
        assert sent.dropped == ("cache_control",)

    def test_a_cache_that_is_not_there_is_no_fault_of_the_credential(self) -> None:
        says = "You invoked an unsupported model or your request did not allow prompt caching."
        headers = {"x-amzn-errortype": "AccessDeniedException"}
        failure = ConverseApi().decode_failure(403, headers, json.dumps({"message": says}).encode())
        assert (failure.status, fault_of(failure)) == (400, None)
        assert "`cache_control`" in failure.fix

    def test_nova_caches_for_five_minutes(self) -> None:
        body, _ = asked(said(Text("Long", CacheMark("1h"))))
        assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}

    def test_nova_caches_no_tools(self) -> None:
        body, sent = asked(tools=(Tool("a", cache=CacheMark()),))
        assert len(body["toolConfig"]["tools"]) == 1
        assert sent.dropped == ("cache_control",)


class TestWishes:
    def test_inference_is_clamped_to_what_there_is(self) -> None:
        body, sent = asked(max_output_tokens=7, temperature=1.8, top_p=-0.1, stop=("END", ""))
        assert body["inferenceConfig"] == {"maxTokens": 7, "temperature": 1, "topP": 0, "stopSequences": ["END"]}
        assert sent.dropped == ()

    @pytest.mark.parametrize(("asked_for", "sent"), [(50_000, 10_000), (9_000, 9_000), (None, None)])
    def test_so_is_the_limit_to_what_the_model_can(self, asked_for: int | None, sent: int | None) -> None:
        request = replace(call({"model": NOVA}, provider="bedrock"), model=CATALOG.model("bedrock", NOVA))
        conversation = Conversation(turns=(said(Text("Hello")),), max_output_tokens=asked_for)
        body = json.loads(API.write_request(request, conversation).body)
        assert body.get("inferenceConfig", {}).get("maxTokens") == sent

    @pytest.mark.parametrize(
        ("model", "fields"), [(NOVA, {"inferenceConfig": {"topK": 5}}), (MISTRAL, {"top_k": 5}), (LLAMA, None)]
    )
    def test_top_k_stands_where_the_family_has_it(self, model: str, fields: dict[str, Any] | None) -> None:
        body, sent = asked(model=model, top_k=5)
        assert body.get("additionalModelRequestFields") == fields
        assert sent.dropped == (() if fields else ("top_k",))

    def test_what_only_tunes_is_dropped_and_told_in_the_clients_words(self) -> None:
        _, sent = asked(
            seed=1,
            presence_penalty=0.1,
            logit_bias={"1": 2},
            user="u",
            metadata={"a": "b"},
            others={"a_field_of_tomorrow": 1},
            names={"user": "safety_identifier"},
            choices=1,
        )
        dropped = ("seed", "presence_penalty", "logit_bias", "safety_identifier", "metadata", "a_field_of_tomorrow")
        assert sent.dropped == dropped

    def test_what_changes_the_answer_is_refused(self) -> None:
        assert refusal(choices=2, names={"choices": "n"}) == "n"
        assert refusal(logprobs=True) == "logprobs"

    @pytest.mark.parametrize(
        ("stated", "tier", "dropped"),
        [
            ("flex", {"type": "flex"}, ()),
            ("standard_only", {"type": "default"}, ()),
            ("auto", None, ()),
            ("scale", None, ("service_tier",)),
        ],
    )
    def test_tiers_have_bedrocks_names(self, stated: str, tier: Any, dropped: tuple[str, ...]) -> None:
        body, sent = asked(model=OWN, service_tier=stated)
        assert (body.get("serviceTier"), sent.dropped) == (tier, dropped)


class TestSchemas:
    WANTED = OutputFormat(SCHEMA, "place", "A place.", strict=True)

    def test_a_model_is_held_to_a_schema(self) -> None:
        body, _ = asked(model=OPEN, output=self.WANTED)
        text_format = body["outputConfig"]["textFormat"]
        definition = text_format["structure"]["jsonSchema"]
        assert json.loads(definition.pop("schema")) == CLOSED
        assert (text_format["type"], definition) == ("json_schema", {"name": "place", "description": "A place."})

    def test_one_that_cannot_be_gives_the_arguments_of_a_tool(self) -> None:
        request = call({"model": NOVA}, provider="bedrock")
        sent = json.loads(API.write_request(request, Conversation(turns=(said(Text("?")),), output=self.WANTED)).body)
        assert problems("Converse", sent) == ""
        assert sent["toolConfig"]["toolChoice"] == {"tool": {"name": "place"}}
        assert "outputConfig" not in sent
        called = {"toolUse": {"toolUseId": "t1", "name": "place", "input": {"city": "Bern"}}}
        answer = {"output": {"message": {"role": "assistant", "content": [called]}}, "stopReason": "tool_use"}
        whole = read(request, json.dumps(answer).encode())
        assert (whole.parts, whole.finish) == ((Text('{"city":"Bern"}'),), Finish.END)
        events = [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": "place"}}}),
            *(
                ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": piece}}})
                for piece in ('{"city"', ':"Bern"}')
            ),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "tool_use"}),
        ]
        reader = API.reader(request)
        assert folded([*reader.feed(converse_stream(events)), *reader.close(orderly=True)]) == whole

    @pytest.mark.parametrize("schema", [None, OPENED])
    def test_so_does_one_that_can_where_the_schema_lets_in_anything(self, schema: Any) -> None:
        body, _ = asked(model=OPEN, output=OutputFormat(schema, "any thing"))
        (tool,) = body["toolConfig"]["tools"]
        assert tool["toolSpec"]["name"] == "any_thing"
        assert tool["toolSpec"]["inputSchema"]["json"] == (schema or {"type": "object"})
        assert "outputConfig" not in body

    def test_nor_can_one_that_has_other_tools_or_cannot_be_made_to_call_one(self) -> None:
        assert refusal(output=self.WANTED, tools=(WEATHER,), names={"output": "response_format"}) == "response_format"
        assert refusal(model=LLAMA, output=self.WANTED) == "output"


@pytest.mark.parametrize("stop", ["malformed_tool_use", "malformed_model_output"])
def test_an_answer_that_came_to_nothing_is_a_failure_and_no_end(stop: str) -> None:
    """As an empty `stop` agents take it for the model's last word (litellm 16651)."""
    request = call({"model": NOVA, "stream": True}, provider="bedrock")
    usage = {"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}
    body = {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": stop, "usage": usage}
    with pytest.raises(ProviderInvalidResponse, match=stop):
        read(request, json.dumps(body).encode())
    events = [("messageStart", {"role": "assistant"}), ("messageStop", {"stopReason": stop})]
    reader = API.reader(request)
    assert not any(isinstance(each, Ended) for each in reader.feed(converse_stream(events)))
    with pytest.raises(ProviderInvalidResponse, match=stop):
        list(reader.close(orderly=True))
    stream, found = API.reader(request).feed(converse_stream([*events, ("metadata", {"usage": usage})])), []
    with pytest.raises(ProviderInvalidResponse):
        found += stream  # what came before is given: the tokens it took are known
    assert isinstance(found[-1], Counted)


def test_a_count_is_asked_of_all_that_is_read() -> None:
    request = call({"model": NOVA}, provider="bedrock")
    conversation = Conversation(turns=(said(Text("Hello")),), system=(Text("Be brief."),), tools=(WEATHER,))
    sent = ConverseCount().write_count(request, conversation)
    assert sent.url.endswith("/model/amazon.nova-pro-v1%3A0/count-tokens")
    body = json.loads(sent.body)
    assert problems("CountTokens", body) == ""
    assert body["input"]["converse"].keys() == {"messages", "system", "toolConfig"}
    assert ConverseCount().read_count(b'{"inputTokens":14}') == 14


@pytest.mark.parametrize(
    "asked_for, counted_by",
    [
        ("us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"),
        ("us-gov.anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        ("global.anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6-v1"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1%3A0",
        ),
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1%3A0"),
        ("zai.glm-4.7", "zai.glm-4.7"),
        ("meta.llama3-3-70b-instruct-v1:0", "meta.llama3-3-70b-instruct-v1%3A0"),
        ("deepseek.v3.2", "deepseek.v3.2"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2c3",
        ),
    ],
)
def test_tokens_are_counted_by_the_model_itself_as_profiles_are_refused_there(asked_for: str, counted_by: str) -> None:
    sent = ConverseCount().write_count(
        call({}, provider="bedrock", model=asked_for), Conversation(turns=(said(Text("Hi")),))
    )
    assert sent.url.endswith(f"/model/{counted_by}/count-tokens")


@pytest.mark.parametrize(
    "says, fix",
    [
        (
            "Invocation of model ID anthropic.claude-opus-5 with on-demand throughput isn\u2019t supported. Retry your "
            "request with the ID or ARN of an inference profile that contains this model.",
            "inference profile",
        ),
        ("The provided model doesn't support counting tokens.", "a model's own id"),
        ("The model returned the following errors: messages: too many", "Correct the request"),
    ],
)
def test_a_refusal_tells_what_to_do_about_it(says: str, fix: str) -> None:
    headers = {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/"}
    failure = ConverseApi().decode_failure(400, headers, json.dumps({"message": says}).encode())
    assert (failure.status, failure.retryable, failure.message) == (400, False, says)
    assert fix in failure.fix


@pytest.mark.parametrize(
    "status, says",
    [
        (
            404,
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model",
        ),
        (
            404,
            "Model use case details have not been submitted for this account.",
        ),
        (
            400,
            "The model returned the following errors: You have not filled out the required use-case form",
        ),
        (400, "data retention mode 'default' is not available for this model"),
    ],
)
def test_what_only_the_credentials_account_may_not_use_is_no_fault_of_the_request(status: int, says: str) -> None:
    """Another credential may: this one stands aside for the model."""
    kind = {404: "ResourceNotFoundException", 400: "ValidationException"}[status]
    failure = ConverseApi().decode_failure(status, {"x-amzn-errortype": kind}, json.dumps({"message": says}).encode())
    fault = fault_of(failure)
    assert isinstance(failure, CredentialsExhausted)
    assert fault is not None
    assert (fault.kind, failure.message) == (FaultKind.FORBIDDEN, says)
    said = f"messages.0: {says}"
    refused = ConverseApi().decode_failure(status, {"x-amzn-errortype": kind}, json.dumps({"message": said}).encode())
    assert isinstance(refused, ProviderRefused)


@pytest.mark.parametrize(
    "says", ["Authentication failed: Please make sure your API Key is valid.", "Bearer Token has expired"]
)
def test_an_api_key_that_is_none_or_over_is_refused_itself_not_for_the_model(says: str) -> None:
    headers = {"x-amzn-errortype": "AccessDeniedException"}
    fault = fault_of(ConverseApi().decode_failure(403, headers, json.dumps({"Message": says}).encode()))
    assert fault is not None
    assert fault.kind is FaultKind.REFUSED


@pytest.mark.parametrize("model", ["us.openai.gpt-5.5", "openai.gpt-6-sol", "us.xai.grok-4.7"])
def test_an_answer_is_cut_here_where_the_model_takes_no_stop_sequences(model: str) -> None:
    """Bedrock: 400, "This model doesn't support the stopSequences field"; and no limit below 16."""
    request = call({"model": model}, provider="bedrock", model=model)
    conversation = Conversation(turns=(said(Text("Hi")),), stop=("two", ""), max_output_tokens=5)
    body = json.loads(API.write_request(request, conversation).body)
    assert body["inferenceConfig"] == {"maxTokens": 16}
    text = {
        "output": {"message": {"role": "assistant", "content": [{"text": "one two three"}]}},
        "stopReason": "end_turn",
    }
    answer = API.read_answer(request, json.dumps(text).encode())
    assert (answer.parts, answer.finish, answer.stop_sequence) == ((Text("one "),), Finish.STOP_SEQUENCE, "two")
    events = [
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}}) for part in ("one t", "wo three")
    ]
    events += [event("contentBlockStop", {"contentBlockIndex": 0}), event("messageStop", {"stopReason": "end_turn"})]
    reader = API.reader(request)
    streamed = folded([*(each for data in events for each in reader.feed(data)), *reader.close(orderly=True)])
    assert (streamed.parts, streamed.finish) == (answer.parts, answer.finish)


def test_openais_models_reason_by_an_effort_of_their_own_and_sample_by_themselves() -> None:
    body, sent = asked(model="us.openai.gpt-5.5", reasoning=Reasoning(effort="xhigh"), temperature=0.5, top_p=0.9)
    assert body["additionalModelRequestFields"] == {"reasoning": {"effort": "xhigh"}}
    assert "inferenceConfig" not in body
    assert sent.dropped == ("temperature", "top_p")


@pytest.mark.parametrize("name", ["mcp__plugin_" + "very_" * 20 + "long", "files.read", "a tool"])
def test_a_tool_may_have_any_name(name: str) -> None:
    """Bedrock: 400, "Member must have length less than or equal to 64"; coding agents have longer ones."""
    tool, used = Tool(name, schema={"type": "object"}), ToolUse("t1", name, "{}")
    turns = (said(Text("Hi")), Turn(Role.ASSISTANT, (used,)), said(ToolResult("t1", name, (Text("done"),))))
    request = call({"model": OWN}, provider="bedrock", model=OWN)
    wishes = Conversation(turns=turns, tools=(tool,), tool_choice=ToolChoice("named", (name,)))
    body = json.loads(API.write_request(request, wishes).body)
    assert problems("Converse", body) == ""
    sent = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
    assert sent == body["toolConfig"]["toolChoice"]["tool"]["name"]
    assert sent == body["messages"][1]["content"][0]["toolUse"]["name"]
    assert len(sent) <= 64

    called = {"toolUse": {"toolUseId": "t2", "name": sent, "input": {}}}
    whole = {"output": {"message": {"role": "assistant", "content": [called]}}, "stopReason": "tool_use"}
    answer = API.read_answer(request, json.dumps(whole).encode())
    assert answer.parts == (ToolUse("t2", name, "{}"),)
    start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t2", "name": sent}}}
    begun = list(API.reader(request).feed(event("contentBlockStart", start)))[-1]
    assert begun.part.name == name


def test_long_names_that_begin_alike_are_told_apart() -> None:
    names = ["x" * 70 + each for each in "ab"]
    body, _ = asked(tools=tuple(map(Tool, names)))
    first, second = (each["toolSpec"]["name"] for each in body["toolConfig"]["tools"])
    assert first != second
