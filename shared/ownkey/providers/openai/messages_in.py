"""The messages of a chat completion request, read to turns.

Facts from openai-python 3.52, `types/chat/chat_completion_*_message_param.py`. Messages of the system or the
developer at the head are the system prompt; later ones are turns of their own. Messages of tools that follow each other
are one turn.
"""

from __future__ import annotations

from dataclasses import replace

from ownkey.providers.crossing.conversation import (
    Document,
    Image,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    as_arguments,
)
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.openai import parts_in
from ownkey.providers.openai.parts_in import no_audio, read_cache, read_content
from ownkey.providers.openai.thoughts import DETAILS, on_read_call, thoughts_of

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_SYSTEM = frozenset({"developer", "system"})
_TOOLS = frozenset({"tool", "function"})


class Messages:
    """What was said, read message by message."""

    def __init__(self, free_form: frozenset[str]) -> None:
        """
        Args:
            free_form: The names of the request's free-form tools.
        """
        self._free_form = free_form
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self._results: list[Part] = []
        self._names: dict[str, str] = {}
        """Calls so far: id → the tool's name."""
        self._called: dict[str, str] = {}
        """Legacy calls, which have no ids: the function's name → the id that its last call was given."""

    def read(self, request: Fields) -> None:
        """All messages.

        Raises:
            InvalidParameter: one is not as it must be.
            UnsupportedParameter: one has what no other API can be told.
        """
        if request.values.get("messages") is None:
            raise request.wrong("messages", "is missing")
        for message in request.members("messages"):
            self._read(message)
        self._flush()
        if not self.turns and not self.system:
            raise request.wrong("messages", "is empty")
        if not self.turns:  # OpenAI answers a system prompt alone; no other API does
            self.turns, self.system = [Turn(Role.USER, tuple(self.system))], []

    def _read(self, message: Fields) -> None:
        role = message.word("role", ROLES)
        if role is None:
            raise message.wrong("role", "is missing")
        if role in _TOOLS:
            self._results.append(self._result(message, legacy=role == "function"))
            return
        self._flush()
        name = message.text("name")
        if role in _SYSTEM:
            texts = [part for part in read_content(message, parts_in.TEXT) if isinstance(part, Text)]
            if self.turns:
                self.turns.append(Turn(Role.SYSTEM, tuple(texts), name))
            else:
                self.system += texts
        elif role == "user":
            if message.values.get("content") is None:
                raise message.wrong("content", "is missing")
            self.turns.append(Turn(Role.USER, tuple(read_content(message, parts_in.USER)), name))
        else:
            self.turns.append(Turn(Role.ASSISTANT, self._answer(message), name))

    def _flush(self) -> None:
        if self._results:
            self.turns.append(Turn(Role.USER, tuple(self._results)))
            self._results = []

    def _result(self, message: Fields, *, legacy: bool) -> ToolResult:
        name = message.text("name")
        if legacy:
            id_ = self._called.get(message.needed_text("name"), f"call_{name}")
        else:
            id_ = message.needed_text("tool_call_id")
        parts = [part for part in read_content(message, parts_in.TOOL) if isinstance(part, Text | Image | Document)]
        mark = next((part.cache for part in reversed(parts) if part.cache), None) or read_cache(message)
        content = tuple(replace(part, cache=None) for part in parts)
        return ToolResult(id_, self._names.get(id_, name), content, cache=mark)

    def _answer(self, message: Fields) -> tuple[Part, ...]:
        if message.values.get("audio") is not None:
            raise no_audio(message.at("audio"))
        said = [part for part in read_content(message, parts_in.ASSISTANT) if part != Text("")]
        if refusal := message.text("refusal"):
            said.append(Refusal(refusal))
        calls = self._calls(message)
        thoughts = _thoughts(message, {call.id for call in calls})
        signatures = _on_calls(message)
        signatures |= {each.tool_use_id: each for each in thoughts if isinstance(each, RedactedThinking)}
        own = [each for each in thoughts if not (isinstance(each, RedactedThinking) and each.tool_use_id)]
        parts: list[Part] = [*own, *said]
        for call in calls:
            if call.id in signatures:
                parts.append(signatures[call.id])
            parts.append(call)
        return tuple(parts)

    def _calls(self, message: Fields) -> list[ToolUse]:
        calls = [_read_call(each, self._free_form) for each in message.members("tool_calls")]
        legacy = message.member("function_call")
        if legacy is not None:
            name = legacy.needed_text("name")
            id_ = self._called[name] = f"call_{message.path.rpartition('.')[2]}"
            calls.append(ToolUse(id_, name, legacy.needed_text("arguments")))
        self._names.update((call.id, call.name) for call in calls)
        return calls


def _read_call(call: Fields, free_form: frozenset[str]) -> ToolUse:
    kind = call.word("type", ("function", "custom")) or "function"
    called = call.needed_member(kind)
    name = called.needed_text("name")
    arguments = called.needed_text("input") if kind == "custom" else called.text("arguments")
    if kind == "custom" and name not in free_form:
        arguments = as_arguments(arguments or "")
    return ToolUse(call.needed_text("id"), name, arguments or "", read_cache(call))


def _on_calls(message: Fields) -> dict[str | None, RedactedThinking]:
    """The signatures that stand on calls, by the calls' ids."""
    read = ((each, each.needed_text("id")) for each in message.members("tool_calls"))
    found = ((id_, on_read_call(each.values, id_)) for each, id_ in read)
    return {id_: signature for id_, signature in found if signature}


def _thoughts(message: Fields, call_ids: set[str]) -> list[Thinking | RedactedThinking]:
    """Those of `reasoning_details`, which are whole, else the text alone."""
    details = thoughts_of(message.items(DETAILS) or (), call_ids)
    text = None if details else message.text("reasoning_content") or message.text("reasoning")
    return [Thinking(text)] if text else details
