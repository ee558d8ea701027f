"""A request to a provider that has a part of OpenAI's Responses: its row's `responses`.

What only tunes is left out and told. More than the part is refused here, and crosses to the provider's other API
(`providers.otherwise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import ResponsesSubset
from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.counts import member, string
from ownkey.providers.translator import Call

_EFFORT = "reasoning_effort"
"""As rows name what chat completions call an effort."""


def fitted(call: Call, has: ResponsesSubset, changes: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The changes of the request, these and further ones, and what was left out, by the client's names.

    Raises:
        UnsupportedParameter: it asks for what the provider has not, or by a key that is not the account's: what such
            Responses cost besides tokens, only the key's owner is told.
    """
    if not call.own:
        raise _refusal(call, "model", "its Responses are served by an account's own key alone")
    values = {**call.body.values, **changes}
    dropped: dict[str, None] = {}
    made = {**changes, **_items(call, has, values.get("input")), **_tools(call, has, values.get("tools"), dropped)}
    reasoning = member(values, "reasoning")
    if reasoning.get("effort") is not None and _EFFORT in call.provider.parameters_of(call.model_id).unsupported:
        dropped["reasoning.effort"] = None
        made["reasoning"] = {name: value for name, value in reasoning.items() if name != "effort"}
    return made, tuple(dropped)


def _items(call: Call, has: ResponsesSubset, given: Any) -> dict[str, Any]:
    """The input without members that are null, which OpenAI's clients give back and others refuse."""
    if not isinstance(given, list):
        return {}
    for item in given:
        kind = string(item.get("type")) or "message" if isinstance(item, dict) else None
        if kind is not None and kind not in has.items:
            raise _refusal(call, "input", f"it knows no item {kind[:64]!r}")
    said = [_said(item) for item in given]
    return {} if said == given else {"input": said}


def _said(item: Any) -> Any:
    return {name: value for name, value in item.items() if value is not None} if isinstance(item, dict) else item


def _tools(call: Call, has: ResponsesSubset, given: Any, dropped: dict[str, None]) -> dict[str, Any]:
    if not isinstance(given, list):
        return {}
    made = []
    for tool in given:
        if isinstance(tool, dict) and tool.get("type") not in has.tools:
            raise _refusal(call, "tools", f"it has no tool {str(tool.get('type'))[:64]!r}")
        refused = [name for name in tool if name in has.refused_of_tools] if isinstance(tool, dict) else []
        dropped |= {f"tools.{name}": None for name in refused if tool[name] is not None}
        made.append({name: value for name, value in tool.items() if name not in refused} if refused else tool)
    return {} if made == given else {"tools": made}


def _refusal(call: Call, param: str, why: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"{call.provider.display_name} cannot serve `{param}`: {why}.", param=param, details={"unsupported": [param]}
    )
