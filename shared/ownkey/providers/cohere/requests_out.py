"""A conversation as the members of Cohere's chat request.

What is Cohere's own about it:

- a tool's call is planned in words, `tool_plan`: thinking without a signature, given back with the calls it was for;
- one named tool is demanded by offering that one alone and demanding a call;
- results of tools are text: pictures among them follow in a user's message;
- a document that is to be cited stands beside the messages, any other one as text where the client has it;
- a JSON schema and tools exclude each other; strictness is all tools' or none's, and wants a required argument in each;
- thoughts are counted, not rated.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from ownkey.providers.crossing import (
    FREE_FORM_SCHEMA,
    Audio,
    CacheMark,
    Conversation,
    Document,
    Drops,
    FileId,
    HostedTool,
    Image,
    Inline,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from ownkey.providers.crossing.effort import budget_of, room_of
from ownkey.providers.translator import Call

Json = dict[str, Any]

MAX_STOPS = 5
OWN_MEMBERS = ("safety_mode", "citation_options", "documents", "priority")
"""What no other dialect has: a client that names it means Cohere."""

_NEVER_THINKS = re.compile(
    r"c4ai-.+|command-r.*|command-a-(?:03-2025|(?:vision|translate)-.+)|command(?:-light|-nightly)*"
)
"""Models from before Cohere's first that reasons (August 2025), and those for a task: they refuse to be told."""
_NOTHING = "(nothing)"
"""What a tool gave that gave nothing: no message may be empty."""
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}
_RANGES: Mapping[str, tuple[str, float, float]] = {
    "temperature": ("temperature", 0.0, 2.0),
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "presence_penalty": ("presence_penalty", 0.0, 1.0),
    "frequency_penalty": ("frequency_penalty", 0.0, 1.0),
}
"""Field → Cohere's name, and the range it takes."""


def members_of(conversation: Conversation, call: Call, drops: Drops) -> Json:
    """The request's members but for the model.

    Raises:
        UnsupportedParameter: something cannot be expressed, and may not be left out.
    """
    cited: list[Document] = []
    members: Json = {"messages": list(_messages(conversation, cited, drops)), "stream": conversation.stream}
    members |= _tools(conversation, drops)
    members |= _output(conversation, drops)
    members |= _thinking(conversation, call, drops)
    members |= _sampling(conversation, drops)
    if conversation.max_output_tokens is not None:
        members["max_tokens"] = conversation.max_output_tokens
    if len(conversation.stop) > MAX_STOPS:
        raise drops.refusal("stop", f"it takes at most {MAX_STOPS} of them")
    if conversation.stop:
        members["stop_sequences"] = list(conversation.stop)
    if cited:
        if conversation.output is not None:
            raise drops.refusal("output", "it has no JSON output with documents to be cited")
        members["documents"] = [_document(at, each, drops) for at, each in enumerate(cited)]
    _leave_out(conversation, members, drops)
    return members


def _leave_out(conversation: Conversation, members: Json, drops: Drops) -> None:
    if (conversation.choices or 1) > 1:
        raise drops.refusal("choices", "it gives one answer")
    if conversation.parallel_tool_calls is False:
        drops.drop("parallel_tool_calls")
    for name in ("logit_bias", "verbosity", "service_tier", "user", "metadata", "cache_key", "cache"):
        drops.drop_given({name: getattr(conversation, name)})
    for name, value in conversation.others.items():
        if name in OWN_MEMBERS and name not in members:
            members[name] = value
        else:
            drops.drop(name)


# ── What is said ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(conversation: Conversation, cited: list[Document], drops: Drops) -> Iterator[Json]:
    for text in conversation.system:
        _note_mark(text.cache, drops)
    if system := "\n\n".join(text.text for text in conversation.system if text.text):
        yield {"role": "system", "content": system}
    spoken = max((at for at, turn in enumerate(conversation.turns) if turn.role is not Role.SYSTEM), default=-1)
    for at, turn in enumerate(conversation.turns):
        if turn.name is not None:
            drops.drop("messages.name")
        if turn.role is Role.ASSISTANT:
            yield from _assistant(conversation, turn, drops)
        else:
            seen = yield from _results(turn, drops)
            content = _content((part for part in turn.parts if not isinstance(part, ToolResult)), cited, drops)
            if content := seen + content:
                # The last message must be a user's, or a tool's: agents end theirs with words of the system.
                role = turn.role if at <= spoken else Role.USER
                yield {"role": role.value, "content": _plain_if_text(content)}


def _assistant(conversation: Conversation, turn: Turn, drops: Drops) -> Iterator[Json]:
    said = [part.text for part in turn.parts if isinstance(part, Text | Refusal) and part.text]
    calls = [_call(conversation, part, drops) for part in turn.parts if isinstance(part, ToolUse)]
    # Words without a signature alone: what another provider has signed, its model alone can read as its own.
    plan = "".join(p.text for p in turn.parts if isinstance(p, Thinking) and p.signature is None)
    message: Json = {"role": "assistant"}
    if calls:
        message |= ({"tool_plan": plan} if plan else {}) | {"tool_calls": calls}
    for part in turn.parts:
        if isinstance(part, Text):
            _note_mark(part.cache, drops)
        elif not isinstance(part, Refusal | ToolUse | Thinking | RedactedThinking):
            raise drops.refusal("messages", "its assistant's messages are text and calls of tools")
    if said:
        message["content"] = [{"type": "text", "text": text} for text in said] if len(said) > 1 else said[0]
    if calls or said:
        yield message


def _call(conversation: Conversation, part: ToolUse, drops: Drops) -> Json:
    _note_mark(part.cache, drops)
    tool = conversation.tool(part.name)
    arguments = _dumps({"input": part.arguments}) if tool and tool.free_form else part.arguments or "{}"
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": arguments}}


def _results(turn: Turn, drops: Drops) -> Generator[Json, None, list[Json]]:
    """The tools' messages; gives the pictures among the results, which can but follow them."""
    seen: list[Json] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            _note_mark(part.cache, drops)
            images = [each for each in part.content if isinstance(each, Image)]
            texts = [_text_of_result(each, drops) for each in part.content if not isinstance(each, Image)]
            text = "\n\n".join(filter(None, texts))
            if part.failed and not text.lower().startswith("error"):
                text = f"Error: {text}" if text else "Error"
            yield {"role": "tool", "tool_call_id": part.tool_use_id, "content": text or _NOTHING}
            if images:
                seen.append({"type": "text", "text": f"What the tool call {part.tool_use_id} gave besides text:"})
                seen += _content(images, [], drops)
    return seen


def _text_of_result(part: Text | Document, drops: Drops) -> str:
    _note_mark(part.cache, drops)
    return part.text if isinstance(part, Text) else _titled(part, drops)


def _content(parts: Iterable[Part], cited: list[Document], drops: Drops) -> list[Json]:
    content: list[Json] = []
    for part in parts:
        match part:
            case Text("", cache):
                _note_mark(cache, drops)
            case Text():
                _note_mark(part.cache, drops)
                content.append({"type": "text", "text": part.text})
            case Image():
                _note_mark(part.cache, drops)
                content.append({"type": "image_url", "image_url": _image(part, drops)})
            case Document() if part.citations:
                _note_mark(part.cache, drops)
                cited.append(part)
            case Document():
                _note_mark(part.cache, drops)
                content.append({"type": "text", "text": _titled(part, drops)})
            case Audio():
                raise drops.refusal("messages", "it takes no audio")
            case _:
                raise drops.refusal("messages", "its users' messages are text, images and documents")
    return content


def _plain_if_text(content: list[Json]) -> str | list[Json]:
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content


def _image(part: Image, drops: Drops) -> Json:
    match part.source:
        case FileId():
            raise drops.refusal("messages", "a file is stored at one provider, and it is not this one")
        case Inline(media_type, data):
            url = f"data:{media_type};base64,{data}"
        case source:
            url = source.url
    return {"url": url} | ({"detail": part.detail} if part.detail in ("auto", "low", "high") else {})


def _document(at: int, part: Document, drops: Drops) -> Json:
    """One to be cited. Its id is its place, so that a citation tells which it is."""
    data = {"title": part.name, "text": _text_of(part, drops), "context": part.context}
    return {"id": str(at), "data": {name: value for name, value in data.items() if value}}


def _titled(part: Document, drops: Drops) -> str:
    return "\n\n".join(filter(None, (part.name, part.context, _text_of(part, drops))))


def _text_of(part: Document, drops: Drops) -> str:
    if isinstance(part.source, Inline) and part.source.media_type.startswith("text/"):
        try:
            return base64.b64decode(part.source.data, validate=True).decode()
        except ValueError:
            raise drops.refusal("messages", "a document's text is not UTF-8 in base64") from None
    raise drops.refusal("messages", "it reads documents of plain text alone")


def _note_mark(mark: CacheMark | None, drops: Drops) -> None:
    if mark is not None:
        drops.drop("cache_control")


# ── With what, and how ────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(conversation: Conversation, drops: Drops) -> Json:
    offered: list[Tool] = []
    for tool in conversation.tools:
        if isinstance(tool, HostedTool):
            raise drops.refusal("tools", f"it does not run `{tool.kind}` itself")
        _note_mark(tool.cache, drops)
        if tool.grammar is not None:
            drops.drop("tools.grammar")
        offered.append(tool)
    choice = conversation.tool_choice
    names = choice.names if choice and choice.mode != "none" else ()
    if names:
        offered = [tool for tool in offered if tool.name in names]
    if not offered:
        return {}
    members: Json = {"tools": [_tool(tool) for tool in offered]}
    if choice and choice.mode == "none":
        members["tool_choice"] = "NONE"
    elif choice and choice.mode in ("required", "named"):
        members["tool_choice"] = "REQUIRED"
    if any(tool.strict for tool in offered):
        if all((_schema_of(tool)).get("required") for tool in offered):
            members["strict_tools"] = True
        else:
            drops.drop("tools.strict")
    return members


def _tool(tool: Tool) -> Json:
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": tool.name, **described, "parameters": _schema_of(tool)}}


def _schema_of(tool: Tool) -> Mapping[str, Any]:
    return FREE_FORM_SCHEMA if tool.free_form else tool.schema or _NO_ARGUMENTS


def _output(conversation: Conversation, drops: Drops) -> Json:
    if conversation.output is None:
        return {}
    if conversation.tools:
        raise drops.refusal("output", "it has no JSON output together with tools")
    schema = conversation.output.schema
    return {"response_format": {"type": "json_object"} | ({} if schema is None else {"json_schema": schema})}


def _thinking(conversation: Conversation, call: Call, drops: Drops) -> Json:
    reasoning = conversation.reasoning
    if reasoning is None:
        return {}
    if _NEVER_THINKS.fullmatch(call.model_id):
        if not reasoning.off:
            drops.drop("reasoning")
        return {}
    if reasoning.off:
        return {"thinking": {"type": "disabled"}}
    if reasoning.effort is None and reasoning.budget_tokens is None:
        return {"thinking": {"type": "enabled"}}
    budget = budget_of(reasoning, room_of(conversation, call.model))
    if conversation.max_output_tokens is not None:  # something is to be said, too
        budget = max(1, min(budget, conversation.max_output_tokens - 1))
    return {"thinking": {"type": "enabled", "token_budget": budget}}


def _sampling(conversation: Conversation, drops: Drops) -> Json:
    members: Json = {}
    for field, (name, least, most) in _RANGES.items():
        value = getattr(conversation, field)
        if value is not None:
            members[name] = min(max(value, least), most)
    if conversation.seed is not None:
        if conversation.seed < 0:
            drops.drop("seed")
        else:
            members["seed"] = conversation.seed
    if conversation.logprobs:
        members["logprobs"] = True
    if conversation.top_logprobs:
        drops.drop("top_logprobs")
    return members


_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
