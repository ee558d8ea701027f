"""Chat completions to Azure, passed through.

Azure's content filter speaks in chunks of its own, which clients of OpenAI are known to break on: the first one has no
choices but `prompt_filter_results`, and with the asynchronous filter some have choices without a `delta`, and no id.
The first one's findings go out with the chunk that follows it, what the others lack is filled in, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.providers.azure.address import CHAT
from ownkey.providers.document import Document
from ownkey.providers.openai import OpenAiChat
from ownkey.providers.passthrough import Events
from ownkey.providers.sse import with_data
from ownkey.providers.translator import Annotate, Call, Reading

_PROMPT_FINDINGS = ("prompt_filter_results", "prompt_annotations")
_LATE_FINDINGS = b'"content_filter_offsets"'
_HEAD = ("id", "object", "created", "model")


class AzureChat(OpenAiChat):
    """`chat` to Azure."""

    def __init__(self) -> None:
        super().__init__(CHAT)

    def events(self, call: Call, annotate: Annotate, reading: Reading) -> Events:
        """OpenAI's, with what the filter says among them."""
        return _Filtered(super().events(call, annotate, reading))


class _Filtered:
    """The `Events` of a stream that Azure's filter has a say in."""

    def __init__(self, chunks: Events) -> None:
        self.terminator = chunks.terminator
        self._chunks = chunks
        self._findings: dict[str, Any] = {}
        self._head: dict[str, Any] = {}
        """What all chunks of the model's own begin with."""

    def stripped(self, events: bytes) -> bytes:
        """As OpenAI's."""
        return self._chunks.stripped(events)

    def tells(self, events: bytes) -> bool:
        """Also what comes late of the filter."""
        return _LATE_FINDINGS in events or self._chunks.tells(events)

    def read(self, event: bytes, document: Document) -> bytes | None:
        """The event as OpenAI would have sent it, and what the filter has found."""
        values = document.values
        choices = values.get("choices")
        if not choices and not values.get("usage"):
            self._findings |= {name: values[name] for name in _PROMPT_FINDINGS if name in values}
            return None
        changes, self._findings = self._findings, {}
        if isinstance(choices, list) and any(map(_lacks_delta, choices)):
            whole = [{"delta": {}, **each} if _lacks_delta(each) else each for each in choices]
            changes = {**changes, **self._head, "choices": whole}
        elif not self._head:
            self._head = {name: values[name] for name in _HEAD if name in values}
        if changes:
            document = Document.parse(document.edited(changes))
            event = with_data(event, document.raw)
        return self._chunks.read(event, document)

    def starts(self, values: Mapping[str, Any]) -> bool:
        """With its first choice: the filter has spoken before the model has."""
        return bool(values.get("choices"))

    def ends(self, values: Mapping[str, Any]) -> bool:
        """As OpenAI's."""
        return self._chunks.ends(values)

    def complete(self) -> bool:
        """As OpenAI's."""
        return self._chunks.complete()

    def text_of(self, values: Mapping[str, Any]) -> str:
        """As OpenAI's."""
        return self._chunks.text_of(values)


def _lacks_delta(choice: Any) -> bool:
    return isinstance(choice, dict) and not isinstance(choice.get("delta"), dict)
