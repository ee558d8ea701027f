"""A request's tools and what its text must be, in Anthropic's words.

anthropic-sdk-python 2.11: `types/tool_param.py`, `types/tool_choice_param.py`, `types/output_config_param.py`,
`types/web_search_tool_20250305_param.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ownkey.providers.anthropic.blocks_out import Marks, tool_name
from ownkey.providers.anthropic.claude import Abilities
from ownkey.providers.anthropic.schemas import NotClosed, closed
from ownkey.providers.counts import member
from ownkey.providers.crossing import (
    FREE_FORM_SCHEMA,
    Conversation,
    Drops,
    HostedTool,
    OutputFormat,
    Tool,
    ToolResult,
    ToolUse,
)

_ITS_OWN = re.compile(r"[a-z_]+_\d{8}")
"""A hosted tool in Anthropic's own words: `web_search_20250305`."""
_WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
_PLACES = ("city", "region", "country", "timezone")
_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64


class Output(NamedTuple):
    """How the text is kept to its form: by the API, or by a tool that must be called and is the text."""

    format: dict[str, Any] | None = None
    """`output_config.format`."""
    tool: dict[str, Any] | None = None
    """The one tool, forced."""


def output_for(conversation: Conversation, abilities: Abilities, drops: Drops) -> Output:
    """What the conversation's output format demands.

    Raises:
        UnsupportedParameter: the model cannot be held to it.
    """
    wanted = conversation.output
    if wanted is None:
        return Output()
    if wanted.schema is not None and abilities.schemas:
        try:
            return Output(format={"type": "json_schema", "schema": closed(wanted.schema)})
        except NotClosed:
            pass  # the tool's schema may be open
        except RecursionError:
            raise drops.refusal("output", "the schema is nested too deeply") from None
    if conversation.tools or not abilities.forced_tools:
        raise drops.refusal("output", "this model cannot be held to such a form of its text")
    return Output(tool=_emulating(wanted))


def _emulating(wanted: OutputFormat) -> dict[str, Any]:
    name = _NAMES.sub("_", wanted.name)[:_MAX_NAME_CHARS] or "answer"
    told = wanted.description or "The answer, as a whole."
    return {"name": name, "description": told, "input_schema": _object_schema(wanted.schema)}


def tools_for(conversation: Conversation, abilities: Abilities, marks: Marks, drops: Drops) -> list[dict[str, Any]]:
    """The tools. Calls of earlier turns need theirs, though none is on offer any more.

    Raises:
        UnsupportedParameter: one is hosted by another provider alone.
    """
    choice = conversation.tool_choice
    only = choice.names if choice is not None and choice.mode in ("auto", "required") else ()
    found = []
    for tool in conversation.tools:
        if isinstance(tool, HostedTool):
            found.append(_hosted(tool, drops))
        elif not only or tool.name in only:
            found.append(marks.put(_tool(tool, abilities, drops), tool.cache))
    return found or [{"name": tool_name(name), "input_schema": {"type": "object"}} for name in _called(conversation)]


def _tool(tool: Tool, abilities: Abilities, drops: Drops) -> dict[str, Any]:
    made: dict[str, Any] = {"name": tool_name(tool.name)}
    if tool.description:
        made["description"] = tool.description
    if tool.grammar is not None:
        drops.drop("tools.grammar")
    made["input_schema"] = dict(FREE_FORM_SCHEMA) if tool.free_form else _object_schema(tool.schema)
    if tool.strict:
        strict = _strict(made["input_schema"]) if abilities.schemas else None
        if strict is None:
            drops.drop("tools.strict")
        else:
            made |= {"input_schema": strict, "strict": True}
    return made


def _strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    if not any(value for name, value in schema.items() if name != "type"):  # a tool that takes nothing
        return dict(_EMPTY)
    try:
        return closed(schema)
    except (NotClosed, RecursionError):
        return None


_EMPTY: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def _object_schema(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"type": "object", **schema} if schema else {"type": "object", "properties": {}}


def _hosted(tool: HostedTool, drops: Drops) -> dict[str, Any]:
    stated = tool.values.get("type")
    if isinstance(stated, str) and _ITS_OWN.fullmatch(stated):
        return dict(tool.values)
    if tool.kind != "web_search":
        raise drops.refusal("tools", f"it does not run the tool {tool.kind[:64]}")
    made: dict[str, Any] = dict(_WEB_SEARCH)
    place = member(tool.values, "user_location")
    place = member(place, "approximate") or place
    named = {name: place[name] for name in _PLACES if isinstance(place.get(name), str)}
    if named:
        made["user_location"] = {"type": "approximate", **named}
    domains = member(tool.values, "filters").get("allowed_domains")
    if isinstance(domains, list) and domains:
        made["allowed_domains"] = domains
    if tool.values.get("search_context_size") is not None:
        drops.drop("tools.search_context_size")
    return made


def _called(conversation: Conversation) -> list[str]:
    names: dict[str, None] = {}
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, ToolUse | ToolResult) and part.name:
                names[part.name] = None
    return list(names)


def choice_for(conversation: Conversation, abilities: Abilities, drops: Drops) -> dict[str, Any] | None:
    """`tool_choice`.

    Raises:
        UnsupportedParameter: the model cannot be forced to call one.
    """
    choice, alone = conversation.tool_choice, conversation.parallel_tool_calls is False
    if not conversation.tools:
        return {"type": "none"} if _called(conversation) else None
    mode = choice.mode if choice is not None else "auto"
    if mode == "none":
        return {"type": "none"}
    if mode in ("required", "named") and not abilities.forced_tools:
        raise drops.refusal("tool_choice", "this model decides itself whether it calls a tool")
    made: dict[str, Any] = {"type": {"auto": "auto", "required": "any", "named": "tool"}[mode]}
    if mode == "named" and choice is not None:
        made["name"] = tool_name(choice.names[0])
    if alone:
        made["disable_parallel_tool_use"] = True
    return made if choice is not None or alone else None
