"""What is said, as Anthropic's blocks of content, with the marks of its prompt cache.

anthropic-sdk-python 2.11: `types/content_block_param.py` and the types it names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Any

from ownkey.providers.crossing import (
    Audio,
    CacheMark,
    Document,
    Drops,
    FileId,
    Format,
    Image,
    Inline,
    Link,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from ownkey.providers.crossing.arguments import object_of

Block = dict[str, Any]

MAX_MARKS = 4
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_AN_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_A_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_OTHERS = re.compile(r"[^a-zA-Z0-9_-]")
_KEPT_CHARS = 119


class Marks:
    """The marks of one request's prompt cache: `MAX_MARKS` of them, those beyond are dropped."""

    __slots__ = ("_drops", "_left")

    def __init__(self, drops: Drops, left: int = MAX_MARKS) -> None:
        self._drops = drops
        self._left = left

    def put(self, block: Block, mark: CacheMark | None) -> Block:
        """The block, marked if there is a mark left."""
        if mark is None:
            return block
        if self._left == 0:
            self._drops.drop("cache_control")
            return block
        self._left -= 1
        return {**block, "cache_control": mark_of(mark)}


def mark_of(mark: CacheMark) -> Block:
    """`cache_control`."""
    return {"type": "ephemeral"} if mark.ttl == "5m" else {"type": "ephemeral", "ttl": mark.ttl}


def tool_id(id: str) -> str:
    """A call's id as the API takes it: another's that does not fit is replaced, by the same one every time."""
    if _AN_ID.fullmatch(id):
        return id
    return f"toolu_{_digest(id)[:32]}"


def tool_name(name: str) -> str:
    """A tool's name as the API takes it: another is its head and what tells it from others alike."""
    if _A_NAME.fullmatch(name):
        return name
    return f"{_OTHERS.sub('_', name)[:_KEPT_CHARS]}_{_digest(name)[:8]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _CallIds:
    """Ids of calls, each once in a conversation, as the API demands: there are providers that begin anew with `call_0`
    in every answer. A result is of the first such call that has none yet.
    """

    __slots__ = ("_answered", "_given", "_waiting")

    def __init__(self) -> None:
        self._given: dict[str, int] = {}
        """The client's id → how many calls have had it."""
        self._waiting: dict[str, list[str]] = {}
        self._answered: dict[str, str] = {}

    def of_call(self, id: str) -> str:
        given = self._given[id] = self._given.get(id, 0) + 1
        sent = tool_id(id if given == 1 else f"{id} {given}")
        self._waiting.setdefault(id, []).append(sent)
        return sent

    def of_result(self, id: str) -> str:
        if waiting := self._waiting.get(id):
            self._answered[id] = waiting.pop(0)
        return self._answered.get(id) or tool_id(id)


class Blocks:
    """Writes the parts of one request."""

    __slots__ = ("_drops", "_ids", "_marks")

    def __init__(self, drops: Drops, marks: Marks) -> None:
        self._drops = drops
        self._marks = marks
        self._ids = _CallIds()

    def of(self, parts: Iterable[Part]) -> list[Block]:
        """The parts, less those that the API has no use for: empty texts, other APIs' thinking."""
        found = (self._block(part) for part in parts)
        return [block for block in found if block is not None]

    def _block(self, part: Part) -> Block | None:
        match part:
            case Text(text, cache):
                return self._marks.put({"type": "text", "text": text}, cache) if text.strip() else None
            case Refusal(text):
                return {"type": "text", "text": text} if text.strip() else None
            case Thinking(text, signature, Format.ANTHROPIC) if signature:
                return {"type": "thinking", "thinking": text, "signature": signature}
            case RedactedThinking(data, Format.ANTHROPIC):
                return {"type": "redacted_thinking", "data": data}
            case Thinking() | RedactedThinking():
                return None
            case ToolUse():
                return self._tool_use(part)
            case ToolResult():
                return self._tool_result(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Audio():
                raise self._drops.refusal("messages", "it takes no audio")

    def _tool_use(self, use: ToolUse) -> Block:
        id, name = self._ids.of_call(use.id), tool_name(use.name)
        block = {"type": "tool_use", "id": id, "name": name, "input": object_of(use.arguments)}
        return self._marks.put(block, use.cache)

    def _tool_result(self, result: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._ids.of_result(result.tool_use_id)}
        content = self.of(result.content)
        if content:
            plain = len(content) == 1 and content[0].keys() == {"type", "text"}
            block["content"] = content[0]["text"] if plain else content
        if result.failed:
            block["is_error"] = True
        return self._marks.put(block, result.cache)

    def _image(self, image: Image) -> Block:
        if image.detail not in (None, "auto"):
            self._drops.drop("detail")
        match image.source:
            case Inline(media_type, data):
                if media_type not in _IMAGES:
                    raise self._drops.refusal("messages", f"it takes no image of the type {media_type[:64]}")
                source = {"type": "base64", "media_type": media_type, "data": data}
            case Link(url):
                source = {"type": "url", "url": url}
            case FileId():
                raise self._foreign_file()
        return self._marks.put({"type": "image", "source": source}, image.cache)

    def _document(self, document: Document) -> Block:
        block: Block = {"type": "document", "source": self._document_source(document)}
        if document.name:
            block["title"] = document.name
        if document.context:
            block["context"] = document.context
        if document.citations:
            block["citations"] = {"enabled": True}
        return self._marks.put(block, document.cache)

    def _document_source(self, document: Document) -> Block:
        match document.source:
            case Inline(media_type, data):
                if media_type == _PDF:
                    return {"type": "base64", "media_type": _PDF, "data": data}
                if media_type.startswith("text/"):
                    return {"type": "text", "media_type": "text/plain", "data": self._plain(data)}
                raise self._drops.refusal("messages", f"it takes no file of the type {media_type[:64]}")
            case Link(url):
                return {"type": "url", "url": url}
            case FileId():
                raise self._foreign_file()

    def _plain(self, data: str) -> str:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise self._drops.refusal("messages", "a file of text must be UTF-8 in base64") from None

    def _foreign_file(self) -> Exception:
        return self._drops.refusal("messages", "it has no file that was stored elsewhere: send its content")
