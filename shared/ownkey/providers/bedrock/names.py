"""Names of tools as Converse takes them: up to 64 letters, digits, `_` and `-` (botocore 1.44, ToolName).

Coding agents have longer ones, of servers and plugins. Another is its head and what tells it from others alike; an
answer has the client's own again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ownkey.providers.crossing import Conversation, Tool, ToolUse
from ownkey.providers.translator import Call

_SENT_NAMES = "bedrock_tool_names"
"""In `Call.kept`: names as they were sent → as the client has them."""
_A_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_KEPT_CHARS = 55


def sent_name(name: str) -> str:
    """The name itself, where Converse takes it."""
    if _A_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_NOT_IN_A_NAME.sub('_', name)[:_KEPT_CHARS]}_{digest}"


def keep_names(call: Call, conversation: Conversation) -> None:
    """Remembers, for the answer, the names that were sent otherwise."""
    named = {part.name for turn in conversation.turns for part in turn.parts if isinstance(part, ToolUse)}
    named |= {tool.name for tool in conversation.tools if isinstance(tool, Tool)}
    call.kept[_SENT_NAMES] = {sent: name for name in named if (sent := sent_name(name)) != name}


def own_name(call: Call, sent: str) -> str:
    """The client's name of a tool that an answer calls."""
    names: Mapping[str, str] = call.kept.get(_SENT_NAMES, {})
    return names.get(sent, sent)
