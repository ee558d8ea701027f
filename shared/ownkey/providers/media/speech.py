"""Text to sound: a file that is passed on as it comes, or events with pieces of one.

A file says nothing of what was used. Most models are billed by the characters of the text, which are counted; what is
billed by tokens is estimated, unless events tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, ProviderStreamBroken
from ownkey.domain.usage import Usage
from ownkey.providers.counts import count, member, string, tells
from ownkey.providers.media.billed import CHARACTER, has_fee
from ownkey.providers.media.passing import LastEvent, Passing, for_own_keys
from ownkey.providers.passthrough import Scanner
from ownkey.providers.translator import Annotate, AnswerKind, Call, Encoded, Reading, StreamDecoder

_LAST_EVENT = "speech.audio.done"
_STORED_VOICE = "voice_"
"""How the ids of voices begin that were made from somebody's speech (openai-python 3.52, `speech_create_params.py`)."""


class Speech(Passing):
    """`audio/speech` to providers that speak OpenAI's."""

    path = "audio/speech"

    def answer(self, call: Call) -> AnswerKind:
        """A file unless events are asked for."""
        return AnswerKind.EVENTS if _as_events(call) else AnswerKind.BYTES

    def encode_request(self, call: Call) -> Encoded:
        """Asks for sound."""
        encoded = super().encode_request(call)
        encoded.headers["accept"] = "text/event-stream" if _as_events(call) else "*/*"
        return encoded

    def changes(self, call: Call) -> dict[str, Any]:
        """None.

        Raises:
            UnsupportedParameter: by another's credential, a voice that somebody stored under it.
        """
        voice = call.body.values.get("voice")
        if isinstance(voice, dict) or (isinstance(voice, str) and voice.startswith(_STORED_VOICE)):
            for_own_keys(call, "voice", "it is stored at the provider, and the credential is not yours")
        return {}

    def usage(self, call: Call, values: Mapping[str, Any]) -> Usage | None:
        """What an event tells, where tokens are billed."""
        if has_fee(call.model, CHARACTER):
            return spoken(call)
        usage = member(values, "usage")
        if not tells(usage, "input_tokens", "output_tokens"):
            return None
        return Usage(input=count(usage, "input_tokens"), audio_output=count(usage, "output_tokens"))

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Events, or a file's bytes."""
        if _as_events(call):
            events = LastEvent(call, annotate, self.usage, _LAST_EVENT)
            return Scanner(events, events.reading)
        return Sound(Reading(usage=spoken(call) if has_fee(call.model, CHARACTER) else None))


class Sound:
    """A `StreamDecoder` that looks at nothing."""

    __slots__ = ("failure", "finished", "reading", "started")

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.started = False
        self.finished = False
        self.failure: ProviderFailure | None = None

    def feed(self, data: bytes) -> bytes:
        """The same bytes."""
        self.started = self.started or bool(data)
        return data

    def close(self, *, orderly: bool) -> bytes:
        """The end, where HTTP says that it is one."""
        if orderly and self.started:
            self.finished = True
        elif orderly:
            self.failure = ProviderInvalidResponse("The provider's answer is empty.")
        else:
            self.failure = ProviderStreamBroken("The provider's answer stopped before its end.")
        return b""

    def estimated_output_tokens(self) -> int:
        """Sound is not counted: the request's estimate stands."""
        return 0


def spoken(call: Call) -> Usage:
    """The text's characters: all of them are billed."""
    return Usage(characters=len(string(call.body.values.get("input")) or ""))


def _as_events(call: Call) -> bool:
    return call.body.values.get("stream_format") == "sse"
