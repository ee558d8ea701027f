"""The three surfaces of a conversation behind one face: a wish becomes an SDK's call, its answer what was said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.e2e.accounts import Account

Json = dict[str, Any]
_BREAKPOINT: Json = {"prompt_cache_breakpoint": {"mode": "explicit"}}


@dataclass(frozen=True)
class Function:
    """A tool."""

    name: str
    schema: Json


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked, whatever the surface calls it."""

    text: str
    system: str | None = None
    before: tuple[tuple[str, str], ...] = ()
    """Earlier turns: role, text."""
    tools: tuple[Function, ...] = ()
    choice: str | None = None
    """`required`, or a tool's name."""
    schema: Json | None = None
    image: str | None = None
    """A PNG, base64."""
    document: str | None = None
    """A PDF, base64."""
    thinking: bool = False
    cached: str | None = None
    """A long text that is to be cached, before everything else."""
    stop: str | None = None
    limit: int = 4_000


@dataclass(kw_only=True)
class Said:
    """What was answered."""

    text: str
    thinking: str
    calls: list[tuple[str, str, Json]]
    """Id, name, arguments."""
    finish: str
    """`end`, `length`, `tool`, `stop_sequence`; the first also where the surface does not tell the last from it."""
    input_tokens: int
    """All that went in."""
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    byok: bool
    """As the usage has it."""
    headers: Mapping[str, str]
    turn: list[Json] = field(repr=False)
    """The answer as the next request has to repeat it."""


Then = tuple[Said, Sequence[str]]
"""An earlier answer, and the results of its calls."""


class Surface(Protocol):
    """One endpoint by its own SDK."""

    name: str
    lacks: Mapping[str, str]
    """Column → why it cannot be asked."""

    def ask(
        self,
        account: Account,
        model: str,
        wish: Wish,
        *,
        streamed: bool,
        then: Then | None = None,
    ) -> Said:
        """The answer; `then` goes on after an earlier one with the results of its calls."""


class Chat:
    """OpenAI's chat completions."""

    name = "chat"
    lacks: Mapping[str, str] = {}
    _FINISH = {"stop": "end", "length": "length", "tool_calls": "tool"}  # noqa: RUF012

    def ask(
        self,
        account: Account,
        model: str,
        wish: Wish,
        *,
        streamed: bool,
        then: Then | None = None,
    ) -> Said:
        """By `chat.completions.create`."""
        body = self._body(wish) | {"model": model}
        if then is not None:
            said, results = then
            body["messages"] += said.turn
            body["messages"] += [
                {"role": "tool", "tool_call_id": call_id, "content": result}
                for (call_id, _, _), result in zip(said.calls, results, strict=True)
            ]
        create = account.openai().chat.completions.with_raw_response.create
        if not streamed:
            raw = create(**body)
            answer = raw.parse()
            message, usage = answer.choices[0].message.model_dump(exclude_none=True), answer.usage
            return self._said(message, answer.choices[0].finish_reason, usage, raw.headers)
        raw = create(**body, stream=True, stream_options={"include_usage": True})
        return self._gathered(raw)

    def _body(self, wish: Wish) -> Json:
        content: list[Json] = [{"type": "text", "text": wish.text}]
        if wish.image:
            content.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{wish.image}"}})
        if wish.document:
            file = {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{wish.document}"}
            content.insert(0, {"type": "file", "file": file})
        messages: list[Json] = [{"role": role, "content": text} for role, text in wish.before]
        if wish.system:
            messages.insert(0, {"role": "system", "content": wish.system})
        if wish.cached:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": wish.cached} | _BREAKPOINT]})
        messages.append({"role": "user", "content": content if len(content) > 1 else wish.text})
        body: Json = {"messages": messages, "max_completion_tokens": wish.limit}
        if wish.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": each.name, "parameters": each.schema}} for each in wish.tools
            ]
        if wish.choice:
            named = {"type": "function", "function": {"name": wish.choice}}
            body["tool_choice"] = "required" if wish.choice == "required" else named
        if wish.schema:
            schema = {"name": "invoice", "schema": wish.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if wish.thinking:
            body["reasoning_effort"] = "high"
        if wish.stop:
            body["stop"] = [wish.stop]
        return body

    def _gathered(self, raw: Any) -> Said:
        message: Json = {"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": []}
        details: list[Json] = []
        finish, usage = None, None
        with raw.parse() as stream:
            for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    delta = choice.delta.model_dump(exclude_none=True)
                    for name in ("content", "reasoning_content"):
                        message[name] += delta.get(name, "")
                    for detail in delta.get("reasoning_details", ()):
                        _merge_detail(details, detail)
                    for call in delta.get("tool_calls", ()):
                        _merge_call(message["tool_calls"], call)
        if details:
            message["reasoning_details"] = details
        return self._said({name: value for name, value in message.items() if value}, finish, usage, raw.headers)

    def _said(self, message: Json, finish: str | None, usage: Any, headers: Any) -> Said:
        calls = message.get("tool_calls", [])
        into, out = usage.prompt_tokens_details, usage.completion_tokens_details
        return Said(
            text=message.get("content") or "",
            thinking=message.get("reasoning_content") or "",
            calls=[(e["id"], e["function"]["name"], json.loads(e["function"]["arguments"])) for e in calls],
            finish=self._FINISH.get(finish or "", str(finish)),
            input_tokens=usage.prompt_tokens,
            cached_tokens=(into.cached_tokens or 0) if into else 0,
            output_tokens=usage.completion_tokens,
            reasoning_tokens=(out.reasoning_tokens or 0) if out else 0,
            byok=usage.model_extra["is_byok"],
            headers=headers,
            turn=[{"role": "assistant", "content": None} | message],
        )


class Messages:
    """Anthropic's messages."""

    name = "messages"
    lacks: Mapping[str, str] = {}
    _FINISH = {  # noqa: RUF012
        "end_turn": "end",
        "max_tokens": "length",
        "tool_use": "tool",
        "stop_sequence": "stop_sequence",
    }

    def ask(
        self,
        account: Account,
        model: str,
        wish: Wish,
        *,
        streamed: bool,
        then: Then | None = None,
    ) -> Said:
        """By `messages.create` and the SDK's own accumulator of streams."""
        body = self._body(wish) | {"model": model}
        if then is not None:
            said, results = then
            blocks = [
                {"type": "tool_result", "tool_use_id": call_id, "content": result}
                for (call_id, _, _), result in zip(said.calls, results, strict=True)
            ]
            body["messages"] += [*said.turn, {"role": "user", "content": blocks}]
        client = account.anthropic().messages
        if not streamed:
            raw = client.with_raw_response.create(**body)
            message = raw.parse()
            return self._said(message, raw.headers, byok=message.usage.model_extra["is_byok"])
        with client.stream(**body) as stream:
            ends = [event.usage for event in stream if event.type == "message_delta"]
            # The SDK's accumulator keeps no members of usage but those it knows.
            byok = ends[-1].model_extra["is_byok"]
            return self._said(stream.get_final_message(), stream.response.headers, byok=byok)

    def _body(self, wish: Wish) -> Json:
        content: list[Json] = [{"type": "text", "text": wish.text}]
        if wish.image:
            source = {"type": "base64", "media_type": "image/png", "data": wish.image}
            content.insert(0, {"type": "image", "source": source})
        if wish.document:
            source = {"type": "base64", "media_type": "application/pdf", "data": wish.document}
            content.insert(0, {"type": "document", "source": source, "title": "paper.pdf"})
        messages: list[Json] = [{"role": role, "content": text} for role, text in wish.before]
        messages.append({"role": "user", "content": content})
        body: Json = {"messages": messages, "max_tokens": wish.limit}
        system: list[Json] = []
        if wish.cached:
            system.append({"type": "text", "text": wish.cached, "cache_control": {"type": "ephemeral"}})
        if wish.system:
            system.append({"type": "text", "text": wish.system})
        if system:
            body["system"] = system
        if wish.tools:
            body["tools"] = [{"name": each.name, "input_schema": each.schema} for each in wish.tools]
        if wish.choice:
            named = {"type": "tool", "name": wish.choice}
            body["tool_choice"] = {"type": "any"} if wish.choice == "required" else named
        if wish.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": wish.schema}}
        if wish.thinking:
            body["thinking"] = {"type": "enabled", "budget_tokens": 2_000, "display": "summarized"}
        if wish.stop:
            body["stop_sequences"] = [wish.stop]
        return body

    def _said(self, message: Any, headers: Any, *, byok: bool) -> Said:
        blocks = [block.model_dump(exclude_none=True) for block in message.content]
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        return Said(
            text="".join(each["text"] for each in blocks if each["type"] == "text"),
            thinking="".join(each["thinking"] for each in blocks if each["type"] == "thinking"),
            calls=[(each["id"], each["name"], each["input"]) for each in blocks if each["type"] == "tool_use"],
            finish=self._FINISH.get(message.stop_reason, str(message.stop_reason)),
            input_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            cached_tokens=cached,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
            byok=byok,
            headers=headers,
            turn=[{"role": "assistant", "content": blocks}],
        )


class Responses:
    """OpenAI's Responses."""

    name = "responses"
    lacks: Mapping[str, str] = {"stop": "Responses has no stop sequences."}

    def ask(
        self,
        account: Account,
        model: str,
        wish: Wish,
        *,
        streamed: bool,
        then: Then | None = None,
    ) -> Said:
        """By `responses.create`; of a stream the last event has the whole."""
        body = self._body(wish) | {"model": model, "store": False}
        if then is not None:
            said, results = then
            body["input"] += said.turn
            body["input"] += [
                {"type": "function_call_output", "call_id": call_id, "output": result}
                for (call_id, _, _), result in zip(said.calls, results, strict=True)
            ]
        create = account.openai().responses.with_raw_response.create
        if not streamed:
            raw = create(**body)
            return self._said(raw.parse(), raw.headers)
        raw = create(**body, stream=True)
        with raw.parse() as stream:
            events = list(stream)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type in {"response.completed", "response.incomplete"}
        said = self._said(events[-1].response, raw.headers)
        deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert deltas == said.text
        return said

    def _body(self, wish: Wish) -> Json:
        content: list[Json] = [{"type": "input_text", "text": wish.text}]
        if wish.image:
            content.insert(0, {"type": "input_image", "image_url": f"data:image/png;base64,{wish.image}"})
        if wish.document:
            data = f"data:application/pdf;base64,{wish.document}"
            content.insert(0, {"type": "input_file", "filename": "paper.pdf", "file_data": data})
        items: list[Json] = [{"role": role, "content": text} for role, text in wish.before]
        items.append({"role": "user", "content": content})
        if wish.cached:
            marked = {"type": "input_text", "text": wish.cached, "prompt_cache_breakpoint": {"mode": "explicit"}}
            items.insert(0, {"role": "developer", "content": [marked]})
        body: Json = {"input": items, "max_output_tokens": wish.limit}
        if wish.cached:
            marked = [{"type": "input_text", "text": wish.cached} | _BREAKPOINT]
            items.insert(0, {"role": "system", "content": marked})
        if wish.system:
            body["instructions"] = wish.system
        if wish.tools:
            body["tools"] = [
                {"type": "function", "name": each.name, "parameters": each.schema, "strict": False}
                for each in wish.tools
            ]
        if wish.choice:
            named = {"type": "function", "name": wish.choice}
            body["tool_choice"] = "required" if wish.choice == "required" else named
        if wish.schema:
            body["text"] = {"format": {"type": "json_schema", "name": "invoice", "schema": wish.schema, "strict": True}}
        if wish.thinking:
            body |= {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        return body

    def _said(self, response: Any, headers: Any) -> Said:
        items = [item.model_dump(exclude_none=True) for item in response.output]
        calls = [each for each in items if each["type"] == "function_call"]
        thoughts = [each for each in items if each["type"] == "reasoning"]
        finish = "tool" if calls else "end"
        if response.status == "incomplete":
            finish = {"max_output_tokens": "length"}.get(response.incomplete_details.reason, "other")
        usage = response.usage
        return Said(
            text=response.output_text,
            thinking="".join(
                part["text"] for each in thoughts for part in [*each.get("summary", ()), *each.get("content", ())]
            ),
            calls=[(each["call_id"], each["name"], json.loads(each["arguments"])) for each in calls],
            finish=finish,
            input_tokens=usage.input_tokens,
            cached_tokens=usage.input_tokens_details.cached_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.output_tokens_details.reasoning_tokens,
            byok=usage.model_extra["is_byok"],
            headers=headers,
            turn=[{name: value for name, value in item.items() if name != "status"} for item in items],
        )


SURFACES: tuple[Surface, ...] = (Chat(), Messages(), Responses())


def _merge_call(calls: list[Json], piece: Json) -> None:
    """OpenAI's rule: pieces of one index are one call."""
    if piece["index"] == len(calls):
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[piece["index"]]
    call["id"] += piece.get("id") or ""
    for name in ("name", "arguments"):
        call["function"][name] += piece.get("function", {}).get(name) or ""


def _merge_detail(details: list[Json], piece: Json) -> None:
    """OpenRouter's rule: text and signature of one index add up."""
    found = next((e for e in details if e.get("index") == piece.get("index") and e["type"] == piece["type"]), None)
    if found is None:
        details.append(dict(piece))
        return
    for name in ("text", "summary", "data"):
        if name in piece:
            found[name] = found.get(name, "") + piece[name]
    if piece.get("signature"):
        found["signature"] = piece["signature"]
