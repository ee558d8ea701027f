"""For tests of the crossings: which there are, wire fixtures to feed them, JSON that is broken somewhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ownkey.domain.surfaces import Surface
from ownkey.providers import Translator, selection
from tests.support.providers import FIXTURES

FOLDERS = {
    "openai": "openai",
    "azure": "azure",
    "openai_vertex": "openai",
    "mistral_vertex": "openai",
    "openai_responses": "responses",
    "azure_responses": "responses",
    "anthropic": "anthropic",
    "anthropic_azure": "anthropic",
    "anthropic_vertex": "anthropic",
    "gemini": "gemini",
    "gemini_vertex": "gemini",
    "bedrock": "bedrock",
    "anthropic_bedrock": "bedrock-anthropic",
    "cohere": "cohere",
}
"""Wire → the folder of its fixtures."""
CLIENT_FOLDERS = {Surface.CHAT: "openai", Surface.MESSAGES: "anthropic", Surface.RESPONSES: "responses"}
PROVIDERS = {
    "openai_responses": "openai",
    "azure_responses": "azure",
    "mistral_vertex": "vertex",
    "openai_vertex": "vertex",
    "anthropic_azure": "azure",
    "anthropic_vertex": "vertex",
    "gemini_vertex": "vertex",
    "anthropic_bedrock": "bedrock",
}
"""Wire → a provider that speaks it, where that is not of its name."""
MODELS = {"openai_vertex": "publisher/some-model", "mistral_vertex": "mistral-medium-3"}
"""Wire → a model by whose name it can be asked for, where not any name is one."""
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\ud800",
    [],
    {},
    [None],
    {"type": "text"},
    [[]],
)


def crossings() -> Iterator[tuple[Surface, str, Translator]]:
    """Every pair of halves."""
    for surface in sorted(selection.CONVERSATIONS):  # in one order, for several processes
        for wire in selection.wires():
            found = selection.translator_of(surface, wire)
            if found is not None:
                yield surface, wire, found


def files(folder: str, prefix: str) -> list[Path]:
    """The fixtures of a folder whose names begin so."""
    return sorted((FIXTURES / folder).glob(f"{prefix}*"))


def requests(surface: Surface) -> list[dict[str, Any]]:
    """What clients of a surface send."""
    found = []
    for path in files(CLIENT_FOLDERS[surface], "request"):
        held = json.loads(path.read_bytes())
        found += held if isinstance(held, list) else [held]
    return [each.get("body", each) for each in found]


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from _paths(child, (*at, name))


@st.composite
def broken(draw: st.DrawFn, values: Any) -> Any:
    """JSON with one to three of its values replaced or left out."""
    broken = copy.deepcopy(values)
    for _ in range(draw(st.integers(1, 3))):
        paths = list(_paths(broken))
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        parent = broken
        for name in way:
            parent = parent[name]
        if draw(st.booleans()) and isinstance(parent, dict):
            del parent[last]
        else:
            parent[last] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    return broken


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in pieces: a few cuts anywhere, or every byte by itself."""
    if len(data) < 2_000 and draw(st.integers(0, 9)) == 0:
        return [data[at : at + 1] for at in range(len(data))]
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some of them changed, left out, doubled, or cut off."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(found) - 1)))
        end = min(len(found), start + draw(st.integers(1, 40)))
        match draw(st.sampled_from(["change", "cut", "remove", "double", "noise"])):
            case "change":
                found[start : start + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del found[start:]
            case "remove":
                del found[start:end]
            case "double":
                found[start:start] = found[start:end]
            case _:
                found[start:start] = draw(st.binary(max_size=20))
    return bytes(found)
