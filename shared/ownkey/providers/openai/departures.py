"""A request of OpenAI's dialect, as a provider wants it that departs from it: its row's `parameters`.

What only tunes the answer is left out and reported; what changes what the answer is is refused (docs/compatibility.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ownkey.catalog import Parameters
from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.document import REMOVED

_ESSENTIAL = frozenset({
    "n", "logprobs", "response_format", "tools", "tool_choice", "functions", "function_call", "modalities", "audio",
    "web_search_options", "stop", "messages.audio", "messages.function_call", "reasoning", "thinking",
})  # fmt: skip
"""What an answer is, not only how, or what can be said in other words (`otherwise`): never left out."""
_THOUGHTS = frozenset({
    "messages.reasoning", "messages.reasoning_content", "messages.reasoning_details",
    "messages.tool_calls.extra_content",
})  # fmt: skip
"""Of another provider: left out without a word, as everywhere."""
_ASKS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "tool_choice": ("auto",),
    "function_call": ("auto",),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "parallel_tool_calls": (True,),
}
"""Values that mean what their absence means."""
_MESSAGES, _TOOLS = "messages.", "tools."
_LISTS = ("content", "tool_calls")
"""Of a message, with members of their own."""


class Departed(NamedTuple):
    """What becomes of a request."""

    changes: dict[str, Any]
    """As `Document.edited` takes them: members that are to be others, or gone."""
    dropped: tuple[str, ...]
    """OpenAI's names of what was asked for and is left out."""


def departed(
    values: Mapping[str, Any], parameters: Parameters, target: str, names: Mapping[str, str] | None = None
) -> Departed:
    """What to change of a request.

    Args:
        values: Its members, as OpenAI has them.
        target: What a refusal calls the provider.
        names: OpenAI's name of a member → what a refusal calls it, where that is another.

    Raises:
        UnsupportedParameter: something is asked for that the provider lacks and that may not be left out.
    """
    changes: dict[str, Any] = {}
    dropped: list[str] = []
    for name in sorted(parameters.unsupported):
        if name.startswith((_MESSAGES, _TOOLS)):
            continue
        member, _, value = name.partition("=")
        given = values.get(member, REMOVED)
        if given is REMOVED or (value and not _is(given, value)):
            continue
        if _asks(member, given):
            if member in _ESSENTIAL:
                raise _refusal(member, target, names)
            dropped.append(member)
        changes[member] = REMOVED
    _inner(values, parameters, changes, dropped, target, names)
    for name, other in parameters.renamed.items():
        if name in values and changes.get(name) is not REMOVED:
            changes[other], changes[name] = changes.get(name, values[name]), REMOVED
    return Departed(changes, tuple(dropped))


def _inner(
    values: Mapping[str, Any],
    parameters: Parameters,
    changes: dict[str, Any],
    dropped: list[str],
    target: str,
    names: Mapping[str, str] | None,
) -> None:
    """The changes of messages and tools."""
    messages, roles = values.get("messages"), parameters.roles
    refused = _names_in(parameters.unsupported, _MESSAGES)
    if isinstance(messages, list) and (refused or roles or parameters.text_content):
        without = [_without(each, refused, dropped, _MESSAGES, target, names) for each in messages]
        for member in _LISTS:
            if within := _names_in(refused, f"{member}."):
                without = [_items_without(each, member, within, dropped, target, names) for each in without]
        changed = [_in_role(each, roles) for each in without]
        if parameters.text_content:
            changed = [_as_text(each) for each in changed]
        if any(new is not old for new, old in zip(changed, messages, strict=True)):
            changes["messages"] = changed
    tools, refused = values.get("tools"), _names_in(parameters.unsupported, _TOOLS)
    if isinstance(tools, list) and refused:
        changed = [_tool_without(each, refused, dropped, target, names) for each in tools]
        if any(new is not old for new, old in zip(changed, tools, strict=True)):
            changes["tools"] = changed


def _names_in(unsupported: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(sorted(name.removeprefix(prefix) for name in unsupported if name.startswith(prefix)))


def _without(
    item: Any,
    refused: tuple[str, ...],
    dropped: list[str],
    prefix: str,
    target: str,
    names: Mapping[str, str] | None,
) -> Any:
    """A message or a tool without these members; itself where it has none of them."""
    if not isinstance(item, dict) or not any(name in item for name in refused):
        return item
    for name in refused:
        if not is_nothing(item.get(name)):
            if prefix + name in _ESSENTIAL:
                raise _refusal(prefix + name, target, names)
            if prefix + name not in dropped and prefix + name not in _THOUGHTS:
                dropped.append(prefix + name)
    return {name: value for name, value in item.items() if name not in refused}


def _items_without(
    message: Any,
    member: str,
    refused: tuple[str, ...],
    dropped: list[str],
    target: str,
    names: Mapping[str, str] | None,
) -> Any:
    items = message.get(member) if isinstance(message, dict) else None
    if not isinstance(items, list):
        return message
    changed = [_without(each, refused, dropped, f"{_MESSAGES}{member}.", target, names) for each in items]
    same = all(new is old for new, old in zip(changed, items, strict=True))
    return message if same else {**message, member: changed}


def _tool_without(
    tool: Any, refused: tuple[str, ...], dropped: list[str], target: str, names: Mapping[str, str] | None
) -> Any:
    tool = _without(tool, refused, dropped, _TOOLS, target, names)
    function = tool.get("function") if isinstance(tool, dict) else None
    changed = _without(function, refused, dropped, _TOOLS, target, names)
    return tool if changed is function else {**tool, "function": changed}


def _in_role(message: Any, roles: Mapping[str, str]) -> Any:
    role = message.get("role") if isinstance(message, dict) else None
    return {**message, "role": roles[role]} if isinstance(role, str) and role in roles else message


def _as_text(message: Any) -> Any:
    """A message whose content is a list of texts, with their text; any other itself."""
    parts = message.get("content") if isinstance(message, dict) else None
    if not isinstance(parts, list) or not parts:
        return message
    texts = [each.get("text") for each in parts if isinstance(each, dict) and each.get("type") == "text"]
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        return message
    return {**message, "content": "".join(map(str, texts))}


def _is(given: Any, value: str) -> bool:
    """Whether a member is this text, or an object of this type."""
    return given == value or (isinstance(given, dict) and given.get("type") == value)


def _asks(member: str, given: Any) -> bool:
    """Whether its absence would be something else."""
    return not is_nothing(given) and given not in _ASKS_NOTHING.get(member, ())


def is_nothing(given: Any) -> bool:
    """Whether a member's value is as good as its absence: null, false, empty. 0 is a number like others."""
    return given is None or given is False or given in ([], {}, "")


def _refusal(name: str, target: str, names: Mapping[str, str] | None) -> UnsupportedParameter:
    param = (names or {}).get(name, name)
    message = f"{target} cannot serve `{param}`: this model does not take it."
    return UnsupportedParameter(message, param=param, details={"unsupported": [param]})
