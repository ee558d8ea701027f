"""What a request may not ask by a credential that is not the account's own: the platform's, or a shared one.

Some of what Anthropic's API does it bills where no count of the answer's says at which price: tools that think with a
model of their own, models that step in for the one that was asked, containers. And what is stored under the credential
is not the client's to name. (anthropic-sdk-python 2.11: `types/beta/beta_advisor_tool_20260301_param.py`,
`beta_fallbacks_param.py`, `beta_container_params.py`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.counts import string

_BILLED_APART = ("advisor_", "code_execution_")
"""How the types of such tools begin."""
_MEMBERS: Mapping[str, str] = {
    "fallbacks": "the model that answers has a price of its own",
    "container": "it is stored at the provider, and the credential is not yours",
}
_FIX = "Leave it out, or save a key of your own."
_FILE = b'"file_id"'


def keep_apart(values: Mapping[str, Any], raw: bytes) -> None:
    """Checks a messages request.

    Args:
        raw: Its text.

    Raises:
        UnsupportedParameter: it asks such a thing.
    """
    for name, why in _MEMBERS.items():
        if values.get(name):
            raise _refusal(name, why)
    refuse_tools(values.get("tools"))
    if _FILE in raw and any(map(_is_file, _blocks(values.get("messages")))):
        raise _refusal("messages", "it names a file at the provider, and the credential is not yours")


def refuse_tools(tools: Any) -> None:
    """Checks the tools, as the client has them.

    Raises:
        UnsupportedParameter: one is billed apart.
    """
    for tool in tools if isinstance(tools, list | tuple) else ():
        kind = string(tool.get("type")) if isinstance(tool, Mapping) else None
        if kind is not None and kind.startswith(_BILLED_APART):
            raise _refusal("tools", f"the provider bills {kind[:64]} apart")


def _is_file(block: Mapping[str, Any]) -> bool:
    source = block.get("source")
    return "file_id" in block or (isinstance(source, dict) and "file_id" in source)


def _blocks(holders: Any) -> Iterator[Mapping[str, Any]]:
    """The blocks of messages, and those within them."""
    for holder in holders if isinstance(holders, list) else ():
        content = holder.get("content") if isinstance(holder, dict) else None
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict):
                yield block
        yield from _blocks(content)


def _refusal(name: str, why: str) -> UnsupportedParameter:
    message = f"`{name}` cannot be served by a key that is not yours: {why}."
    return UnsupportedParameter(message, fix=_FIX, param=name, details={"unsupported": [name]})
