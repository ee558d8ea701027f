"""A Responses client whose provider has them too: what goes on untouched, and the little that may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ownkey.domain.errors import ProviderRefused
from ownkey.domain.surfaces import Dialect, Surface
from ownkey.providers import translator_of
from ownkey.providers.crossing import Answer, Finish, RedactedThinking, Text, Thinking, ToolUse
from ownkey.providers.responses.client import ResponsesClient
from tests.support.providers import annotate, call

PASSED = translator_of(Surface.RESPONSES, Dialect.OPENAI)
assert PASSED is not None
HELLO = {"role": "user", "content": "Hello"}


def sent(*items: Any, provider: str = "openai") -> Any:
    assert PASSED is not None
    body = {"model": "gpt-5.4-mini", "input": list(items), "a_field_of_tomorrow": 1}
    return json.loads(PASSED.encode_request(call(body, provider=provider)).body)["input"]


def answered_by_another(*parts: Any) -> list[dict[str, Any]]:
    """The items that a client keeps of an answer that another maker's model gave."""
    request = call({"model": "claude-sonnet-4-5", "input": "Hello"}, provider="anthropic")
    conversation = ResponsesClient().read_request(request.body.values)
    written = ResponsesClient().write_answer(request, conversation, Answer(parts, Finish.END), annotate)
    output: list[dict[str, Any]] = json.loads(written)["output"]
    return output


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("I see", "EuAB", "anthropic-claude-v1"),
        RedactedThinking("CgE=", "google-gemini-v1"),
        Thinking("Nobody signed this."),
    ],
)
def test_what_another_maker_has_thought_is_left_out_where_the_conversation_goes_on(thought: Any) -> None:
    """Else OpenAI refuses the whole conversation: it could not verify what it is given, or finds it nowhere."""
    kept = answered_by_another(thought, Text("Hi"), ToolUse("c", "f", "{}"))
    assert [item["type"] for item in kept] == ["reasoning", "message", "function_call"]
    assert [item.get("type", "message") for item in sent(HELLO, *kept, HELLO)] == [
        "message", "message", "function_call", "message",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "reasoning", "id": "rs_0dbe", "summary": [], "encrypted_content": "gAAAAABo"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABo"},
        {"type": "reasoning", "id": "rs_0dbe", "summary": []},
    ],
    ids=["encrypted", "encrypted, without its id", "stored"],
)
def test_what_it_has_thought_itself_goes_on(thought: Any) -> None:
    assert sent(HELLO, thought) == [HELLO, thought]


def test_a_thought_that_is_neither_stored_nor_encrypted_says_nothing_to_it() -> None:
    """Codex gives back thoughts without their ids."""
    assert sent(HELLO, {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None}) == [HELLO]


@pytest.mark.parametrize(
    ("code", "fix"), [("invalid_encrypted_content", "`reasoning` items"), ("previous_response_not_found", "`input`")]
)
def test_what_belongs_to_another_account_is_refused_with_a_way_out(code: str, fix: str) -> None:
    assert PASSED is not None
    error = {"error": {"message": "It could not be verified.", "code": code, "type": "invalid_request_error"}}
    refused = PASSED.decode_failure(400, {}, json.dumps(error).encode())
    assert isinstance(refused, ProviderRefused)
    assert (refused.code, refused.status) == (code, 400)
    assert fix in refused.fix
    assert "pin the key" in refused.fix
