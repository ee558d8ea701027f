"""OpenAI's chat completions, to a provider that speaks them too.

Facts from openai-python 3.52: `types/chat/chat_completion_chunk.py`, `_streaming.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.providers.address import Address, Plain, passed_on
from ownkey.providers.counts import member, string
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.failures import decode_failure
from ownkey.providers.openai.departures import departed
from ownkey.providers.openai.usage import read_usage
from ownkey.providers.passthrough import GATEWAY_FIELDS, Events, Scanner, parsed_answer, texts_in
from ownkey.providers.sse import with_data
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

DONE = b"data: [DONE]\n\n"
_CITATION = b'"url_citation"'

CHAT = Plain("/chat/completions", forwarded=frozenset({"openai-beta"}))
"""The address of most."""
_TEXT_NAMES = frozenset({"content", "refusal", "reasoning", "reasoning_content", "arguments", "input", "transcript"})


class OpenAiChat:
    """`chat` to the OpenAI family."""

    def __init__(self, address: Address = CHAT) -> None:
        self._address = address

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's and what the provider does not take, and asking for usage
        in a stream. By another's credential nothing is stored, and nothing is named that is.

        Raises:
            UnsupportedParameter: something is asked for that may not be left out.
        """
        parameters = call.provider.parameters_of(call.model_id)
        changes, dropped = departed(call.body.values, parameters, call.provider.display_name)
        if not call.own:
            _refuse_files(call.body)
            if call.body.values.get("store") and "store" not in changes:
                changes, dropped = changes | {"store": REMOVED}, (*dropped, "store")
        changes |= {name: REMOVED for name in GATEWAY_FIELDS if name in call.body.values}
        if call.streamed and "no_stream_options" in call.provider.quirks:
            if "stream_options" in call.body.values:
                changes["stream_options"] = REMOVED
        elif call.streamed and not _asks_for_usage(call.body):
            options = call.body.values.get("stream_options") or {}
            if isinstance(options, dict):  # else the provider says what is wrong with it
                changes["stream_options"] = {**options, "include_usage": True}
        return passed_on(self._address, call, changes, dropped)

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """A `chat.completion`."""
        document = parsed_answer(body)
        values = document.values
        if not isinstance(values.get("choices"), list):
            raise ProviderInvalidResponse("The provider's answer is no chat completion: it has no choices.")
        reading = Reading()
        note(reading, values)
        changes = _annotation(reading, values, annotate)
        return Whole(document.edited(changes) if changes else body, reading, values)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Chunks; usage goes to the client only where it asked."""
        reading = Reading()
        return Scanner(self.events(call, annotate, reading), reading)

    def events(self, call: Call, annotate: Annotate, reading: Reading) -> Events:
        """What a stream's chunks say, noted in `reading`."""
        usage_at = call.provider.parameters_of(call.model_id).usage
        return _Chunks(reading, annotate, usage_at, usage_wanted=_asks_for_usage(call.body))

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """An `error` object, or whatever a compatible provider sends."""
        return decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """Content, refusals, reasoning, arguments of tool calls, of all choices."""
        return texts_in(answer.get("choices"), _TEXT_NAMES)


class _Chunks:
    """The `Events` of a stream of chunks."""

    terminator = DONE

    def __init__(self, reading: Reading, annotate: Annotate, usage_at: str, *, usage_wanted: bool) -> None:
        self._reading = reading
        self._annotate = annotate
        self._usage_at = usage_at
        self._usage_wanted = usage_wanted

    def stripped(self, events: bytes) -> bytes:
        """Bytes such as `,"usage":null` cannot stand inside a JSON string: its quotes would be escaped."""
        if self._usage_wanted:
            return events
        return events.replace(b',"usage":null', b"").replace(b', "usage": null', b"")

    def tells(self, events: bytes) -> bool:
        """Every chunk has a `finish_reason` and, where usage was asked for, a `usage`: all but one of them null."""
        silent = events.count(b'"usage":null') + events.count(b'"usage": null') if self._usage_wanted else 0
        unfinished = events.count(b'"finish_reason":null') + events.count(b'"finish_reason": null')
        return (
            events.count(b'"usage"') != silent
            or events.count(b'"finish_reason"') != unfinished
            or b'"error"' in events
            or _CITATION in events
            # The end, a comment, a broken event: anything but a JSON object.
            or events.count(b"}\n\n") != events.count(b"\n\n")
        )

    def read(self, event: bytes, document: Document) -> bytes | None:
        """Notes id, model, finish reason and usage."""
        values = document.values
        if "usage" not in values:
            elsewhere = usage_in(values, self._usage_at)
            values = {**values, "usage": elsewhere} if elsewhere and self._usage_wanted else values
            note(self._reading, {**values, "usage": elsewhere})
        else:
            note(self._reading, values)
        if "usage" not in values:
            return event
        if self._usage_wanted:
            changes = _annotation(self._reading, values, self._annotate)
            return with_data(event, document.edited(changes)) if changes else event
        if not values.get("choices"):
            return None  # the chunk that carries nothing but the usage
        return with_data(event, document.edited({"usage": REMOVED}))

    def starts(self, _: Mapping[str, Any]) -> bool:
        """Every chunk is of the answer."""
        return True

    def ends(self, _: Mapping[str, Any]) -> bool:
        """No chunk says so: `[DONE]` does."""
        return False

    def complete(self) -> bool:
        """Some compatible providers never say `[DONE]`; a finish reason is as good."""
        return self._reading.finish_reason is not None

    def text_of(self, values: Mapping[str, Any]) -> str:
        """The deltas' text."""
        return texts_in(values.get("choices"), _TEXT_NAMES)


def _refuse_files(body: Document) -> None:
    """By a credential that is not the account's own: files that are stored with it are not the client's to name."""
    if b'"file_id"' not in body.raw:
        return
    messages = body.values.get("messages")
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("content") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and member(part, "file").get("file_id") is not None:
                raise UnsupportedParameter(
                    "`file_id` cannot be served: it names what is stored with a credential that is not yours.",
                    fix="Send the file itself in `file_data`, or save your own key.",
                    param="messages",
                )


def _asks_for_usage(body: Document) -> bool:
    options = body.values.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def usage_in(values: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The usage of a chunk, where its provider has it (`catalog.Parameters.usage`)."""
    choices = values.get("choices")
    found: Any = values
    for name in path.split("."):
        inside = found.get(name) if isinstance(found, dict) else None
        found = choices[0] if name == "choices" and isinstance(choices, list) and choices else inside
    return found if isinstance(found, dict) and found else None


def note(reading: Reading, values: Mapping[str, Any]) -> None:
    """What an answer or a chunk says of the whole; later ones override."""
    reading.response_id = string(values.get("id")) or reading.response_id
    reading.model = string(values.get("model")) or reading.model
    if tier := string(values.get("service_tier")):
        reading.terms = replace(reading.terms, service_tier=tier)
    choices, usage = values.get("choices"), values.get("usage")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _note_choice(reading, choice)
    if isinstance(usage, dict):
        reading.usage = read_usage(usage) or reading.usage
        if size := string(usage.get("search_context_size")):
            reading.terms = replace(reading.terms, search_context=size)
    if reading.searched and reading.usage and not reading.usage.web_searches:
        reading.usage = replace(reading.usage, web_searches=1)


def _note_choice(reading: Reading, choice: Mapping[str, Any]) -> None:
    if choice.get("finish_reason"):
        reading.finish_reason = string(choice["finish_reason"])
    said = member(choice, "message") or member(choice, "delta")
    annotations = said.get("annotations")
    for each in annotations if isinstance(annotations, list) else ():
        if isinstance(each, dict) and each.get("type") == "url_citation":
            reading.searched = True


def _annotation(reading: Reading, values: Mapping[str, Any], annotate: Annotate) -> dict[str, Any]:
    """The change that annotates an answer's usage, where it has one."""
    usage = values.get("usage")
    if not isinstance(usage, dict) or reading.usage is None:
        return {}
    return {"usage": {**usage, **annotate(reading.usage, reading.terms)}}
