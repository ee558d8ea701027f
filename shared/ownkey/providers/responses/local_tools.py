"""Tools of OpenAI's own that the client runs itself: to any other model they are functions.

openai-python 3.52: `types/responses/response_apply_patch_tool_call.py`, `response_function_shell_tool_call.py`,
`response_output_item.py` (local shell). Such a tool is offered as a function, and its calls are the items that the
client knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ownkey.providers.crossing import Tool
from ownkey.providers.crossing.strict import Fields

Item = dict[str, Any]

_TEXT: Mapping[str, Any] = {"type": "string"}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}
_NUMBER: Mapping[str, Any] = {"type": "integer"}
_OPERATIONS = ("create_file", "update_file", "delete_file")


@dataclass(frozen=True, slots=True)
class LocalTool:
    """A tool of OpenAI's that the client runs."""

    kind: str
    """Its type, and its name as a function."""
    id_prefix: str
    """Of its items' ids: OpenAI takes an item back by no other."""
    description: str
    properties: Mapping[str, Any]
    required: str
    """The property that a call cannot be without."""
    fits: Callable[[Any], bool]
    """Whether that property is as its clients demand."""
    members: Callable[[Item], Item]
    """A call's arguments → the members of its item."""
    arguments: Callable[[Fields], Item]
    """The inverse."""

    @property
    def tool(self) -> Tool:
        """As a function."""
        schema = {"type": "object", "properties": self.properties, "required": [self.required]}
        return Tool(self.kind, self.description, schema)

    def item(self, arguments: str) -> Item | None:
        """The members of the item that a call is; None: the arguments are not this tool's."""
        try:
            values = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
        fits = isinstance(values, dict) and self.fits(values.get(self.required))
        return {"type": f"{self.kind}_call", **self.members(values)} if fits else None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_operation(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _OPERATIONS or not isinstance(value.get("path"), str):
        return False
    return value["type"] == "delete_file" or isinstance(value.get("diff"), str)


def _exec(values: Item) -> Item:
    env, place, timeout_ms = values.get("env"), values.get("working_directory"), _number(values.get("timeout_ms"))
    given = {name: value for name, value in env.items() if isinstance(value, str)} if isinstance(env, dict) else {}
    action = {"type": "exec", "env": given, "command": values["command"]}
    action |= {} if timeout_ms is None else {"timeout_ms": timeout_ms}
    return {"action": action | ({"working_directory": place} if isinstance(place, str) else {})}


def _commands(values: Item) -> Item:
    limits = {name: _number(values.get(name)) for name in ("max_output_length", "timeout_ms")}
    return {"action": {**limits, "commands": values["commands"]}}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


LOCAL_TOOLS: Mapping[str, LocalTool] = {
    tool.kind: tool
    for tool in (
        LocalTool(
            "local_shell",
            "lsh_",
            "Runs a command on the user's machine.",
            {
                "command": _TEXTS,
                "env": {"type": "object", "additionalProperties": _TEXT},
                "timeout_ms": _NUMBER,
                "working_directory": _TEXT,
            },
            "command",
            _are_texts,
            _exec,
            lambda item: {n: v for n, v in item.needed_member("action").values.items() if n != "type"},
        ),
        LocalTool(
            "shell",
            "sh_",
            "Runs shell commands on the user's machine, each by itself.",
            {"commands": _TEXTS, "timeout_ms": _NUMBER, "max_output_length": _NUMBER},
            "commands",
            _are_texts,
            _commands,
            lambda item: {n: v for n, v in item.needed_member("action").values.items() if v is not None},
        ),
        LocalTool(
            "apply_patch",
            "apc_",
            "Creates, updates or deletes a file of the user's workspace. The diff is in the V4A format: lines begin "
            "with a space, - or +, under an @@ line; of a new file each line begins with +.",
            {
                "operation": {
                    "type": "object",
                    "properties": {
                        "type": {"enum": list(_OPERATIONS)},
                        "path": _TEXT,
                        "diff": _TEXT,
                    },
                    "required": ["type", "path"],
                }
            },
            "operation",
            _is_operation,
            lambda values: {"operation": values["operation"]},
            lambda item: {"operation": dict(item.needed_member("operation").values)},
        ),
    )
}
"""By kind."""


def local_tool(kind: str) -> LocalTool | None:
    """The tool of the client's that an item's type is a call of."""
    return LOCAL_TOOLS.get(kind.removesuffix("_call"))
