"""What is said, as the items of a Responses request's input.

openai-python 3.52: `types/responses/response_input_item_param.py` and the types it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from ownkey.providers.crossing import (
    Audio,
    Conversation,
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
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)

Item = dict[str, Any]

_ROLES = {Role.USER: "user", Role.ASSISTANT: "assistant", Role.SYSTEM: "developer"}
_SAID = (Text, Image, Document, Audio, Refusal)
_MAX_CALL_ID = 64


class Items:
    """Writes the turns of one request."""

    __slots__ = ("_conversation", "_drops")

    def __init__(self, conversation: Conversation, drops: Drops) -> None:
        self._conversation = conversation
        self._drops = drops

    def all(self) -> list[Item]:
        """The input."""
        return [item for turn in self._conversation.turns for item in self._of(turn)]

    def _of(self, turn: Turn) -> Iterator[Item]:
        if turn.name:
            self._drops.drop("messages.name")
        for said, parts in groupby(turn.parts, lambda part: isinstance(part, _SAID)):
            if said:
                content = self._content(parts, turn.role)
                if content:
                    yield {"role": _ROLES[turn.role], "content": _shortened(content)}
                continue
            for part in parts:
                item = self._item(part)
                if item is not None:
                    yield item

    def _item(self, part: Part) -> Item | None:
        match part:
            case Thinking(text, signature, Format.OPENAI, id) if signature:
                return _reasoning(signature, id, text)
            case RedactedThinking(data, Format.OPENAI, id):
                return _reasoning(data, id, "")
            case ToolUse(id, name, arguments):
                self._mark(part.cache)
                call = {"call_id": call_id(id), "name": name}
                if self._free_form(name):
                    return {"type": "custom_tool_call", **call, "input": arguments}
                return {"type": "function_call", **call, "arguments": arguments or "{}"}
            case ToolResult(id, name):
                self._mark(part.cache)
                kind = "custom_tool_call_output" if name and self._free_form(name) else "function_call_output"
                return {"type": kind, "call_id": call_id(id), "output": self._output(part)}
            case _:
                return None  # what another API has thought

    def _content(self, parts: Iterable[Part], role: Role) -> list[Item]:
        assistant = role is Role.ASSISTANT
        content: list[Item] = []
        for part in parts:
            match part:
                case Text(text, cache):
                    self._mark(cache)
                    if text:
                        content.append({"type": "output_text" if assistant else "input_text", "text": text})
                case Refusal(text):
                    kind, name = ("refusal", "refusal") if assistant else ("input_text", "text")
                    content.append({"type": kind, name: text})
                case Image():
                    content.append(self._image(part))
                case Document():
                    content.append(self._document(part))
                case Audio():
                    raise self._drops.refusal("messages", "it takes no audio")
                case _:
                    continue
        return content

    def _output(self, result: ToolResult) -> str | list[Item]:
        content = self._content(result.content, Role.USER)
        return content[0]["text"] if len(content) == 1 and "text" in content[0] else content or ""

    def _image(self, image: Image) -> Item:
        self._mark(image.cache)
        match image.source:
            case Inline(media_type, data):
                url = f"data:{media_type};base64,{data}"
            case Link(url):
                pass
            case FileId():
                raise self._foreign_file()
        return {"type": "input_image", "image_url": url, "detail": image.detail or "auto"}

    def _document(self, document: Document) -> Item:
        self._mark(document.cache)
        if document.citations:
            self._drops.drop("citations")
        name = document.name or "document"
        match document.source:
            case Inline(media_type, data):
                ending = ".pdf" if media_type == "application/pdf" else ".txt"
                named = name if "." in name else name + ending
                return {"type": "input_file", "filename": named, "file_data": f"data:{media_type};base64,{data}"}
            case Link(url):
                return {"type": "input_file", "file_url": url}
            case FileId():
                raise self._foreign_file()

    def _free_form(self, name: str) -> bool:
        tool = self._conversation.tool(name)
        return tool is not None and tool.free_form

    def _mark(self, cache: object) -> None:
        """It caches by itself."""
        if cache is not None:
            self._drops.drop("cache")

    def _foreign_file(self) -> Exception:
        return self._drops.refusal("messages", "it has no file that was stored elsewhere: send its content")


def call_id(id: str) -> str:
    """A call's id as the API takes it: one that is too long is replaced, by the same one every time."""
    if 0 < len(id) <= _MAX_CALL_ID:
        return id
    return f"call_{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _reasoning(encrypted: str, id: str | None, text: str) -> Item:
    """The words are for people; what the model reads again is encrypted. An id is demanded, and looked up nowhere."""
    made = f"rs_{hashlib.sha256(encrypted.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": id or made, "summary": summary, "encrypted_content": encrypted}


def _shortened(content: list[Item]) -> str | list[Item]:
    plain = len(content) == 1 and content[0]["type"] in ("input_text", "output_text")
    return content[0]["text"] if plain else content
