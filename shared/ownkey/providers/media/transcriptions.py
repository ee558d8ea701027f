"""Sound to text: a form goes on with the file's bytes untouched; the answer is JSON, plain text or events.

A usage is in tokens or in seconds. Plain text (`text`, `srt`, `vtt`) has none: it is then estimated from the file.

Mistral's events go by other names, and so do its seconds: `transcription.text.delta` with a `text`,
`transcription.done`, `prompt_audio_seconds` (mistralai/client-python, docs/models: transcriptionstream….md,
usageinfo.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, string, tells
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.form import Form
from ownkey.providers.media.billed import SECOND, is_by
from ownkey.providers.media.passing import LastEvent, Passing, for_own_keys
from ownkey.providers.passthrough import GATEWAY_FIELDS, Scanner
from ownkey.providers.translator import Annotate, AnswerKind, Call, Encoded, Reading, StreamDecoder, Whole

_PLAIN = frozenset({"text", "srt", "vtt"})
_PAGE, _HEAD = ("<!doctype html", "<html"), 20
_DELTA, _LAST_EVENT = "transcript.text.delta", "transcript.text.done"
_OTHERWISE: Mapping[str, str] = {"transcription.text.delta": _DELTA, "transcription.done": _LAST_EVENT}
_SECONDS = ("seconds", "prompt_audio_seconds")


class Transcriptions(Passing):
    """`audio/transcriptions` to providers that speak OpenAI's."""

    path = "audio/transcriptions"

    def encode_request(self, call: Call) -> Encoded:
        """The client's form, with the provider's name of the model."""
        assert isinstance(call.body, Form)
        if call.body.values.get("file_id"):
            for_own_keys(call, "file_id", "it names a file at the provider, and the credential is not yours")
        body = call.body.edited({**dict.fromkeys(GATEWAY_FIELDS, REMOVED), **self._address.members(call)})
        accepted = "text/event-stream" if call.streamed else "*/*"
        headers = {**self._address.headers(call), "content-type": call.body.content_type, "accept": accepted}
        url, auth = self._address.url(call), self._address.auth(call)
        return Encoded(url, headers, body, auth, answer=self.answer(call))

    def answer(self, call: Call) -> AnswerKind:
        """A model that does not stream ignores that it was asked to."""
        return AnswerKind.EITHER if call.streamed else AnswerKind.WHOLE

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """Tokens or seconds; else the length of the recording, where it is told."""
        usage = member(values, "usage")
        if usage.get("type") == "tokens" or "input_tokens" in usage:
            return None if is_by(call.model, SECOND, "audio_input") else read_usage(usage)
        for told, name in (*((usage, name) for name in _SECONDS), (values, "duration")):
            if tells(told, name):
                return Usage(audio_input_ms=round(float(told[name]) * 1000))
        return None

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """JSON, or text that goes on as it is."""
        if call.body.values.get("response_format") not in _PLAIN:
            return super().decode_whole(call, body, annotate)
        text = body.decode("utf-8", "replace")
        if text.lstrip()[:_HEAD].lower().startswith(_PAGE):
            raise ProviderInvalidResponse("The provider answered with a web page where a transcript was asked for.")
        return Whole(body, Reading(), {"text": text}, "text/plain; charset=utf-8")

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Events with pieces of the text."""
        events = _Events(call, annotate, self.usage, _LAST_EVENT, "delta")
        return Scanner(events, events.reading)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """The transcript."""
        return string(answer.get("text")) or ""


class _Events(LastEvent):
    """All under OpenAI's names."""

    def tells(self, events: bytes) -> bool:
        """What goes by another name does, too."""
        return b'"transcription.' in events or super().tells(events)

    def read(self, event: bytes, document: Document) -> bytes | None:
        """Renames it first."""
        values = document.values
        kind = _OTHERWISE.get(string(values.get("type")) or "")
        if kind is not None:
            delta = {"delta": values.get("text"), "text": REMOVED} if kind == _DELTA else {}
            document = Document.parse(document.edited({"type": kind} | delta))
            event = b"data: " + document.edited({})
        return super().read(event, document)


class Translations(Transcriptions):
    """`audio/translations`: the same, into English."""

    path = "audio/translations"


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """Tokens of the sound and of the prompt beside it, and of the text made."""
    if not tells(usage, "input_tokens", "output_tokens"):
        return None
    into, tokens_in = member(usage, "input_token_details"), count(usage, "input_tokens")
    text = min(count(into, "text_tokens"), tokens_in)
    return Usage(input=text, audio_input=tokens_in - text, output=count(usage, "output_tokens"))
