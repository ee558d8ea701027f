"""The two inference surfaces behind one face, for what must hold on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, Json, said


@dataclass(frozen=True)
class Surface:
    """An endpoint, the SDK that calls it, and the provider that answers in the simulation."""

    name: str
    path: str
    provider: str
    provider_id: str
    model: str
    errors: Any
    """The SDK's module: it has the same classes of errors under the same names in both."""

    def body(self, text: str = "hello", **more: Any) -> Json:
        """A request."""
        limit = {"max_tokens": 500} if self.name == "messages" else {}
        return {"model": self.model, "messages": said(text)} | limit | more

    def raw(self, account: Account, text: str = "hello", *, max_retries: int = 0, **more: Any) -> Any:
        """The SDK's raw response to a request."""
        if self.name == "messages":
            client = account.anthropic(max_retries=max_retries).messages
        else:
            client = account.openai(max_retries=max_retries).chat.completions
        return client.with_raw_response.create(**self.body(text, **more))

    def ask(self, account: Account, text: str = "hello", **more: Any) -> str:
        """The text of an answer; `stream=True` puts it together from its pieces."""
        return "".join(self.pieces(self.raw(account, text, **more).parse(), streamed=more.get("stream", False)))

    def pieces(self, answer: Any, *, streamed: bool) -> Any:
        """The pieces of an answer's text as they come; closes a stream."""
        if not streamed:
            yield from (answer.choices[0].message.content,) if self.name == "chat" else [b.text for b in answer.content]
            return
        with answer:
            for each in answer:
                if self.name == "chat":
                    yield from (choice.delta.content for choice in each.choices if choice.delta.content)
                elif each.type == "content_block_delta":
                    yield each.delta.text

    def error(self, body: Any) -> Json:
        """The error of a response's body, after a check of the dialect's shape around it."""
        assert isinstance(body["error"], dict), body
        error = body["error"]
        assert isinstance(error["message"], str)
        assert isinstance(error["type"], str)
        assert isinstance(error["code"], str)
        assert error["metadata"]["source"] in {"gateway", "provider"}
        assert error["metadata"]["fix"]
        if self.name == "messages":
            assert body["type"] == "error"
            assert body["request_id"]
            assert error["type"] in ANTHROPIC_TYPES
        else:
            assert "param" in error
        return error

    def refused(self, account: Account, text: str = "hello", **more: Any) -> Refusal:
        """The SDK's exception for a request that gets an error for an answer."""
        with pytest.raises(self.errors.APIStatusError) as caught:
            self.ask(account, text, **more)
        response = caught.value.response
        return Refusal(
            type(caught.value).__name__,
            response.status_code,
            self.error(response.json()),
            response.headers,
            response.text,
        )


@dataclass(frozen=True)
class Refusal:
    """What an SDK made of an error."""

    exception: str
    status: int
    error: Json
    headers: Mapping[str, str]
    text: str

    @property
    def code(self) -> str:
        """The stable code."""
        return self.error["code"]

    @property
    def request_id(self) -> str:
        """Of the request that was refused."""
        return self.headers["x-ownkey-request-id"]


ANTHROPIC_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
}
"""The types that Anthropic's SDK knows."""

CHAT = Surface("chat", "/v1/chat/completions", "OpenAI", "openai", CHAT_MODEL, openai)
MESSAGES = Surface("messages", "/v1/messages", "Anthropic", "anthropic", MESSAGES_MODEL, anthropic)
BOTH = pytest.mark.parametrize("surface", [CHAT, MESSAGES], ids=["chat", "messages"])
