"""A client's messages request as a conversation.

anthropic-sdk-python 2.11: `types/message_create_params.py`; temperature, top_p and top_k are of the generation before.
Read strictly, but for members that are not known: Anthropic's grow faster than any gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.anthropic.blocks_in import BlockReader, read_mark, read_text
from ownkey.providers.anthropic.threads import refuse_thread
from ownkey.providers.crossing import (
    Conversation,
    HostedTool,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolChoice,
    Turn,
)
from ownkey.providers.crossing.strict import Fields

_READ = frozenset(
    {
        "cache_control",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "provider",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_ANTHROPICS_ALONE: Mapping[str, str] = {
    "inference_geo": "where it runs can be promised by Anthropic's own API alone",
    "mcp_servers": "Anthropic's own API alone calls them",
}
"""What changes what an answer is, and nobody else has."""
_NAMES: Mapping[str, str] = {
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
    "reasoning": "thinking",
    "output": "output_config.format",
    "output.strict": "output_config.format",
    "user": "metadata.user_id",
    "cache": "cache_control",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
_DATED = re.compile(r"_\d{8}$")
_CHOICES = ("auto", "any", "tool", "none")
_THINKING = ("enabled", "adaptive", "disabled", "between_tools")
_DISPLAYS = ("summarized", "omitted")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
"""Anthropic's word → the one that more APIs know."""


def read_request(values: Mapping[str, Any]) -> Conversation:
    """The conversation.

    Raises:
        InvalidParameter: a member is missing, or not as it must be.
        UnsupportedParameter: a member that no other API could honour.
    """
    request = Fields(values)
    _refuse_what_is_anthropics(values)
    blocks = BlockReader()
    turns = _turns(request, blocks)
    first = next((at for at, turn in enumerate(turns) if turn.role is not Role.SYSTEM), len(turns))
    leading = (part for turn in turns[:first] for part in turn.parts if isinstance(part, Text))
    choice = _choice(request)
    config = request.member("output_config")
    tier = request.word("service_tier", tuple(_TIERS))
    others = {name: value for name, value in values.items() if name not in _READ and value is not None}
    return Conversation(
        system=(*_system(request), *leading),
        turns=turns[first:],
        tools=tuple(_tool(each) for each in request.members("tools")),
        tool_choice=choice,
        parallel_tool_calls=_parallel(request),
        output=_output(config),
        reasoning=_reasoning(request, config),
        max_output_tokens=request.integer("max_tokens", least=1),
        stop=tuple(request.texts("stop_sequences")),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        top_k=request.integer("top_k"),
        service_tier=_TIERS[tier] if tier else None,
        user=_user(request),
        cache=read_mark(request),
        stream=bool(request.flag("stream")),
        others={**others, **blocks.passed_over},
        names=_NAMES,
    )


def _refuse_what_is_anthropics(values: Mapping[str, Any]) -> None:
    refuse_thread(values)
    found = {name: why for name, why in _ANTHROPICS_ALONE.items() if values.get(name)}
    if values.get("max_tokens") == 0:
        found["max_tokens"] = "0 fills the prompt cache of Anthropic's own API alone"
    for name, why in found.items():
        raise UnsupportedParameter(f"`{name}` cannot be served: {why}.", param=name, details={"unsupported": [name]})


def _system(request: Fields) -> tuple[Text, ...]:
    value = request.values.get("system")
    if isinstance(value, str):
        return (Text(value),) if value else ()
    return tuple(_system_text(block) for block in request.members("system"))


def _system_text(block: Fields) -> Text:
    if block.needed_text("type") != "text":
        raise block.wrong("type", "is not text")
    return read_text(block)


def _turns(request: Fields, blocks: BlockReader) -> tuple[Turn, ...]:
    if request.items("messages") is None:
        raise request.wrong("messages", "is missing")
    turns = []
    for message in request.members("messages"):
        role = message.word("role", tuple(Role))
        if role is None:
            raise message.wrong("role", "is missing")
        turns.append(Turn(Role(role), blocks.content(message, Role(role))))
    return tuple(turns)


def _tool(tool: Fields) -> Tool | HostedTool:
    kind = tool.text("type") or "custom"
    if kind != "custom":
        return HostedTool(_DATED.sub("", kind), tool.values)
    return Tool(
        name=tool.needed_text("name"),
        description=tool.text("description"),
        schema=tool.needed_member("input_schema").values,
        strict=tool.flag("strict"),
        cache=read_mark(tool),
    )


def _choice(request: Fields) -> ToolChoice | None:
    choice = request.member("tool_choice")
    if choice is None:
        return None
    choice.needed_text("type")
    match choice.word("type", _CHOICES):
        case "any":
            return ToolChoice("required")
        case "tool":
            return ToolChoice("named", (choice.needed_text("name"),))
        case "none":
            return ToolChoice("none")
        case _:
            return ToolChoice("auto")


def _parallel(request: Fields) -> bool | None:
    choice = request.member("tool_choice")
    disabled = choice.flag("disable_parallel_tool_use") if choice is not None else None
    return None if disabled is None else not disabled


def _output(config: Fields | None) -> OutputFormat | None:
    wanted = config.member("format") if config is not None else None
    if wanted is None:
        return None
    if wanted.needed_text("type") != "json_schema":
        raise wanted.wrong("type", "is not json_schema")
    return OutputFormat(schema=wanted.needed_member("schema").values, strict=True)


def _reasoning(request: Fields, config: Fields | None) -> Reasoning | None:
    """`thinking`, and the effort: where thinking is not spoken of, the effort alone is no wish for it, but measures it
    at models that think by themselves.
    """
    effort = config.word("effort", _EFFORTS) if config is not None else None
    thinking = request.member("thinking")
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    thinking.needed_text("type")
    shown = thinking.word("display", _DISPLAYS)
    visible = None if shown is None else shown == "summarized"
    match thinking.word("type", _THINKING):
        case "enabled":
            budget = thinking.integer("budget_tokens", least=1)
            if budget is None:
                raise thinking.wrong("budget_tokens", "is missing")
            return Reasoning(effort=effort, budget_tokens=budget, visible=visible)
        case "adaptive":
            return Reasoning(effort=effort, adaptive=True, visible=visible)
        case _:
            return Reasoning(effort="none")


def _user(request: Fields) -> str | None:
    metadata = request.member("metadata")
    return metadata.text("user_id") if metadata is not None else None
