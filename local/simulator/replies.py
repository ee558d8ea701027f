"""Answers ready to be sent, and what a scripted behaviour makes of them. Pure; `delivery.py` does the sending."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from local.simulator.behaviour import Behaviour
from local.simulator.brain import CacheUse, Completion, Prompt, Usage, complete, usage_of

JSON = "application/json"
_ENDINGS = {"reset": "reset", "eof": "eof", "half_event": "eof", "end": "early"}
EVENT_STREAM = "text/event-stream; charset=utf-8"
PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to the model and its answer, as both dialects render it.

    `first_party`: OpenAI or Anthropic itself, whose answers have fields that a compatible provider's lack.
    `model` is the row (models.py) of the model asked for.
    """

    first_party: bool
    request_id: str
    created_s: int
    body: dict[str, Any]
    model: dict[str, Any]
    prompt: Prompt
    completions: list[Completion]
    usage: Usage
    behaviour: Behaviour
    unasked_usage: bool = False
    """Whether a stream tells its usage without being asked."""

    @property
    def served(self) -> str:
        """The model that the answer names."""
        return str(self.model.get("serves", self.model["id"]))

    @property
    def shown_usage(self) -> Usage | None:
        """The usage, unless the behaviour leaves it out."""
        return None if self.behaviour.no_usage else self.usage


def think(prompt: Prompt, cache: CacheUse, behaviour: Behaviour) -> tuple[list[Completion], Usage]:
    """The model's answers to a prompt, and what they cost."""
    completions = [complete(prompt, behaviour, choice) for choice in range(prompt.choices)]
    return completions, usage_of(prompt, completions, cache, behaviour)


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer in one piece."""

    body: bytes
    headers: dict[str, str]
    status: int = 200
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream. A `chunk` carries content: pace and positions are counted in those."""

    data: bytes
    chunk: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in events. The wait for the first token is before frame `first_token_at`.

    `ending`, once the frames are sent: end, early (orderly, but cut by a script), reset, eof or hang.
    """

    frames: tuple[Frame, ...]
    headers: dict[str, str]
    first_token_at: int = 0
    content_type: str = EVENT_STREAM
    ending: str = "end"


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: the client waits until it gives up."""


Reply = Whole | Stream | Silence


def page(status: int, title: str, headers: dict[str, str]) -> Whole:
    """A web page, as a proxy in front of a provider sends."""
    text = title.encode()
    return Whole(PAGE % (text, text), headers, status, "text/html; charset=UTF-8")


def retry_headers(behaviour: Behaviour, now: datetime) -> dict[str, str]:
    """The headers that say when to come back, in the forms asked for."""
    headers: dict[str, str] = {}
    if behaviour.retry_after is not None:
        headers["retry-after"] = f"{behaviour.retry_after:g}"
    if behaviour.retry_after_date is not None:
        later = now.astimezone(UTC) + timedelta(seconds=behaviour.retry_after_date)
        headers["retry-after"] = format_datetime(later, usegmt=True)
    if behaviour.retry_after_ms is not None:
        headers["retry-after-ms"] = str(behaviour.retry_after_ms)
    return headers


def distorted(reply: Reply, behaviour: Behaviour, error_event: bytes) -> Reply:
    """The reply as the behaviour has it arrive; `error_event` is the dialect's error inside a stream."""
    if isinstance(reply, Whole):
        return _distorted_whole(reply, behaviour)
    if isinstance(reply, Stream):
        return _distorted_stream(reply, behaviour, error_event)
    return reply


def _distorted_whole(reply: Whole, behaviour: Behaviour) -> Whole:
    if behaviour.invalid_json:
        reply = replace(reply, body=reply.body[: len(reply.body) // 2])
    if behaviour.content_type is not None:
        reply = replace(reply, content_type=behaviour.content_type)
    if behaviour.gzip:
        headers = {**reply.headers, "content-encoding": "gzip"}
        reply = replace(reply, body=gzip.compress(reply.body), headers=headers)
    return reply


def _distorted_stream(reply: Stream, behaviour: Behaviour, error_event: bytes) -> Stream:
    frames = reply.frames
    if behaviour.content_type is not None:
        reply = replace(reply, content_type=behaviour.content_type)
    if behaviour.invalid_json:
        at = position(frames, 1)
        broken = Frame(frames[at].data[: len(frames[at].data) // 2] + b"\n\n", chunk=True)
        return replace(reply, frames=(*frames[:at], broken, *frames[at + 1 :]))
    if behaviour.error_after is not None:
        at = position(frames, behaviour.error_after)
        return replace(reply, frames=(*frames[:at], Frame(error_event)))
    if behaviour.hang_after is not None:
        return replace(reply, frames=frames[: position(frames, behaviour.hang_after)], ending="hang")
    if behaviour.cut_after is None:
        return reply
    at = position(frames, behaviour.cut_after)
    kept = frames[:at]
    if behaviour.cut_mode == "half_event" and at < len(frames):
        kept = (*kept, Frame(frames[at].data[: len(frames[at].data) // 2]))
    return replace(reply, frames=kept, ending=_ENDINGS[behaviour.cut_mode])


def position(frames: tuple[Frame, ...], chunks: int) -> int:
    """The index after the given number of content chunks: 0 for none, at most the last frame."""
    if chunks <= 0:
        return 0
    seen = 0
    for index, frame in enumerate(frames):
        seen += frame.chunk
        if seen == chunks:
            return min(index + 1, len(frames) - 1)
    return len(frames) - 1
