"""The content of Converse's messages: each part of a turn as a content block.

Shapes from botocore 1.44, `bedrock-runtime`: ContentBlock and what it is made of; the rule for documents' names from
the text of DocumentBlock.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ownkey.domain.errors import InvalidParameter
from ownkey.providers.bedrock.families import Family
from ownkey.providers.bedrock.names import sent_name
from ownkey.providers.crossing import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    Drops,
    Format,
    Image,
    Inline,
    Part,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from ownkey.providers.crossing.arguments import object_of

Block = dict[str, Any]

_IMAGES: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS: Mapping[str, str] = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
_SPACES = re.compile(r"\s+")
_MAX_NAME_CHARS = 200
_NOTHING_CAME = "(no output)"
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class PartWriter:
    """Writes the parts of one conversation."""

    def __init__(self, conversation: Conversation, family: Family, drops: Drops) -> None:
        self._conversation = conversation
        self._family = family
        self._drops = drops
        self._names: set[str] = set()

    def blocks(self, parts: tuple[Part, ...]) -> list[Block]:
        """The blocks of a turn.

        Raises:
            InvalidParameter, UnsupportedParameter: a part cannot be written.
        """
        return [block for part in parts for block in self._of(part)]

    def cache_point(self, mark: CacheMark | None) -> Iterator[Block]:
        """What ends a prefix that is to be cached; nothing where nothing is, or the models have no cache."""
        if mark is None:
            return
        if not self._family.caches:
            self._drops.drop("cache_control")
            return
        longer = mark.ttl != "5m" and self._family.caches_for_an_hour
        yield {"cachePoint": {"type": "default", **({"ttl": mark.ttl} if longer else {})}}

    def _of(self, part: Part) -> Iterator[Block]:
        match part:
            case Text(text, cache):
                # A text of white space alone is refused.
                if text.strip():
                    yield {"text": text}
                    yield from self.cache_point(cache)
            case Refusal(text):
                if text.strip():
                    yield {"text": text}
            case Image():
                yield {"image": self._image(part)}
                yield from self.cache_point(part.cache)
            case Document():
                yield {"document": self._document(part)}
                yield from self.cache_point(part.cache)
            case ToolUse():
                yield {"toolUse": self._tool_use(part)}
                yield from self.cache_point(part.cache)
            case ToolResult():
                yield {"toolResult": self._tool_result(part)}
                yield from self.cache_point(part.cache)
            case Thinking(text, signature, Format.BEDROCK) if signature:
                yield {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
            case RedactedThinking(data, Format.BEDROCK):
                yield {"reasoningContent": {"redactedContent": data}}
            case Thinking() | RedactedThinking():
                return
            case Audio():
                raise self._drops.refusal("messages", "its models take no audio in a conversation")

    def _image(self, part: Image) -> Block:
        if part.detail is not None:
            self._drops.drop("messages.detail")
        source = self._inline(part.source, "images")
        form = _IMAGES.get(source.media_type)
        if form is None:
            raise self._drops.refusal("messages", "its images are PNG, JPEG, GIF or WebP")
        return {"format": form, "source": {"bytes": source.data}}

    def _document(self, part: Document) -> Block:
        source = self._inline(part.source, "documents")
        form = _DOCUMENTS.get(source.media_type)
        if form is None:
            raise self._drops.refusal("messages", "it does not take documents of this type")
        return {
            "format": form,
            "name": self._name(part.name),
            "source": {"bytes": source.data},
            **({"context": part.context} if part.context else {}),
            **({"citations": {"enabled": True}} if part.citations else {}),
        }

    def _inline(self, source: Source, what: str) -> Inline:
        """The data itself. Converse fetches from S3 alone, and there by the credential's rights: not a client's say."""
        if not isinstance(source, Inline):
            raise self._drops.refusal("messages", f"it takes {what} as data alone, not by URL or file id")
        if not _is_base64(source.data):
            raise InvalidParameter(f"The data of one of the {what} is not Base64.", param="messages")
        return source

    def _name(self, stated: str | None) -> str:
        """By Bedrock's rule, and no two alike: it refuses both."""
        plain = _SPACES.sub(" ", _NOT_IN_A_NAME.sub(" ", stated or "")).strip()[:_MAX_NAME_CHARS].strip() or "document"
        name, number = plain, 1
        while name in self._names:
            number += 1
            suffix = f" ({number})"
            name = plain[: _MAX_NAME_CHARS - len(suffix)] + suffix
        self._names.add(name)
        return name

    def _tool_use(self, part: ToolUse) -> Block:
        return {"toolUseId": _tool_use_id(part.id), "name": sent_name(part.name), "input": self._arguments(part)}

    def _arguments(self, part: ToolUse) -> dict[str, Any]:
        tool = self._conversation.tool(part.name)
        free = tool is not None and tool.free_form
        return {"input": part.arguments} if free else object_of(part.arguments)

    def _tool_result(self, part: ToolResult) -> Block:
        content = [
            block
            for each in part.content
            for block in self._of(each)
            if "cachePoint" not in block  # it stands between blocks of a turn, not within one
        ]
        return {
            "toolUseId": _tool_use_id(part.tool_use_id),
            # Some makers' models refuse a result of nothing, and all of them an empty text (pydantic-ai 6115).
            "content": content or [{"text": _NOTHING_CAME}],
            **({"status": "error"} if part.failed else {}),
        }


def _tool_use_id(stated: str) -> str:
    """The id itself where Bedrock takes it, else one made of it: the same for a call and its result."""
    if _TOOL_USE_ID.fullmatch(stated):
        return stated
    return f"call_{hashlib.sha256(stated.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except ValueError:
        return False
