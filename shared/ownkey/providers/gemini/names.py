"""Names of tools as Google takes them: others are refused, though their clients' dialects have them.

`FunctionDeclaration.name` (google-genai 3.4): a letter or an underscore first, then letters, digits and `_.:-`. Of the
128 characters that AI Studio takes now Vertex AI documents 64.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256

from ownkey.providers.crossing import HostedTool, Tool

NAMES = "tool_names"
"""In `Call.kept`: a name as it was sent → the client's."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_OTHERS = re.compile(r"[^A-Za-z0-9_.:-]")
_KEPT_CHARS = 54


def sent_name(name: str) -> str:
    """A tool's name as it is sent: itself where it can be, else its head and what tells it from others alike."""
    if _NAME.fullmatch(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"_{_OTHERS.sub('_', name)[:_KEPT_CHARS]}_{digest}"


def names_of(tools: Iterable[Tool | HostedTool]) -> dict[str, str]:
    """The names as they are sent → the client's, of those that differ."""
    sent = {sent_name(each.name): each.name for each in tools if isinstance(each, Tool)}
    return {name: own for name, own in sent.items() if name != own}
