"""The items of a client's input, as turns of no dialect.

openai-python 3.52: `types/responses/response_input_item_param.py` and the types it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from mimetypes import guess_type

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.crossing import (
    Audio,
    Document,
    FileId,
    Format,
    Image,
    Inline,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    as_arguments,
)
from ownkey.providers.crossing.signatures import unwrapped, with_calls_named
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.openai.parts_in import read_cache, read_url
from ownkey.providers.responses.local_tools import local_tool
from ownkey.providers.responses.toolbook import spaced

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}
_DETAILS = ("auto", "low", "high", "original")
_TOLD = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "tool_search_call",
        "tool_search_output",
        "configuration_update",
    }
)
"""What the provider did by itself, and told: no other could read it."""
_NOWHERE: Mapping[str, str] = {
    "item_reference": "it names what OpenAI has stored; send the item itself, as clients do under `store: false`",
    "compaction": "what it has compacted OpenAI alone can read",
    "compaction_trigger": "OpenAI alone compacts a conversation",
}
"""What changes what is said, and nobody else has."""
_ELSEWHERE = "Leave it out, or choose a model of a provider that has Responses itself."
_FIXES: Mapping[str, str] = {
    "compaction_trigger": "Have the client summarise it: Codex does by itself where its configuration names the "
    "gateway as a model provider whose `name` is not OpenAI.",
}
_PARAGRAPH = "\n\n"
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class ItemReader:
    """Reads the items of one request, in order: an output is told the name of the tool it is of."""

    __slots__ = ("_free_form", "_names", "_parts", "_role", "_turns", "passed_over", "system")

    def __init__(self, free_form: frozenset[str]) -> None:
        """
        Args:
            free_form: The names of the request's free-form tools.
        """
        self._free_form = free_form
        self.system: list[Text] = []
        """What stands before the first turn."""
        self.passed_over: dict[str, None] = {}
        """Kinds of items that were."""
        self._turns: list[Turn] = []
        self._role: Role | None = None
        self._parts: list[Part] = []
        self._names: dict[str, str] = {}

    def read(self, request: Fields) -> tuple[Turn, ...]:
        """The member `input`.

        Raises:
            InvalidParameter: it is missing, or an item is not as it must be.
            UnsupportedParameter: an item that OpenAI alone can mean.
        """
        value = request.values.get("input")
        if value is None:
            raise request.wrong("input", "is missing")
        if isinstance(value, str):
            return (Turn(Role.USER, (Text(value),)),)
        for item in request.members("input"):
            self._item(item)
        self._end_turn()
        return tuple(self._turns)

    def _item(self, item: Fields) -> None:
        kind = item.text("type") or "message"
        local = local_tool(kind)
        if kind == "message":
            self._message(item)
        elif kind == "reasoning":
            self._add(Role.ASSISTANT, *_thoughts(item))
        elif kind in ("function_call", "custom_tool_call"):
            name = spaced(item.text("namespace"), item.needed_text("name"))
            given = item.needed_text("arguments" if kind == "function_call" else "input")
            if kind == "custom_tool_call" and name not in self._free_form:
                given = as_arguments(given)
            self._call(item, name, given)
        elif local is not None and kind.endswith("_call"):
            self._call(item, local.kind, _dumps(local.arguments(item)))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._result(item.needed_text("call_id"), tuple(_output(item)))
        elif kind.endswith("_call_output") and local_tool(kind.removesuffix("_output")) is not None:
            id = item.text("call_id") or item.needed_text("id")
            self._result(id, (Text(_told(item)),), failed=item.text("status") == "failed")
        elif kind in _TOLD:
            self.passed_over[f"input.{kind}"] = None
        elif kind != "additional_tools":
            raise _nowhere(item, kind)

    def _message(self, item: Fields) -> None:
        role = _ROLES.get(item.needed_text("role"))
        if role is None:
            raise item.wrong("role", f"is none of {', '.join(_ROLES)}")
        parts = list(_content(item, role))
        if role is Role.SYSTEM and not self._turns and self._role is None:
            self.system += [part for part in parts if isinstance(part, Text)]
        else:
            if role is self._role is Role.USER and self._parts and not isinstance(self._parts[-1], ToolResult):
                self._end_turn()  # each message is a turn: where their texts become one, they are to stay apart
            self._add(role, *parts)

    def _call(self, item: Fields, name: str, given: str) -> None:
        id = item.needed_text("call_id")
        self._names[id] = name
        self._add(Role.ASSISTANT, ToolUse(id, name, given))

    def _result(self, id: str, content: tuple[Text | Image | Document, ...], *, failed: bool = False) -> None:
        if self._role is Role.USER and not all(isinstance(part, ToolResult) for part in self._parts):
            self._end_turn()  # results stand before all else of their turn
        self._add(Role.USER, ToolResult(id, self._names.get(id), content, failed))

    def _add(self, role: Role, *parts: Part) -> None:
        if role is not self._role:
            self._end_turn()
            self._role = role
        self._parts += parts

    def _end_turn(self) -> None:
        if self._role is not None and self._parts:
            self._turns.append(Turn(self._role, tuple(with_calls_named(self._parts))))
        self._role, self._parts = None, []


def _content(item: Fields, role: Role) -> Iterator[Part]:
    value = item.values.get("content")
    if isinstance(value, str):
        yield Text(value)
        return
    if value is None:
        raise item.wrong("content", "is missing")
    for part in item.members("content"):
        kind = part.needed_text("type")
        if kind in ("input_text", "output_text", "text"):
            yield Text(part.needed_text("text"), read_cache(part))
        elif kind == "refusal" and role is Role.ASSISTANT:
            yield Refusal(part.needed_text("refusal"))
        elif kind in _MEDIA and role is not Role.SYSTEM:
            yield _media(part)
        else:
            raise part.wrong("type", "is of no content that such a message can have")


_MEDIA = frozenset({"input_image", "input_file", "input_audio"})


def _media(part: Fields) -> Image | Document | Audio:
    match part.values["type"]:
        case "input_image":
            return _image(part)
        case "input_audio":
            audio = part.needed_member("input_audio")
            return Audio(Inline(f"audio/{audio.needed_text('format')}", audio.needed_text("data")))
        case _:
            return _file(part)


def _image(part: Fields) -> Image:
    url, id = part.text("image_url"), part.text("file_id")
    if url is None and id is None:
        raise part.wrong("image_url", "is missing")
    source: Source = read_url(url, part.at("image_url")) if url is not None else FileId(id or "")
    return Image(source, part.word("detail", _DETAILS), read_cache(part))


def _file(part: Fields) -> Document | Image:
    name, cache = part.text("filename"), read_cache(part)
    data, url, id = part.text("file_data"), part.text("file_url"), part.text("file_id")
    source: Source
    if data is not None and data[:5].lower() == "data:":
        source = read_url(data, part.at("file_data"))
    elif data is not None:
        source = Inline((guess_type(name)[0] if name else None) or "application/pdf", data)
    elif url is not None:
        source = read_url(url, part.at("file_url"))
    elif id is not None:
        source = FileId(id)
    else:
        raise part.wrong("file_data", "is missing")
    pictured = isinstance(source, Inline) and source.media_type.startswith("image/")
    return Image(source, cache=cache) if pictured else Document(source, name, cache=cache)


def _output(item: Fields) -> Iterator[Text | Image | Document]:
    value = item.values.get("output")
    if isinstance(value, str):
        yield Text(value)
        return
    if value is None:
        raise item.wrong("output", "is missing")
    for part in item.members("output"):
        match part.needed_text("type"):
            case "input_text" | "output_text":
                yield Text(part.needed_text("text"), read_cache(part))
            case "input_image":
                yield _image(part)
            case "input_file":
                yield _file(part)
            case _:
                raise part.wrong("type", "is none of input_text, input_image, input_file")


def _told(item: Fields) -> str:
    """What a tool of the client's gave, as text: OpenAI has its outputs in parts."""
    value = item.values.get("output")
    return value if isinstance(value, str) else _dumps(value) if value is not None else item.text("status") or ""


def _thoughts(item: Fields) -> Iterator[Part]:
    """Ours stand in the same field as OpenAI's own. A summary of no words is a thought whose words are not shown."""
    texts = [part.needed_text("text") for name in ("summary", "content") for part in item.members(name)]
    encrypted, text = item.text("encrypted_content"), _PARAGRAPH.join(text for text in texts if text)
    if not encrypted:
        if text:
            yield Thinking(text)
        return
    signed = unwrapped(encrypted, Format.OPENAI)
    id = item.text("id") if signed.format == Format.OPENAI else signed.id
    if texts:
        yield Thinking(text, signed.signature, signed.format, id)
    else:
        yield RedactedThinking(signed.signature, signed.format, id)


def _nowhere(item: Fields, kind: str) -> UnsupportedParameter:
    why = _NOWHERE.get(kind, "no other API has such an item")
    return UnsupportedParameter(
        f"`{item.path}` ({kind[:64]!r}) cannot be served: {why}.",
        fix=_FIXES.get(kind, _ELSEWHERE),
        param=item.path,
        details={"unsupported": ["input"]},
    )
