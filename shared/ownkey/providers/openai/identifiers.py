"""Names of tools, ids of calls and of users as OpenAI takes them; elsewhere they may be longer, of other characters.

OpenAI refuses a function's name that is not of 1 to 64 of `a-zA-Z0-9_-` (openai-python 3.52, `FunctionDefinition`), the
id of a call beyond 40 characters, and that of a user beyond 64 (`completion_create_params.py`: `safety_identifier`).
"""

from __future__ import annotations

import re
from hashlib import sha256

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}").fullmatch
_other_characters = re.compile(r"[^a-zA-Z0-9_-]").sub
_KEPT_CHARS = 55
MAX_ID_CHARS = 40
_MAX_USER_CHARS = 64


def sent_name(name: str) -> str:
    """A tool's name as it is sent: itself where it can be, else its head and what tells it from others alike."""
    return name if _NAME(name) else f"{_other_characters('_', name)[:_KEPT_CHARS]}_{_digest(name, 8)}"


def sent_id(id_: str) -> str:
    """A call's id as it is sent, the same in the call and in its result."""
    return id_ if 0 < len(id_) <= MAX_ID_CHARS else f"call_{_digest(id_, 24)}"


def sent_user(user: str) -> str:
    """A user's id as it is sent. A longer one is hashed: it is to tell users apart, no more."""
    return user if len(user) <= _MAX_USER_CHARS else _digest(user, _MAX_USER_CHARS)


def _digest(text: str, chars: int) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:chars]
