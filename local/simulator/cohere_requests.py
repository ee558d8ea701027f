"""Cohere's dialect (v2), the way in: what a request must look like, and what it asks. Fields as in cohere 7.3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from local.simulator.behaviour import split_directives
from local.simulator.brain import MESSAGE_TOKENS, Prompt, Segment, Tool, content_tokens
from local.simulator.refusals import Refusal, Refused
from local.simulator.text import compact, count_tokens

CHAT_FIELDS = frozenset(
    {
        *("model", "messages", "stream", "tools", "strict_tools", "documents", "citation_options", "response_format"),
        *("safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty"),
        *("presence_penalty", "k", "p", "logprobs", "tool_choice", "thinking", "priority"),
    }
)
EMBED_FIELDS = frozenset(
    {
        *("model", "input_type", "texts", "images", "inputs", "max_tokens", "output_dimension", "embedding_types"),
        *("truncate", "priority"),
    }
)
RERANK_FIELDS = frozenset({"model", "query", "documents", "top_n", "max_tokens_per_doc", "relevant_spans", "priority"})
ROLES = ("user", "assistant", "system", "tool")
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
MAX_STOPS, MAX_TEXTS = 5, 96
THINKING_TOKENS, MOST_THINKING_TOKENS = 32, 256  # unless told; and however much is allowed
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, float("inf")),
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
    "seed": (0, 2**64 - 1),
    "max_tokens": (0, float("inf")),
}


def refused(message: str, status: int = 400) -> Refused:
    """A refusal in the dialect's form."""
    return Refused(Refusal(status, "", message))


def check(body: Any, known: frozenset[str]) -> None:
    """Raise Refused for what no endpoint takes: no object, no model, a field that it does not have."""
    if not isinstance(body, dict):
        raise refused("invalid request: the body must be a JSON object.")
    for name in body:
        if name not in known:
            raise refused(f"unknown field: parameter '{name}' is not a valid field", 422)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise refused("invalid request: model is required.")


def check_chat(body: dict[str, Any]) -> None:
    """Raise Refused for a chat request the vendor would refuse."""
    _check_messages(body.get("messages"))
    _check_tools(body)
    for name, (least, most) in RANGES.items():
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise refused(f"invalid type: parameter '{name}' must be a number.")
        if value is not None and not least <= value <= most:
            raise refused(f"invalid request: {name} must be between {least} and {most}.")
    if len(body.get("stop_sequences") or ()) > MAX_STOPS:
        raise refused(f"invalid request: at most {MAX_STOPS} stop sequences may be given.")
    form = body.get("response_format") or {}
    if form.get("type", "text") not in ("text", "json_object"):
        raise refused("invalid request: response_format.type must be one of text, json_object.")
    if form.get("type") == "json_object" and (body.get("tools") or body.get("documents")):
        raise refused("invalid request: cannot specify both response_format json_object and tools or documents.")
    thinking = body.get("thinking")
    if thinking is not None and thinking.get("type") not in ("enabled", "disabled"):
        raise refused("invalid request: thinking.type must be one of enabled, disabled.")
    if thinking is not None and thinking.get("token_budget", 1) <= 0:
        raise refused("invalid request: thinking.token_budget must be positive.")
    for index, each in enumerate(body.get("documents") or ()):
        if not isinstance(each, str) and not isinstance((each or {}).get("data"), dict):
            raise refused(f"invalid request: documents[{index}] must be a string, or an object with data.")


def check_embed(body: dict[str, Any]) -> None:
    """Raise Refused for what cannot be embedded."""
    if body.get("input_type") not in INPUT_TYPES:
        raise refused(f"invalid request: valid input_type must be provided with the provided model: {INPUT_TYPES}.")
    given = [body.get(name) for name in ("texts", "images", "inputs") if body.get(name)]
    if len(given) != 1:
        raise refused("invalid request: exactly one of texts, images, inputs must be given.")
    if len(body.get("texts") or ()) > MAX_TEXTS:
        raise refused(f"invalid request: total number of texts must be at most {MAX_TEXTS}.")


def check_rerank(body: dict[str, Any]) -> None:
    """Raise Refused for what cannot be ranked."""
    if not isinstance(body.get("query"), str) or not body["query"]:
        raise refused("invalid request: query must not be empty.")
    documents = body.get("documents")
    if not isinstance(documents, list) or not documents or not all(isinstance(each, str) for each in documents):
        raise refused("invalid request: documents must be a list of strings.")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise refused("invalid request: message must be at least 1 token long or tool results must be specified.")
    called: set[str] = set()
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        role = each.get("role") if isinstance(each, dict) else None
        if role not in ROLES:
            raise refused(f"invalid request: {where}.role must be one of {', '.join(ROLES)}.")
        _CHECKS[role](where, each, called)
    if messages[-1]["role"] not in ("user", "tool"):
        raise refused("invalid request: the last message must be from the user or a tool.")


def _check_blocks(where: str, content: Any, kinds: tuple[str, ...]) -> None:
    if isinstance(content, str):
        if not content:
            raise refused(f"invalid request: {where}.content must not be empty.")
        return
    if not isinstance(content, list) or not content:
        raise refused(f"invalid request: {where}.content must be a string or a list of content.")
    for index, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in kinds or kind not in block:
            raise refused(f"invalid request: {where}.content[{index}].type must be one of {', '.join(kinds)}.")


def _check_user(where: str, message: dict[str, Any], called: set[str]) -> None:
    _check_blocks(where, message.get("content"), ("text", "image_url"))


def _check_system(where: str, message: dict[str, Any], called: set[str]) -> None:
    _check_blocks(where, message.get("content"), ("text",))


def _check_assistant(where: str, message: dict[str, Any], called: set[str]) -> None:
    calls = message.get("tool_calls") or []
    for index, call in enumerate(calls):
        function = call.get("function") or {}
        if not call.get("id") or call.get("type") != "function" or not function.get("name"):
            raise refused(f"invalid request: {where}.tool_calls[{index}] needs id, type and function.")
        if not isinstance(function.get("arguments"), str) or not function["arguments"].startswith("{"):
            raise refused(f"invalid request: {where}.tool_calls[{index}].function.arguments must be a JSON object.")
        called.add(call["id"])
    if message.get("content") is not None:
        _check_blocks(where, message["content"], ("text", "thinking"))
    elif not calls:
        raise refused(f"invalid request: {where} must have content or tool_calls.")


def _check_tool(where: str, message: dict[str, Any], called: set[str]) -> None:
    if message.get("tool_call_id") not in called:
        raise refused(f"invalid request: {where}.tool_call_id matches no call of a previous message.")
    _check_blocks(where, message.get("content"), ("text", "document"))


_CHECKS: dict[str, Callable[[str, dict[str, Any], set[str]], None]] = {
    "user": _check_user,
    "system": _check_system,
    "assistant": _check_assistant,
    "tool": _check_tool,
}


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools") or []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not function.get("name"):
            raise refused(f"invalid request: tools[{index}] needs type function and a name.")
        if not isinstance(function.get("parameters"), dict):
            raise refused(f"invalid request: tools[{index}].function.parameters must be a JSON schema.")
        if body.get("strict_tools") and not function["parameters"].get("required"):
            raise refused(f"invalid request: with strict_tools, tools[{index}] needs a required parameter.")
    if body.get("tool_choice") is not None and (body["tool_choice"] not in ("REQUIRED", "NONE") or not tools):
        raise refused("invalid request: tool_choice must be one of REQUIRED, NONE, with tools.")


def read(body: dict[str, Any]) -> Prompt:
    """What a checked chat request asks."""
    messages = body["messages"]
    asked = next((_text_of(each["content"]) for each in reversed(messages) if each["role"] == "user"), "")
    text, knobs = split_directives(asked)
    tools = tuple(_tool(each["function"]) for each in body.get("tools") or ())
    return Prompt(
        text=text,
        segments=tuple(_segments(body)),
        knobs=knobs,
        tool_results=_results(messages),
        tools=tools,
        tool_mode={"REQUIRED": "required", "NONE": "none"}.get(body.get("tool_choice") or "", "auto"),
        max_tokens=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
        schema=_schema(body.get("response_format") or {}),
        reasoning_tokens=_thinking_tokens(body),
    )


def read_texts(body: dict[str, Any]) -> Prompt:
    """What is to be embedded or ranked; of a ranking the query first."""
    parts = [body.get("query"), *(body.get("texts") or ()), *(body.get("documents") or ())]
    parts += [_text_of(each.get("content")) for each in body.get("inputs") or ()]
    texts = [part for part in parts if part]
    _, knobs = split_directives(texts[-1] if texts else "")
    return Prompt(text="", segments=tuple(Segment(each, count_tokens(each)) for each in texts), knobs=knobs)


def _thinking_tokens(body: dict[str, Any]) -> int:
    thinking = body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return 0
    return int(min(thinking.get("token_budget", THINKING_TOKENS), MOST_THINKING_TOKENS))


def _segments(body: dict[str, Any]) -> Iterator[Segment]:
    for name in ("tools", "documents"):
        if body.get(name):
            yield Segment(compact(body[name]), count_tokens(compact(body[name])))
    for message in body["messages"]:
        calls = compact(message["tool_calls"]) if message.get("tool_calls") else ""
        tokens = MESSAGE_TOKENS + content_tokens(message.get("content")) + count_tokens(calls)
        yield Segment(compact(message), tokens)


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(block["text"] for block in content if block.get("type") == "text")
    return content or ""


def _results(messages: list[dict[str, Any]]) -> tuple[str, ...]:
    """The results that end the conversation."""
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.append(_text_of(message["content"]))
    return tuple(reversed(results))


def _tool(function: dict[str, Any]) -> Tool:
    return Tool(function["name"], function["parameters"])


def _schema(form: dict[str, Any]) -> Any:
    if form.get("type") != "json_object":
        return None
    return form.get("json_schema") or {"type": "object", "properties": {"answer": {"type": "string"}}}
