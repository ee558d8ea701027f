"""A client's tools: functions and free-form ones, those of a namespace, those it runs itself, and the provider's.

openai-python 3.52: `types/responses/tool_param.py`, `namespace_tool_param.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ownkey.providers.crossing import HostedTool, Tool
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.openai.parts_in import read_cache
from ownkey.providers.responses.local_tools import LOCAL_TOOLS, LocalTool

_MAX_NAME_CHARS = 64


@dataclass(slots=True)
class ToolBook:
    """The tools of a request, and how their names are told apart."""

    tools: list[Tool | HostedTool] = field(default_factory=list)
    local: dict[str, LocalTool] = field(default_factory=dict)
    """Those that the client runs, by their name as functions."""
    spaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    """A tool's name → its namespace, and its name there."""

    @staticmethod
    def of(request: Fields) -> ToolBook:
        """The tools, those among the input too.

        Raises:
            InvalidParameter: one is not as it must be.
        """
        book = ToolBook()
        for tool in request.members("tools"):
            book._take(tool)
        for tool in _among(request):
            book._take(tool)
        return book

    def _take(self, tool: Fields) -> None:
        kind = tool.needed_text("type")
        if kind == "namespace":
            space = tool.needed_text("name")
            for inner in tool.members("tools"):
                name = inner.needed_text("name")
                flat = spaced(space, name)
                self.spaced[flat] = space, name
                self._take(Fields({**inner.values, "name": flat}, inner.path))
        elif kind == "function":
            self.tools.append(_function(tool))
        elif kind == "custom":
            self.tools.append(_custom(tool))
        elif kind in LOCAL_TOOLS and _runs_here(tool):
            self.local[kind] = LOCAL_TOOLS[kind]
            self.tools.append(LOCAL_TOOLS[kind].tool)
        else:
            self.tools.append(HostedTool(kind, tool.values))


def spaced(space: str | None, name: str) -> str:
    """A tool's name where there are no namespaces."""
    flat = f"{space}__{name}" if space else name
    if len(flat) <= _MAX_NAME_CHARS or not space:
        return flat
    return f"{flat[:47]}_{hashlib.sha256(flat.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _among(request: Fields) -> Iterator[Fields]:
    if isinstance(request.values.get("input"), list):
        for item in request.members("input"):
            if item.values.get("type") == "additional_tools":
                yield from item.members("tools")


def _runs_here(tool: Fields) -> bool:
    place = tool.member("environment")
    return place is None or place.text("type") == "local"


def _function(tool: Fields) -> Tool:
    parameters = tool.member("parameters")
    return Tool(
        tool.needed_text("name"),
        tool.text("description"),
        parameters.values if parameters else None,
        tool.flag("strict"),
        cache=read_cache(tool),
    )


def _custom(tool: Fields) -> Tool:
    form = tool.member("format")
    grammar = form.values if form and form.text("type") == "grammar" else None
    return Tool(tool.needed_text("name"), tool.text("description"), free_form=True, grammar=grammar)
