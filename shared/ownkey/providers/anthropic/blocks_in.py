"""A client's blocks of content, in Anthropic's words, as parts of no dialect; and the marks of its prompt cache.

anthropic-sdk-python 2.11: `types/content_block_param.py` and the types it names.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Literal

from ownkey.providers.anthropic.words import read_citation
from ownkey.providers.crossing import (
    CacheMark,
    Document,
    FileId,
    Format,
    Image,
    Inline,
    Link,
    Part,
    RedactedThinking,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from ownkey.providers.crossing.signatures import unwrapped, with_calls_named
from ownkey.providers.crossing.strict import Fields, wrong

_PLAIN = "text/plain"
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class BlockReader:
    """Reads the blocks of one request, in order: a result is told the name of the tool it is of."""

    __slots__ = ("_names", "passed_over")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.passed_over: dict[str, None] = {}
        """Kinds of blocks that tell what a hosted tool did: no other provider could read them."""

    def content(self, holder: Fields, role: Role) -> tuple[Part, ...]:
        """The member `content`: a text, or a list of blocks.

        Raises:
            InvalidParameter: it is neither, or a block is not as it must be.
        """
        value = holder.values.get("content")
        if isinstance(value, str):
            return (Text(value),)
        if value is None:
            raise holder.wrong("content", "is missing")
        parts: list[Part] = []
        for block in holder.members("content"):
            parts += self._parts(block, role)
        return tuple(with_calls_named(parts))

    def _parts(self, block: Fields, role: Role) -> Iterator[Part]:
        kind = block.needed_text("type")
        if role is Role.SYSTEM and kind != "text":
            raise block.wrong("type", "is not text")
        match kind:
            case "text":
                yield read_text(block)
            case "image":
                yield _image(block)
            case "document":
                yield from _document(block)
            case "search_result":
                yield _search_result(block)
            case "thinking":
                yield _thinking(block)
            case "redacted_thinking":
                yield _redacted(block)
            case "tool_use":
                yield self._tool_use(block)
            case "tool_result":
                yield self._tool_result(block)
            case _:
                self.passed_over[f"messages.content.{kind}"] = None

    def _tool_use(self, block: Fields) -> ToolUse:
        id, name = block.needed_text("id"), block.needed_text("name")
        self._names[id] = name
        given = block.needed_member("input").values
        return ToolUse(id, name, _dumps(given) if given else "", read_mark(block))

    def _tool_result(self, block: Fields) -> ToolResult:
        id = block.needed_text("tool_use_id")
        content: list[Text | Image | Document] = []
        if block.values.get("content") is not None:
            for part in self.content(block, Role.USER):
                if not isinstance(part, Text | Image | Document):
                    raise block.wrong("content", "has a block that no result of a tool can have")
                content.append(part)
        failed = bool(block.flag("is_error"))
        return ToolResult(id, self._names.get(id), tuple(content), failed, read_mark(block))


def read_mark(block: Fields) -> CacheMark | None:
    """`cache_control`, if there is one."""
    mark = block.member("cache_control")
    if mark is None:
        return None
    if mark.needed_text("type") != "ephemeral":
        raise mark.wrong("type", "is not ephemeral")
    ttl: Literal["5m", "1h"] = "1h" if mark.word("ttl", ("5m", "1h")) == "1h" else "5m"
    return CacheMark(ttl)


def read_text(block: Fields) -> Text:
    """A block of the type `text`."""
    found = (read_citation(each.values) for each in block.members("citations"))
    citations = tuple(each for each in found if each is not None)
    return Text(block.needed_text("text"), read_mark(block), citations)


def _image(block: Fields) -> Image:
    source = block.needed_member("source")
    match source.needed_text("type"):
        case "base64":
            return Image(_inline(source), cache=read_mark(block))
        case "url":
            return Image(Link(source.needed_text("url")), cache=read_mark(block))
        case "file":
            return Image(FileId(source.needed_text("file_id")), cache=read_mark(block))
        case _:
            raise source.wrong("type", "is none of base64, url, file")


def _document(block: Fields) -> Iterator[Part]:
    """A document; pictures within its content stand beside it."""
    source = block.needed_member("source")
    read: Source
    match source.needed_text("type"):
        case "base64":
            read = _inline(source)
        case "text":
            read = _plain(source.needed_text("data"))
        case "url":
            read = Link(source.needed_text("url"), "application/pdf")
        case "file":
            read = FileId(source.needed_text("file_id"))
        case "content":
            texts, images = _contents(source)
            yield from images
            read = _plain("\n\n".join(texts))
        case _:
            raise source.wrong("type", "is none of base64, text, url, file, content")
    citations = block.member("citations")
    cited = bool(citations is not None and citations.flag("enabled"))
    yield Document(read, block.text("title"), block.text("context"), cited, read_mark(block))


def _contents(source: Fields) -> tuple[list[str], list[Image]]:
    value = source.values.get("content")
    if isinstance(value, str):
        return [value], []
    texts, images = [], []
    for block in source.members("content"):
        match block.needed_text("type"):
            case "text":
                texts.append(block.needed_text("text"))
            case "image":
                images.append(_image(block))
            case _:
                raise block.wrong("type", "is none of text, image")
    return texts, images


def _search_result(block: Fields) -> Document:
    texts = [each.needed_text("text") for each in block.members("content")]
    citations = block.member("citations")
    cited = bool(citations is not None and citations.flag("enabled"))
    name, found_at = block.needed_text("title"), block.needed_text("source")
    return Document(_plain("\n\n".join(texts)), name, found_at, cited, read_mark(block))


def _thinking(block: Fields) -> Thinking:
    text, signature = block.needed_text("thinking"), block.needed_text("signature")
    if not signature:
        return Thinking(text)
    signed = unwrapped(signature, Format.ANTHROPIC)
    return Thinking(text, signed.signature, signed.format, signed.id)


def _redacted(block: Fields) -> RedactedThinking:
    signed = unwrapped(block.needed_text("data"), Format.ANTHROPIC)
    return RedactedThinking(signed.signature, signed.format, signed.id)


def _inline(source: Fields) -> Inline:
    data = source.needed_text("data")
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(source.at("data"), "is not base64") from None
    return Inline(source.needed_text("media_type"), data)


def _plain(text: str) -> Inline:
    return Inline(_PLAIN, base64.b64encode(text.encode("utf-8", "replace")).decode())
