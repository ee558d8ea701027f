"""A request's tools, in Responses' words.

openai-python 3.52: `types/responses/tool_param.py`, `custom_tool_param.py`, `tool_choice_allowed_param.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.counts import member
from ownkey.providers.crossing import Conversation, Drops, HostedTool, Tool, ToolChoice
from ownkey.providers.openai.schemas import completed, fits_strict

Members = dict[str, Any]

_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_PLACE = ("city", "region", "country", "timezone")
_SIZES = ("low", "medium", "high")


def tools_for(conversation: Conversation, drops: Drops) -> Members:
    """`tools`, `tool_choice`, `parallel_tool_calls`.

    Raises:
        UnsupportedParameter: a tool that the API does not have.
    """
    if not conversation.tools:
        return {}
    members: Members = {"tools": [_tool(tool, drops) for tool in conversation.tools]}
    if conversation.tool_choice is not None:
        members["tool_choice"] = _choice(conversation, conversation.tool_choice)
    if conversation.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = conversation.parallel_tool_calls
    return members


def _tool(tool: Tool | HostedTool, drops: Drops) -> Members:
    if isinstance(tool, HostedTool):
        return _hosted(tool, drops)
    if tool.cache is not None:
        drops.drop("cache")
    described = {"description": tool.description} if tool.description is not None else {}
    if tool.free_form:
        return {"type": "custom", "name": tool.name, **described, "format": _grammar(tool)}
    schema = completed(tool.schema) if tool.schema is not None else _NO_PARAMETERS
    strict = bool(tool.strict) and fits_strict(schema)
    if tool.strict and not strict:
        drops.drop("tools.strict")
    # Unsaid, the API tries to be strict; everywhere else unsaid is not strict.
    return {"type": "function", "name": tool.name, **described, "parameters": schema, "strict": strict}


def _grammar(tool: Tool) -> Members:
    """What a free-form tool's text must be; chat completions state it one level deeper."""
    if tool.grammar is None:
        return {"type": "text"}
    stated = {name: value for name, value in tool.grammar.items() if name != "grammar"}
    return {"type": "grammar", **stated, **member(tool.grammar, "grammar")}


def _hosted(tool: HostedTool, drops: Drops) -> Members:
    """A search of the web, in whosever words; no other tool of a provider's is the same elsewhere."""
    if not tool.kind.startswith("web_search"):
        raise drops.refusal("tools", f"it has no tool {tool.kind[:64]!r}")
    values = tool.values
    made: Members = {"type": "web_search"}
    place = member(values, "user_location")
    place = {**place, **member(place, "approximate")}
    named = {name: place[name] for name in _PLACE if isinstance(place.get(name), str)}
    if named:
        made["user_location"] = {"type": "approximate", **named}
    domains = values.get("allowed_domains") or member(values, "filters").get("allowed_domains")
    if isinstance(domains, list) and domains:
        made["filters"] = {"allowed_domains": domains}
    if values.get("blocked_domains"):
        raise drops.refusal("tools", "its search of the web can leave no domains out")
    if values.get("search_context_size") in _SIZES:
        made["search_context_size"] = values["search_context_size"]
    if values.get("max_uses") is not None:
        drops.drop("tools.max_uses")
    return made


def _choice(conversation: Conversation, choice: ToolChoice) -> str | Members:
    if choice.mode == "named":
        return _named(conversation, choice.names[0])
    if not choice.names:
        return choice.mode
    return {"type": "allowed_tools", "mode": choice.mode, "tools": [_named(conversation, n) for n in choice.names]}


def _named(conversation: Conversation, name: str) -> Members:
    tool = conversation.tool(name)
    return {"type": "custom" if tool is not None and tool.free_form else "function", "name": name}
