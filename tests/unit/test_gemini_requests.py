"""What a conversation is as Google's request: what crosses, what is dropped, what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from ownkey.domain.errors import InvalidParameter, ProviderInvalidResponse, UnsupportedParameter
from ownkey.providers.crossing import (
    CacheMark,
    Conversation,
    Counted,
    Document,
    FileId,
    Format,
    HostedTool,
    Image,
    Inline,
    Link,
    OutputFormat,
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
)
from ownkey.providers.gemini.api import GeminiApi
from ownkey.providers.gemini.contents import UNSIGNED
from ownkey.providers.translator import Encoded
from tests.support.providers import CATALOG, call

API = GeminiApi()
FLASH, OLDER = "gemini-3.8-flash", "gemini-2.5-flash"
HELLO = Turn(Role.USER, (Text("Hello"),))
PNG = Inline("image/png", "iVBORw0KGgo=")
TOOLS = (Tool("look"),)


def written(model: str = FLASH, *, stream: bool = False, **conversation: Any) -> Encoded:
    asked = Conversation(**{"turns": (HELLO,), **conversation})
    return API.write_request(call({"model": model, "stream": stream}, provider="gemini"), asked)


def sent(model: str = FLASH, **conversation: Any) -> dict[str, Any]:
    return json.loads(written(model, **conversation).body)


def contents(*turns: Turn, model: str = FLASH, **conversation: Any) -> list[dict[str, Any]]:
    return sent(model, turns=turns, **conversation)["contents"]


def config(model: str = FLASH, **conversation: Any) -> dict[str, Any]:
    return sent(model, **conversation).get("generationConfig", {})


def thinking(model: str, **reasoning: Any) -> Any:
    return config(model, reasoning=Reasoning(**reasoning), max_output_tokens=10_000).get("thinkingConfig")


def calling(*ids: str) -> Turn:
    return Turn(Role.ASSISTANT, tuple(ToolUse(each, "look", "{}") for each in ids))


def resulting(*ids: str) -> Turn:
    return Turn(Role.USER, tuple(ToolResult(each, "look", (Text("seen"),)) for each in ids))


def signatures(content: dict[str, Any]) -> list[str | None]:
    return [part.get("thoughtSignature") for part in content["parts"]]


class TestAddresses:
    def test_a_stream_is_asked_for_in_the_url_and_the_model_stands_nowhere_else(self):
        request = written(stream=True)
        assert request.url == (
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
        )
        assert json.loads(request.body) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        assert (request.auth.header, request.headers["accept"]) == ("x-goog-api-key", "text/event-stream")

    def test_a_models_resource_name_is_its_name(self):
        assert written("models/gemini-3.8-flash").url == written().url

    @pytest.mark.parametrize("model", ["../x", "a/b", "a?b", "a#b", "a:b", "", "a b", "a%2fb", "@", "a@b@c", "ä"])
    def test_a_name_that_would_leave_its_place_in_the_path_is_refused(self, model):
        with pytest.raises(UnsupportedParameter) as refused:
            written(model)
        assert refused.value.param == "model"


class TestTurns:
    def test_neighbours_of_one_role_are_joined(self):
        more, system = Turn(Role.USER, (Text("again"), Text(""))), "<system>\nBe kind.\n</system>"
        assert contents(HELLO, more, Turn(Role.SYSTEM, (Text("Be kind."),))) == [
            {"role": "user", "parts": [{"text": "Hello"}, {"text": "again"}, {"text": system}]}
        ]

    def test_messages_that_say_nothing_are_left_out(self):
        """Google: 400, "contents.parts must not be empty" (langchainjs 9922, CLIProxyAPI 1292, new-api 1060)."""
        nothing = (Turn(Role.ASSISTANT, (Text(""),)), Turn(Role.ASSISTANT, ()), Turn(Role.USER, (Text(""),)))
        assert contents(HELLO, *nothing, HELLO) == [{"role": "user", "parts": [{"text": "Hello"}, {"text": "Hello"}]}]
        with pytest.raises(InvalidParameter):
            written(turns=nothing)

    def test_the_systems_words_alone_are_a_question(self):
        assert sent(system=(Text("Be brief."),), turns=()) == {
            "contents": [{"role": "user", "parts": [{"text": "Be brief."}]}]
        }

    def test_media_by_link_have_the_type_that_their_ending_says(self):
        linked = [
            Image(Link("https://x.example/a.JPG?s=1")),
            Image(Link("https://x.example/a", "image/webp")),
            Image(Link("gs://bucket/a.png")),
            Image(Link("https://www.youtube.com/watch?v=1")),
        ]
        assert contents(Turn(Role.USER, tuple(linked))) == [
            {
                "role": "user",
                "parts": [
                    {"fileData": {"fileUri": "https://x.example/a.JPG?s=1", "mimeType": "image/jpeg"}},
                    {"fileData": {"fileUri": "https://x.example/a", "mimeType": "image/webp"}},
                    {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
                    {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1", "mimeType": "video/mp4"}},
                ],
            }
        ]

    def test_a_link_that_does_not_say_its_type_has_one_all_the_same_as_google_wants_it(self):
        untold = (Image(Link("https://x.example/a")), Document(Link("https://x.example/a")))
        assert [part["fileData"]["mimeType"] for part in contents(Turn(Role.USER, untold))[0]["parts"]] == [
            "image/jpeg",
            "application/pdf",
        ]

    def test_results_are_in_the_order_of_their_calls(self):
        """An agent's tools end when they end; Google counts them off, and Vertex AI has nothing else to go by."""
        turns = (
            HELLO,
            calling("a", "b", "c"),
            resulting("c", "a"),
            Turn(Role.USER, (*resulting("b").parts, Text("?"))),
        )
        results, words = contents(*turns)[2:]
        assert [part["functionResponse"]["id"] for part in results["parts"]] == ["a", "b", "c"]
        assert words == {"role": "user", "parts": [{"text": "?"}]}

    @pytest.mark.parametrize("model", [FLASH, OLDER])
    def test_words_beside_results_stand_apart_from_them(self, model):
        """Vertex AI: 400, "Requests ending with a model turn are not supported", of Claude Code's reminders beside the
        results of tools (CLIProxyAPI 5607). AI Studio takes either."""
        said = (*resulting("a", "b").parts, Text("<system-reminder>"), Text("Go on."))
        *_, results, words = contents(HELLO, calling("a", "b"), Turn(Role.USER, said), model=model)
        assert [*results["parts"][0]] == [*results["parts"][1]] == ["functionResponse"]
        assert words["parts"] == [{"text": "<system-reminder>"}, {"text": "Go on."}]

    @pytest.mark.parametrize("source", [Inline("image/gif", "R0lGOD"), FileId("file-1")])
    def test_what_it_cannot_read_is_refused(self, source):
        with pytest.raises(UnsupportedParameter):
            written(turns=(Turn(Role.USER, (Image(source),)),))

    def test_a_pictures_place_in_a_result_is_beside_it_before_the_third_generation(self):
        turns = (HELLO, calling("a"), Turn(Role.USER, (ToolResult("a", "look", (Text("4"), Image(PNG))), Text("?"))))
        (result,), rest = (content["parts"] for content in contents(*turns, model=OLDER)[2:])
        assert result["functionResponse"] == {"id": "a", "name": "look", "response": {"output": "4"}}
        assert rest == [{"text": "?"}, {"inlineData": {"mimeType": "image/png", "data": PNG.data}}]

    def test_a_result_without_its_call_is_told(self):
        with pytest.raises(InvalidParameter):
            written(turns=(Turn(Role.USER, (ToolResult("a", None, ()),)),))

    @pytest.mark.parametrize("arguments", ["[1]", "{", "NaN", '{"a":NaN}', "[" * 5_000])
    def test_arguments_that_are_no_object_do_not_end_the_conversation(self, arguments):
        """A model garbles them, or a limit cuts them; they are in the history from then on (CLIProxyAPI 2001)."""
        turns = (HELLO, Turn(Role.ASSISTANT, (ToolUse("a", "look", arguments),)), resulting("a"))
        assert contents(*turns)[1]["parts"][0]["functionCall"]["args"] == {"input": arguments}

    def test_calls_of_a_turn_that_share_an_id_are_told_apart(self):
        """Google: 400, "Request contains an invalid argument" (watt-mind/coach 280)."""
        turns = (HELLO, calling("a", "a", "b"), resulting("a", "b", "a"), calling("a"), resulting("a"))
        _, called, answered, again, _ = contents(*turns)
        assert [part["functionCall"]["id"] for part in called["parts"]] == ["a", "a_2", "b"]
        assert [part["functionResponse"]["id"] for part in answered["parts"]] == ["a", "a_2", "b"]
        assert again["parts"][0]["functionCall"]["id"] == "a"

    def test_free_text_for_a_tool_crosses_as_its_input(self):
        request = sent(
            turns=(HELLO, Turn(Role.ASSISTANT, (ToolUse("a", "run", "ls"),))),
            tools=(Tool("run", free_form=True, grammar={"type": "regex"}),),
        )
        assert request["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "ls"}
        (tool,) = request["tools"][0]["functionDeclarations"]
        assert tool["parametersJsonSchema"]["required"] == ["input"]

    def test_a_refusal_is_text(self):
        assert contents(HELLO, Turn(Role.ASSISTANT, (Refusal("No."),)))[1]["parts"] == [{"text": "No."}]


class TestNamesOfTools:
    NAMES = ("3d_render", "-x", "ä b", "x" * 70, "fine.name:v-1")

    def test_names_that_google_refuses_go_by_others_and_come_back(self):
        """Google: 400, "Invalid function name. Must start with a letter or an underscore"."""
        asked = Conversation(
            turns=(
                HELLO,
                Turn(Role.ASSISTANT, (ToolUse("a", "3d_render"),)),
                Turn(Role.USER, (ToolResult("a", None, (Text("done"),)),)),
            ),
            tools=tuple(map(Tool, self.NAMES)),
            tool_choice=ToolChoice("required", self.NAMES),
        )
        request = call({"model": FLASH}, provider="gemini")
        body = json.loads(API.write_request(request, asked).body)
        sent = [each["name"] for each in body["tools"][0]["functionDeclarations"]]
        assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_.:-]{0,63}", name) for name in sent)
        assert (len(set(sent)), sent[-1]) == (5, "fine.name:v-1")
        assert body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == sent
        _, called, answered = body["contents"]
        assert called["parts"][0]["functionCall"]["name"] == sent[0]
        assert answered["parts"][0]["functionResponse"]["name"] == sent[0]
        parts = [{"functionCall": {"name": name}} for name in sent]
        answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
        given = API.read_answer(request, json.dumps(answer).encode()).parts
        assert tuple(part.name for part in given if isinstance(part, ToolUse)) == self.NAMES

    def test_a_schema_says_that_arguments_are_an_object(self):
        (tool,) = sent(tools=(Tool("look", schema={"properties": {"at": {"type": "string"}}}),))["tools"]
        schema = tool["functionDeclarations"][0]["parametersJsonSchema"]
        assert schema == {"type": "object", "properties": {"at": {"type": "string"}}}


class TestSignatures:
    def test_anothers_thoughts_and_those_that_nobody_signed_stay_here(self):
        parts = (
            Thinking("mine", "sig", Format.ANTHROPIC),
            RedactedThinking("enc", Format.OPENAI),
            Thinking("unsigned"),
            Text("Hi"),
        )
        assert contents(HELLO, Turn(Role.ASSISTANT, parts), HELLO)[1]["parts"] == [{"text": "Hi"}]

    def test_a_signature_before_its_text_finds_it_where_thoughts_stand_apart(self):
        signed = (RedactedThinking("t", Format.GEMINI), RedactedThinking("c", Format.GEMINI, tool_use_id="a"))
        parts = contents(HELLO, Turn(Role.ASSISTANT, (*signed, Text("Hi"), ToolUse("a", "look"))))[1]["parts"]
        assert [part["thoughtSignature"] for part in parts] == ["t", "c"]

    def test_a_signature_of_nothing_that_is_left_stands_by_itself(self):
        parts = contents(HELLO, Turn(Role.ASSISTANT, (RedactedThinking("t", Format.GEMINI),)))[1]["parts"]
        assert parts == [{"text": "", "thoughtSignature": "t"}]

    def test_calls_since_the_user_last_spoke_get_a_stand_in_where_they_have_none(self):
        answered = (HELLO, calling("a", "b"), resulting("a", "b"), Turn(Role.ASSISTANT, (Text("Seen."),)))
        old, _, _, _, new, _ = contents(*answered, HELLO, calling("c", "d"), resulting("c", "d"))[1:]
        assert signatures(old) == [None, None]
        assert signatures(new) == [UNSIGNED, None]

    def test_words_beside_results_are_the_users_and_calls_before_them_need_none(self):
        turns = (HELLO, calling("a"), Turn(Role.USER, (*resulting("a").parts, Text("Mind the plan."))), calling("b"))
        _, first, _, _, second, _ = contents(*turns, resulting("b"))
        assert (signatures(first), signatures(second)) == ([None], [UNSIGNED])

    def test_none_is_made_up_where_one_is_there_or_where_none_is_asked_for(self):
        signed = Turn(Role.ASSISTANT, (RedactedThinking("s", Format.GEMINI, tool_use_id="a"), *calling("a", "b").parts))
        assert signatures(contents(HELLO, signed, resulting("a", "b"))[1]) == ["s", None]
        assert signatures(contents(HELLO, calling("a"), resulting("a"), model=OLDER)[1]) == [None]


class TestThinking:
    @pytest.mark.parametrize(
        ("model", "reasoning", "expected"),
        [
            (FLASH, {"effort": "high"}, {"thinkingLevel": "HIGH"}),
            (FLASH, {"effort": "max", "visible": True}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
            (FLASH, {"effort": "none"}, {"thinkingLevel": "MINIMAL"}),
            (FLASH, {"budget_tokens": 2_000}, {"thinkingLevel": "LOW"}),
            (FLASH, {"adaptive": True}, {}),
            ("gemini-3-pro-preview", {"effort": "medium"}, {"thinkingLevel": "LOW"}),
            ("gemini-3.1-pro-preview", {"effort": "minimal"}, {"thinkingLevel": "LOW"}),
            ("gemini-3.7-flash", {"effort": "minimal"}, {"thinkingLevel": "LOW"}),
            ("gemini-4-argon", {"effort": "none"}, {"thinkingLevel": "LOW"}),
            ("gemini-flash-latest", {"effort": "medium"}, {"thinkingLevel": "MEDIUM"}),
            ("gemma-4-31b-it", {"effort": "low"}, {"thinkingLevel": "MINIMAL"}),
            (OLDER, {"effort": "low"}, {"thinkingBudget": 2_000}),
            (OLDER, {"effort": "none", "visible": False}, {"thinkingBudget": 0, "includeThoughts": False}),
            (OLDER, {"budget_tokens": 90_000}, {"thinkingBudget": 24_576}),
            (OLDER, {"adaptive": True}, {"thinkingBudget": -1}),
            (OLDER, {"visible": True}, {"includeThoughts": True}),
            ("gemini-2.5-flash-lite", {"budget_tokens": 100}, {"thinkingBudget": 512}),
            ("gemini-2.5-pro", {"effort": "none"}, {"thinkingBudget": 128}),
            ("gemini-2.5-pro", {"budget_tokens": 90_000}, {"thinkingBudget": 32_768}),
        ],
    )
    def test_each_line_of_models_is_told_in_its_own_way(self, model, reasoning, expected):
        found = thinking(model, **({"visible": False} | reasoning))
        assert found == {"includeThoughts": False} | expected

    def test_thoughts_leave_room_for_the_answer(self):
        """The limit is on both: a budget of as much or more would end in an empty answer."""
        asked = {"reasoning": Reasoning(effort="medium"), "max_output_tokens": 300}
        assert config(OLDER, **asked)["thinkingConfig"]["thinkingBudget"] == 150
        assert config("gemini-2.5-pro", **asked | {"max_output_tokens": 200})["thinkingConfig"]["thinkingBudget"] == 128

    def test_thoughts_that_are_asked_for_are_shown_unless_the_client_says_otherwise(self):
        assert thinking(FLASH, effort="low")["includeThoughts"] is True
        assert thinking(FLASH, adaptive=True) == {"includeThoughts": True}
        assert thinking(OLDER, effort="none") == thinking(OLDER, effort="none", visible=True) == {"thinkingBudget": 0}

    @pytest.mark.parametrize(
        "model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemini-2.5-flash-image", "gemma-3-27b-it"]
    )
    def test_a_model_that_does_not_think_is_not_asked_to(self, model):
        assert thinking(model, effort="low") is None
        asked = {"reasoning": Reasoning(effort="low"), "names": {"reasoning": "reasoning_effort"}}
        assert written(model, **asked).dropped == ("reasoning_effort",)
        assert written(model, reasoning=Reasoning(effort="none")).dropped == ()


class TestWishes:
    def test_numbers_out_of_range_are_taken_to_its_end(self):
        asked = {"temperature": 3, "top_p": 1.5, "presence_penalty": 2.0, "frequency_penalty": -3, "seed": -1}
        assert config(**asked, top_k=0) == {
            "temperature": 2,
            "topP": 1,
            "presencePenalty": 1.99,
            "frequencyPenalty": -2,
            "seed": 2**31 - 1,
        }

    def test_what_only_tunes_is_dropped_under_the_clients_name(self):
        request = written(
            turns=(Turn(Role.USER, (Text("Hi", CacheMark()), Image(PNG, detail="low")), name="Ann"),),
            tools=(Tool("run", free_form=True, grammar={"type": "regex"}),),
            parallel_tool_calls=False,
            logit_bias={"1": 2},
            verbosity="low",
            service_tier="scale",
            user="u",
            metadata={"a": "b"},
            cache_key="k",
            others={"store": True},
            names={"cache_key": "prompt_cache_key"},
        )
        assert sorted(request.dropped) == sorted(
            [
                *("cache_control", "detail", "messages.name", "tools.grammar", "parallel_tool_calls"),
                *("logit_bias", "verbosity", "service_tier", "user", "metadata", "prompt_cache_key", "store"),
            ]
        )

    def test_what_means_nothing_special_is_not_reported(self):
        asked = {"service_tier": "auto", "parallel_tool_calls": True, "tools": TOOLS, "choices": 1}
        assert written(**asked).dropped == ()

    @pytest.mark.parametrize(
        ("model", "asked", "param"),
        [
            (FLASH, {"choices": 2, "names": {"choices": "n"}}, "n"),
            (FLASH, {"stop": tuple("abcdef")}, "stop"),
            (FLASH, {"tools": (HostedTool("code_execution", {}),)}, "tools"),
            (FLASH, {"tools": (*TOOLS, HostedTool("web_search", {}))}, "tools"),
            (FLASH, {"tools": (HostedTool("web_search", {"allowed_domains": ["a.example"]}),)}, "tools"),
            (FLASH, {"tools": (HostedTool("web_search", {}),), "tool_choice": ToolChoice("required")}, "tool_choice"),
            (OLDER, {"tools": TOOLS, "output": OutputFormat()}, "output"),
        ],
    )
    def test_what_changes_the_answer_is_refused(self, model, asked, param):
        with pytest.raises(UnsupportedParameter) as refused:
            written(model, **asked)
        assert refused.value.param == param

    @pytest.mark.parametrize(
        ("choice", "tools", "expected"),
        [
            (None, TOOLS, None),
            (ToolChoice("auto"), TOOLS, None),
            (ToolChoice("auto"), (Tool("look", strict=True),), {"mode": "VALIDATED"}),
            (ToolChoice("auto", ("look",)), TOOLS, {"mode": "VALIDATED", "allowedFunctionNames": ["look"]}),
            (ToolChoice("none"), TOOLS, {"mode": "NONE"}),
            (ToolChoice("required"), TOOLS, {"mode": "ANY"}),
            (ToolChoice("named", ("look",)), TOOLS, {"mode": "ANY", "allowedFunctionNames": ["look"]}),
            (ToolChoice("none"), (), None),
        ],
    )
    def test_each_choice_of_tools_has_its_mode(self, choice, tools, expected):
        found = sent(tools=tools, tool_choice=choice).get("toolConfig")
        assert found == (expected and {"functionCallingConfig": expected})

    def test_json_beside_tools_is_had_from_the_third_generation_on(self):
        assert config(tools=TOOLS, output=OutputFormat()) == {"responseMimeType": "application/json"}
        assert config(OLDER, tools=TOOLS, tool_choice=ToolChoice("none"), output=OutputFormat())

    @pytest.mark.parametrize("tier", ["flex", "priority"])
    def test_a_tier_of_service_is_asked_for_and_billed_as_the_answer_says(self, tier):
        request = call({"model": FLASH}, provider="gemini")
        asked = API.write_request(request, Conversation(turns=(HELLO,), service_tier=tier))
        assert (json.loads(asked.body)["serviceTier"], asked.dropped) == (tier, ())

        def billed(**stated: str) -> str | None:
            usage = {"promptTokenCount": 1, "totalTokenCount": 1, **stated}
            answer = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
            return API.read_answer(request, json.dumps(answer).encode()).terms.service_tier

        assert (billed(), billed(serviceTier=tier.upper()), billed(serviceTier="standard")) == (tier, tier, None)

    def test_a_tier_without_a_price_is_not_asked_for(self):
        request = replace(call({"model": "gemma-3-27b-it"}, provider="gemini"), model=CATALOG.model("gemini", OLDER))
        unpriced = replace(request.model, prices=replace(request.model.prices, service_tiers={}))
        asked = Conversation(turns=(HELLO,), service_tier="priority")
        written = API.write_request(replace(request, model=unpriced), asked)
        assert ("serviceTier" in json.loads(written.body), written.dropped) == (False, ("service_tier",))

    def test_a_search_drops_what_tunes_it(self):
        request = written(tools=(HostedTool("web_search", {"type": "web_search", "max_uses": 3}),))
        assert json.loads(request.body)["tools"] == [{"googleSearch": {}}]
        assert request.dropped == ("tools.max_uses",)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"candidates":[]}', b'{"usageMetadata":{}}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        API.read_answer(call({"model": FLASH}, provider="gemini"), body)


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
@pytest.mark.parametrize("parts", [[], [{"text": "Let me look."}]], ids=["empty", "words"])
def test_an_answer_that_came_to_nothing_is_a_failure_and_no_end(finish: str, parts: list[Any]) -> None:
    """As an empty `stop` agents take it for the model's last word (litellm 16651)."""
    request = call({"model": FLASH}, provider="gemini")
    usage = {"promptTokenCount": 8, "totalTokenCount": 8}
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": finish}], "usageMetadata": usage}
    with pytest.raises(ProviderInvalidResponse, match=finish):
        API.read_answer(request, json.dumps(body).encode())
    stream, found = API.reader(request).feed(b"data: " + json.dumps(body).encode() + b"\r\n\r\n"), []
    with pytest.raises(ProviderInvalidResponse):
        found += stream  # what came before is given: the tokens it took are known
    assert isinstance(found[-1], Counted)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"totalTokens":"many"}', b'{"totalTokens":-1}'])
def test_what_is_no_count_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        API.read_count(body)


@pytest.mark.parametrize(
    "call_part", [{"args": {}}, {"name": "look", "args": {"a": 1e999}}, {"name": 7}], ids=["name", "infinite", "number"]
)
def test_a_call_that_cannot_be_read_is_a_failure(call_part: Any) -> None:
    body = {"candidates": [{"content": {"parts": [{"functionCall": call_part}]}}]}
    text = json.dumps(body).replace("Infinity", "1e999")
    with pytest.raises(ProviderInvalidResponse):
        API.read_answer(call({"model": FLASH}, provider="gemini"), text.encode())
