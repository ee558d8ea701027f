"""Anthropic's dialect, the way in: what a messages request must look like, and what it asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from local.simulator import anthropic_models
from local.simulator.anthropic_blocks import check_content, check_marks, check_order, refused
from local.simulator.behaviour import split_directives
from local.simulator.brain import MESSAGE_TOKENS, Prompt, Segment, Tool, content_tokens
from local.simulator.refusals import Refusal, Refused
from local.simulator.text import compact, count_tokens

# fmt: off
PARAMETERS = frozenset({
    "max_tokens", "messages", "model", "cache_control", "container", "diagnostics", "inference_geo",
    "metadata", "output_config", "service_tier", "speed", "stop_sequences", "stream", "system",
    "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
})
# fmt: on
ROLES = ("user", "assistant", "system")
TOOL_FIELDS = frozenset(
    {
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "allowed_callers",
        "defer_loading",
        "eager_input_streaming",
        "input_examples",
    }
)
UNKNOWN_TO_SCHEMAS = frozenset(
    {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "pattern", "oneOf", "not"}
)
MIN_THINKING_BUDGET = 1_024
UNTHREADED = "thread_unsupported_request"
"""The simulated vendor holds no conversations, and says so as the real one does of those that it cannot hold."""
EFFORT_TOKENS = {"low": 16, "medium": 32, "high": 64, "xhigh": 128, "max": 256}
THINKING_TOKENS = 32
SHAPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "model": (str, "string"),
    "messages": (list, "list"),
    "max_tokens": (int, "integer"),
    "stream": (bool, "boolean"),
    "temperature": ((int, float), "number"),
    "top_p": ((int, float), "number"),
    "stop_sequences": (list, "list"),
    "tools": (list, "list"),
    "system": ((str, list), "string"),
    "thinking": (dict, "dictionary"),
    "tool_choice": (dict, "dictionary"),
    "metadata": (dict, "dictionary"),
}


def check(body: Any, *, beta: bool, counting: bool = False) -> None:
    """Raise Refused for a body the vendor would refuse. `beta` lets unknown fields pass: a beta header may have brought
    them; `counting` is a request to `count_tokens`, which needs no limit."""
    if not isinstance(body, dict):
        raise refused("Input should be a valid dictionary")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if body.get(name) is None:
            raise refused(f"{name}: Field required")
    for name in () if beta else body:
        if name not in PARAMETERS:
            raise refused(f"{name}: Extra inputs are not permitted")
    for name, (types, word) in SHAPES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and types is not bool)):
            raise refused(f"{name}: Input should be a valid {word}")
    if body.get("thread"):
        message = "This request cannot be part of a message thread."
        raise Refused(Refusal(400, "invalid_request_error", message, UNTHREADED, "thread"))
    if "@" in str((body.get("metadata") or {}).get("user_id")):
        raise refused("metadata.user_id: user_id appears to contain an email address.")
    _check_numbers(body)
    _check_messages(body["messages"])
    _check_tools(body)
    _check_format(body)
    check_marks(body)
    for stop in body.get("stop_sequences") or ():
        if not isinstance(stop, str) or not stop.strip():
            raise refused("stop_sequences: each stop sequence must contain non-whitespace")


def check_for_model(body: dict[str, Any], model: dict[str, Any]) -> None:
    """Raise Refused for what this model does not take."""
    limit = model["max_tokens"]
    if body.get("max_tokens", 0) > limit:
        message = f"max_tokens: {body['max_tokens']} > {limit}, the maximum of output tokens for {model['id']}"
        raise refused(message)
    anthropic_models.check(body, model["id"])


def _check_numbers(body: dict[str, Any]) -> None:
    if body.get("max_tokens", 0) < 0:
        raise refused("max_tokens: Input should be greater than or equal to 0")
    for name in ("temperature", "top_p"):
        if not 0 <= (body.get(name) or 0) <= 1:
            raise refused(f"{name}: range: 0..1")
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < MIN_THINKING_BUDGET:
            least = f"Input should be greater than or equal to {MIN_THINKING_BUDGET}"
            raise refused(f"thinking.enabled.budget_tokens: {least}")
        if budget >= body.get("max_tokens", budget + 1):
            raise refused("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        raise refused("messages: at least one message is required")
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if not isinstance(message, dict):
            raise refused(f"{where}: Input should be a valid dictionary")
        for name in message:
            if name not in ("role", "content"):
                raise refused(f"{where}.{name}: Extra inputs are not permitted")
        if message.get("role") not in ROLES:
            raise refused(f"{where}.role: Input should be {', '.join(repr(role) for role in ROLES)}")
        check_content(f"{where}.content", message["role"], message.get("content"))
    check_order(messages)


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools") or []
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise refused(f"tools.{index}.name: Field required")
        if tool.get("type", "custom") == "custom":
            _check_tool(f"tools.{index}", tool)
    names = [tool["name"] for tool in tools]
    if len(names) != len(set(names)):
        raise refused("tools: Tool names must be unique.")
    choice = body.get("tool_choice") or {}
    if choice.get("type") in ("any", "tool") and not tools:
        raise refused("tool_choice: needs tools to choose from")
    if choice.get("type") == "tool" and choice.get("name") not in [tool["name"] for tool in tools]:
        raise refused(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_tool(where: str, tool: dict[str, Any]) -> None:
    for name in tool:
        if name not in TOOL_FIELDS:
            raise refused(f"{where}.custom.{name}: Extra inputs are not permitted")
    if "input_schema" not in tool:
        raise refused(f"{where}.input_schema: Field required")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]):
        raise refused(f"{where}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    schema = tool["input_schema"]
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise refused(f"{where}.custom.input_schema.type: Field required")
    if tool.get("strict"):
        check_closed(f"{where}.custom.input_schema", schema)


def _check_format(body: dict[str, Any]) -> None:
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise refused("output_config.format.schema: Field required")
    check_closed("output_config.format.schema", wanted["schema"])


def check_closed(where: str, schema: Any) -> None:
    """Every object of a schema that the model is held to says that it has no further members."""
    if not isinstance(schema, dict):
        return
    for name in schema:
        if name in UNKNOWN_TO_SCHEMAS:
            raise refused(f"{where}: For {schema.get('type')!r} type, property {name!r} is not supported")
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise refused(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name in ("properties", "$defs", "definitions"):
        for each in (schema.get(name) or {}).values():
            check_closed(where, each)
    for each in (schema.get("items"), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        check_closed(where, each)


def read(body: dict[str, Any]) -> Prompt:
    """What a checked request asks."""
    text, results = _last_user_turn(body["messages"])
    text, knobs = split_directives(text)
    choice = body.get("tool_choice") or {}
    tools = tuple(_tool(each) for each in body.get("tools") or ())
    if choice.get("type") == "tool":
        tools = tuple(tool for tool in tools if tool.name == choice["name"])
    return Prompt(
        text=text,
        segments=tuple(_segments(body)),
        knobs=knobs,
        tool_results=results,
        tools=tools,
        tool_mode={"any": "required", "tool": "named", "none": "none"}.get(choice.get("type", ""), "auto"),
        parallel=not choice.get("disable_parallel_tool_use", False),
        max_tokens=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
        schema=_schema(body),
        reasoning_tokens=_thinking_tokens(body),
        speaks_before_tools=True,
    )


def shows_thinking(body: dict[str, Any]) -> bool:
    """Whether the answer begins with a thinking block."""
    return (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")


def cited_documents(body: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The documents that the answer is to cite, by their place among all."""
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    documents = [block for block in blocks if block.get("type") == "document"]
    return [(at, each) for at, each in enumerate(documents) if (each.get("citations") or {}).get("enabled")]


def _thinking_tokens(body: dict[str, Any]) -> int:
    if not shows_thinking(body):
        return 0
    effort = (body.get("output_config") or {}).get("effort")
    return EFFORT_TOKENS.get(effort or "", THINKING_TOKENS)


def _schema(body: dict[str, Any]) -> Any:
    wanted = (body.get("output_config") or {}).get("format")
    return wanted.get("schema", {}) if wanted else None


def _tool(each: dict[str, Any]) -> Tool:
    return Tool(each["name"], each.get("input_schema") or {"type": "object"})


def _last_user_turn(messages: list[dict[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """The text of the last user message that has some, and the tool results that end the conversation."""
    results: tuple[str, ...] = ()
    last = messages[-1]["content"]
    if isinstance(last, list):
        results = tuple(_text_of(block.get("content")) for block in last if block["type"] == "tool_result")
    texts = (_text_of(each["content"]) for each in reversed(messages) if each["role"] == "user")
    return next((text for text in texts if text), ""), results


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(block["text"] for block in content if block.get("type") == "text")
    return content or ""


def _segments(body: dict[str, Any]) -> Iterator[Segment]:
    """The prompt in the order the model reads it: tools, system, messages; block by block."""
    segments = [_segment(tool) for tool in body.get("tools") or ()]
    system = body.get("system") or ()
    segments += [_segment(block) for block in ([_text_block(system)] if isinstance(system, str) else system)]
    for message in body["messages"]:
        content = message["content"]
        blocks = [_text_block(content)] if isinstance(content, str) else content
        segments.append(Segment(message["role"], MESSAGE_TOKENS))
        segments += [_segment(block) for block in blocks]
    *before, last = segments
    yield from before
    marked = body.get("cache_control")
    yield Segment(last.content, last.tokens, marked.get("ttl", "5m")) if marked else last


def _segment(block: dict[str, Any]) -> Segment:
    """A block, or a tool. Where the prefix ends is no part of what is cached."""
    marked = block.get("cache_control")
    content = compact({name: value for name, value in block.items() if name != "cache_control"})
    tokens = content_tokens([block]) if "type" in block else count_tokens(content)
    return Segment(content, tokens, marked.get("ttl", "5m") if marked else None)


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
