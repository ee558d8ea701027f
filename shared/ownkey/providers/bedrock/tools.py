"""A request's tools, and what its text must be, as Converse has them.

Shapes from botocore 1.44, `bedrock-runtime`: ToolConfiguration, OutputConfig. A schema that holds is of the part of
JSON Schema that AWS's guide on structured outputs names: Anthropic's, with every object closed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ownkey.providers.anthropic.schemas import NotClosed, closed
from ownkey.providers.bedrock.families import Family
from ownkey.providers.bedrock.names import sent_name
from ownkey.providers.bedrock.parts import Block, PartWriter
from ownkey.providers.crossing import FREE_FORM_SCHEMA, Conversation, Drops, OutputFormat, Tool, ToolChoice, ToolUse
from ownkey.providers.translator import Call

_ANSWER_TOOL = "bedrock_answer_tool"
"""In `Call.kept`: the name of the tool that stands for the answer."""
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64


def answer_tool(call: Call) -> str | None:
    """The tool whose arguments are the answer, where the model cannot be held to a schema otherwise."""
    name = call.kept.get(_ANSWER_TOOL)
    return name if isinstance(name, str) else None


def text_format(conversation: Conversation, family: Family, drops: Drops) -> dict[str, Any] | None:
    """`outputConfig.textFormat`; None: nothing is demanded, or the model cannot be held to it so.

    Raises:
        UnsupportedParameter: the schema cannot be read.
    """
    wanted = conversation.output
    if wanted is None or wanted.schema is None or not family.schema:
        return None
    try:
        schema = closed(wanted.schema)
    except NotClosed:
        return None
    except RecursionError:
        raise drops.refusal("output", "the schema is nested too deeply") from None
    definition = {
        "schema": json.dumps(schema, separators=(",", ":")),
        "name": wanted.name,
        **({"description": wanted.description} if wanted.description else {}),
    }
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}


def tool_config(
    call: Call, conversation: Conversation, family: Family, parts: PartWriter, drops: Drops
) -> dict[str, Any] | None:
    """`toolConfig`; None: there are no tools.

    Raises:
        UnsupportedParameter: a tool, a choice or a form of the answer cannot be said.
    """
    called = {part.name for turn in conversation.turns for part in turn.parts if isinstance(part, ToolUse)}
    choice = _choice(conversation, family)
    if choice.mode == "none" and called and conversation.tools:
        raise drops.refusal("tool_choice", "it cannot forbid tools that were called before")
    wanted = [] if choice.mode == "none" else _wanted(conversation, choice, drops)
    if conversation.output is not None and text_format(conversation, family, drops) is None:
        return _answering(call, conversation.output, family, called or wanted, drops)
    if not wanted:
        # Calls of earlier turns need their tools, though none is offered any more.
        return {"tools": [_spec(Tool(name), family, drops) for name in sorted(called)]} if called else None
    if conversation.parallel_tool_calls is False:
        drops.drop("parallel_tool_calls")
    specs = []
    for tool in wanted:
        specs.append(_spec(tool, family, drops))
        if tool.cache is not None and not family.caches_tools:
            drops.drop("cache_control")
        else:
            specs += parts.cache_point(tool.cache)
    return {"tools": specs, **_forced(choice, family, drops)}


def _choice(conversation: Conversation, family: Family) -> ToolChoice:
    """The client's; a named tool as the only one to choose from, where that is all that can be said."""
    choice = conversation.tool_choice or ToolChoice("auto")
    named = choice.mode == "named" and "tool" not in family.forced
    return ToolChoice("required", choice.names) if named and "any" in family.forced else choice


def _wanted(conversation: Conversation, choice: ToolChoice, drops: Drops) -> list[Tool]:
    """The client's tools that may be called."""
    wanted = []
    for tool in conversation.tools:
        if not isinstance(tool, Tool):
            raise drops.refusal("tools", "it runs no tools of its own")
        if choice.mode == "named" or not choice.names or tool.name in choice.names:
            wanted.append(tool)
    return wanted


def _spec(tool: Tool, family: Family, drops: Drops) -> Block:
    if tool.grammar is not None:
        drops.drop("tools.grammar")
    schema = FREE_FORM_SCHEMA if tool.free_form else {"type": "object", **(tool.schema or _NO_ARGUMENTS)}
    strict = _strict(schema) if tool.strict and family.schema else None
    if tool.strict and strict is None:
        drops.drop("tools.strict")
    return {
        "toolSpec": {
            "name": sent_name(tool.name),
            **({"description": tool.description} if tool.description and tool.description.strip() else {}),
            "inputSchema": {"json": schema if strict is None else strict},
            **({} if strict is None else {"strict": True}),
        }
    }


def _strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as arguments can be held to it; None: they cannot."""
    try:
        return closed(schema)
    except (NotClosed, RecursionError):
        return None


def _forced(choice: ToolChoice, family: Family, drops: Drops) -> dict[str, Any]:
    if choice.mode in ("auto", "none"):
        return {}
    kind = "tool" if choice.mode == "named" else "any"
    if kind not in family.forced:
        raise drops.refusal("tool_choice", "this model cannot be made to call a tool")
    return {"toolChoice": {"tool": {"name": sent_name(choice.names[0])}} if kind == "tool" else {"any": {}}}


def _answering(call: Call, wanted: OutputFormat, family: Family, tools: object, drops: Drops) -> dict[str, Any]:
    """The one tool whose arguments are the answer."""
    if tools or not family.forced:
        raise drops.refusal("output", "this model cannot be held to such a form of its text")
    name = _NOT_IN_A_NAME.sub("_", wanted.name)[:_MAX_NAME_CHARS] or "answer"
    call.kept[_ANSWER_TOOL] = name
    tool = Tool(name, wanted.description or "The answer, as a whole.", wanted.schema or {"type": "object"})
    named = {"tool": {"name": name}} if "tool" in family.forced else {"any": {}}
    return {"tools": [_spec(tool, family, drops)], "toolChoice": named}
