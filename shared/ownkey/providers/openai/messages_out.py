"""Turns as the messages of a chat completion request.

What its messages have no place for goes where it is nearest, by these rules:

- the texts of a system prompt, of an answer, of a tool's result are one text each: many compatible providers take no
  list there. Results and prompts are joined by a blank line, an answer as it was;
- pictures and documents in a tool's result follow in a user's message of their own: a tool's message is text;
- a plain text document is a text part with its name before it: `file` parts are for what is not text;
- a failed result says so in its first word;
- thoughts go back to providers that want them, as `Style.thoughts` has it. Others' are left out, as `Thinking` demands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ownkey.catalog import Kind, Parameters, Provider, ReasoningField
from ownkey.providers.crossing.conversation import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    FileId,
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
from ownkey.providers.crossing.drops import Drops
from ownkey.providers.openai.identifiers import sent_id, sent_name
from ownkey.providers.openai.parts_in import plain_text
from ownkey.providers.openai.thoughts import DETAILS, detail_of

_AUDIO_FORMATS: Mapping[str, str] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
"""What OpenAI takes: openai-python 3.52, `chat_completion_content_part_input_audio_param.py`."""
_MEDIA = "messages"
_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Thoughts(Enum):
    """How a provider takes thoughts back."""

    NOT = auto()
    TEXT = auto()
    """As a text beside the content, in the turns since the user last spoke: while tools are being called."""
    PARTS = auto()
    """As parts of the content, of type `thinking`."""
    DETAILS = auto()
    """As `reasoning_details`, with their signatures: a gateway that passes them on to their makers."""


@dataclass(frozen=True, slots=True)
class Style:
    """What a provider's row says of its messages."""

    thoughts: Thoughts
    member: str
    """Of a message, that has the thoughts' text."""
    cache_marks: bool
    """It takes `cache_control`; elsewhere caching needs no marks."""
    refusals: bool
    """It knows a message's `refusal`."""

    @staticmethod
    def of(provider: Provider, parameters: Parameters) -> Style:
        """As the row has it."""
        gateway, field = provider.kind is Kind.GATEWAY, parameters.reasoning
        thoughts, member = Thoughts.NOT, ""
        if gateway and field is ReasoningField.REASONING:
            thoughts = Thoughts.DETAILS
        elif field is ReasoningField.CONTENT_PARTS:
            thoughts = Thoughts.PARTS
        elif field in (ReasoningField.REASONING_CONTENT, ReasoningField.REASONING):
            thoughts, member = Thoughts.TEXT, str(field)
        if f"messages.{member}" in parameters.unsupported:
            thoughts = Thoughts.NOT
        return Style(thoughts, member, gateway, "messages.refusal" not in parameters.unsupported)


def messages_of(conversation: Conversation, style: Style, drops: Drops) -> list[dict[str, Any]]:
    """All messages.

    Raises:
        UnsupportedParameter: something was said that has no place in them.
    """
    return _Writer(conversation, style, drops).written()


class _Writer:
    def __init__(self, conversation: Conversation, style: Style, drops: Drops) -> None:
        self._conversation = conversation
        self._style = style
        self._drops = drops
        self._messages: list[dict[str, Any]] = []

    def written(self) -> list[dict[str, Any]]:
        turns = self._conversation.turns
        if self._conversation.system:
            self._say("system", self._joined(self._conversation.system, "\n\n"))
        loop = _last_question(turns)
        for at, turn in enumerate(turns):
            if turn.role is Role.ASSISTANT:
                self._answer(turn, in_loop=at > loop)
            elif turn.role is Role.SYSTEM:
                texts = [part for part in turn.parts if isinstance(part, Text)]
                self._say("system", self._joined(texts, "\n\n"), turn.name)
            else:
                self._user(turn)
        return self._messages

    def _say(self, role: str, content: Any, name: str | None = None, **members: Any) -> None:
        named = {"name": name} if name else {}
        self._messages.append({"role": role, "content": content, **named, **members})

    def _user(self, turn: Turn) -> None:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        media: list[dict[str, Any]] = []
        for result in results:
            media += self._result(result)
        if media:
            self._say("user", media)
        others = [part for part in turn.parts if not isinstance(part, ToolResult)]
        if others:
            self._say("user", self._content(others), turn.name)

    def _result(self, result: ToolResult) -> list[dict[str, Any]]:
        """Writes the tool's message; gives the parts that have to follow."""
        texts = [part for part in result.content if isinstance(part, Text)]
        text = "\n\n".join(part.text for part in texts)
        if result.failed and not text.lower().startswith("error"):
            text = f"Error: {text}" if text else "Error"
        content: Any = text
        if self._marked(result.cache or next((part.cache for part in texts if part.cache), None)):
            content = [self._text(Text(text, cache=result.cache or texts[-1].cache))]
        self._say("tool", content, tool_call_id=sent_id(result.tool_use_id))
        media = [part for part in result.content if not isinstance(part, Text)]
        if not media:
            return []
        origin = Text(f"What the tool call {result.tool_use_id} gave besides text:")
        return [self._text(origin), *map(self._part, media)]

    def _answer(self, turn: Turn, *, in_loop: bool) -> None:
        parts = turn.parts
        texts = [part for part in parts if isinstance(part, Text)]
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        calls = [self._call(part) for part in parts if isinstance(part, ToolUse)]
        content = self._joined(texts, "") if texts else None
        members: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if refusal and self._style.refusals:
            members["refusal"] = refusal
        elif refusal:
            content = f"{content or ''}{refusal}" if not isinstance(content, list) else content
        thoughts = [part for part in parts if isinstance(part, Thinking | RedactedThinking)]
        content, members = self._with_thoughts(thoughts, content, members, in_loop=in_loop)
        if content is not None or members:
            self._say("assistant", content, turn.name, **members)

    def _with_thoughts(
        self, thoughts: Sequence[Thinking | RedactedThinking], content: Any, members: dict[str, Any], *, in_loop: bool
    ) -> tuple[Any, dict[str, Any]]:
        style = self._style.thoughts
        texts = [each.text for each in thoughts if isinstance(each, Thinking) and each.format is None and each.text]
        if style is Thoughts.DETAILS:
            details = [detail_of(each, index) for index, each in enumerate(thoughts)]
            return content, members | ({DETAILS: details} if details else {})
        if style is Thoughts.TEXT and in_loop and texts:
            return content, members | {self._style.member: "".join(texts)}
        if style is Thoughts.PARTS and texts:
            said = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
            thought = [{"type": "text", "text": text} for text in texts]
            return [{"type": "thinking", "thinking": thought}, *said], members
        return content, members

    def _call(self, call: ToolUse) -> dict[str, Any]:
        tool = self._conversation.tool(call.name)
        arguments = call.arguments or "{}"
        if tool is not None and tool.free_form:
            arguments = _dumps({"input": call.arguments})
        function = {"name": sent_name(call.name), "arguments": arguments}
        return {"id": sent_id(call.id), "type": "function", "function": function}

    def _joined(self, texts: Sequence[Text], by: str) -> Any:
        """Texts as one; as a list where marks are to be kept apart."""
        marked = [self._marked(part.cache) for part in texts]
        if any(marked):
            return [self._text(part) for part in texts]
        return by.join(part.text for part in texts)

    def _content(self, parts: Sequence[Part]) -> Any:
        only = parts[0] if len(parts) == 1 else None
        if isinstance(only, Text) and not self._marked(only.cache):
            return only.text
        return [self._part(part) for part in parts]

    def _part(self, part: Part) -> dict[str, Any]:
        match part:
            case Text():
                return self._text(part)
            case Image():
                image = {"url": self._url(part.source)} | ({"detail": part.detail} if part.detail else {})
                return self._with_mark({"type": "image_url", "image_url": image}, part.cache)
            case Document():
                return self._document(part)
            case Audio():
                return self._audio(part)
        raise self._drops.refusal(_MEDIA, f"a user's message cannot have {type(part).__name__.lower()}")

    def _text(self, part: Text) -> dict[str, Any]:
        return self._with_mark({"type": "text", "text": part.text}, part.cache)

    def _with_mark(self, written: dict[str, Any], mark: CacheMark | None) -> dict[str, Any]:
        if mark is None or not self._marked(mark):
            return written
        ttl = {"ttl": mark.ttl} if mark.ttl != "5m" else {}
        return {**written, "cache_control": {"type": "ephemeral", **ttl}}

    def _marked(self, mark: CacheMark | None) -> bool:
        """Whether a mark is to be written; one that is not is reported."""
        if mark is not None and not self._style.cache_marks:
            self._drops.drop("cache_control")
        return mark is not None and self._style.cache_marks

    def _url(self, source: Inline | Link | FileId) -> str:
        match source:
            case Inline(media_type, data):
                return f"data:{media_type};base64,{data}"
            case Link(url):
                return url
            case FileId():
                raise self._drops.refusal(_MEDIA, "it cannot read files that are stored with another provider")

    def _document(self, part: Document) -> dict[str, Any]:
        if part.citations:
            self._drops.drop("messages.content.citations")
        source = part.source
        if isinstance(source, Link):
            raise self._drops.refusal(_MEDIA, "it takes documents in the request, not by their URL")
        text = plain_text(source) if isinstance(source, Inline) else None
        if text is not None:
            heads = [each for each in (part.name, part.context) if each]
            return self._text(Text("\n\n".join([*heads, text]), cache=part.cache))
        if part.context:
            self._drops.drop("messages.content.context")
        file = {"filename": part.name or "document.pdf", "file_data": self._url(source)}
        return self._with_mark({"type": "file", "file": file}, part.cache)

    def _audio(self, part: Audio) -> dict[str, Any]:
        source = part.source
        form = _AUDIO_FORMATS.get(source.media_type) if isinstance(source, Inline) else None
        if form is None or not isinstance(source, Inline):
            raise self._drops.refusal(_MEDIA, "it takes sound in the request alone, as WAV or MP3")
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": form}}


def _last_question(turns: Iterable[Turn]) -> int:
    """Where the user last said something that is no tool's result; -1: nowhere."""
    last = -1
    for at, turn in enumerate(turns):
        if turn.role is Role.USER and any(not isinstance(part, ToolResult) for part in turn.parts):
            last = at
    return last
