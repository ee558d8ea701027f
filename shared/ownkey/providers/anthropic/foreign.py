"""What a conversation that was had at another provider has in it, and Claude refuses, in messages that pass through.

A client gives back what it was given. Switched from another model to Claude it sends thoughts that another has signed,
or nobody, and ids of calls in another's characters; Anthropic answers either with a 400. So, as a crossing has it, such
thoughts are left out, and the ids are others, the same for a call and its result. Providers that only speak the dialect
are sent their own thoughts, whatever these are signed with; what `ownkey:` signs is nobody's but ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ownkey.providers.document import REMOVED

_OURS = "ownkey:"
"""As `crossing.signatures` has it: what another has signed."""
_AN_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}").fullmatch
_IDS: Mapping[str, str] = {"tool_use": "id", "tool_result": "tool_use_id"}
"""Block → its member that names a call."""
_THOUGHTS: Mapping[str, str] = {"thinking": "signature", "redacted_thinking": "data"}
"""Block → its member that proves whose it is."""


class Own(NamedTuple):
    """What makes a request one of Claude's own."""

    changes: dict[str, Any]
    """As `Document.edited` takes them; none where it is one."""
    dropped: tuple[str, ...] = ()
    """Of the request's members, those that had to be left out with the thoughts."""


def own(values: Mapping[str, Any], model_id: str) -> Own:
    """What to change of a request's members."""
    messages, claude = values.get("messages"), "claude" in model_id.lower()
    if not isinstance(messages, list):
        return Own({})
    pairs = [(each, _own(each, claude)) for each in messages]
    if all(new is old for old, new in pairs):
        return Own({})
    changes: dict[str, Any] = {"messages": [new for old, new in pairs if new is old or new["content"]]}
    if _thinks_by_budget(values) and _lacks_thoughts(pairs):
        return Own(changes | {"thinking": REMOVED}, ("thinking",))
    return Own(changes)


def _own(message: Any, claude: bool) -> Any:
    """The message; itself where nothing in it is another's."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    changed = [_block(each, claude) for each in content if not _is_others_thought(each, claude)]
    same = len(changed) == len(content) and all(new is old for new, old in zip(changed, content, strict=True))
    return message if same else {**message, "content": changed}


def _is_others_thought(block: Any, claude: bool) -> bool:
    proof = _THOUGHTS.get(str(block.get("type"))) if isinstance(block, dict) else None
    if proof is None:
        return False
    signed = block.get(proof)
    return signed.startswith(_OURS) if isinstance(signed, str) and signed else claude


def _block(block: Any, claude: bool) -> Any:
    member = _IDS.get(str(block.get("type"))) if claude and isinstance(block, dict) else None
    id_ = block.get(member) if member else None
    if not isinstance(id_, str) or not id_ or _AN_ID(id_):
        return block
    from ownkey.providers.anthropic.blocks_out import tool_id

    return {**block, member: tool_id(id_)}


def _thinks_by_budget(values: Mapping[str, Any]) -> bool:
    thinking = values.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _lacks_thoughts(pairs: list[tuple[Any, Any]]) -> bool:
    """Whether results go back for calls whose thoughts were left out: with a budget, the API demands these."""
    at = next((at for at in reversed(range(len(pairs))) if _is_answer(pairs[at][0])), -1)
    since = (block for _, message in pairs[at + 1 :] for block in _blocks(message))
    if not any(block.get("type") == "tool_result" for block in since):
        return False
    old, new = pairs[at] if at >= 0 else (None, None)
    first = next(iter(_blocks(new)), {})
    return new is not old and str(first.get("type")) not in _THOUGHTS


def _is_answer(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


def _blocks(message: Any) -> list[dict[str, Any]]:
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
