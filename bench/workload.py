"""What is asked, and how often."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from bench.client import Answer, BadAnswer

MODEL = "gpt-4o-mini"
CROSSED_MODEL = "claude-haiku-4-5"
"""Of a provider that speaks Anthropic's messages: what is asked as chat completions is translated, and its answer."""
AT_ONCE_CHUNKS = 2_000
PACE_MS = 5
CONCURRENCY = 8
# Between sequential requests, for every target alike: what a gateway does after its answer is in its CPU figure, and
# does not fight with the next request for this machine's few cores. Each Lambda environment has a CPU of its own.
PAUSE_S = 0.01

_SYSTEM = (
    "You are a careful assistant for a team of engineers. Answer in plain words, say what you are not sure of, and "
    "keep to what was asked. "
) * 4
_QUESTION = "Which of the two designs would you choose for a queue that must not lose a message, and why?"


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request. `chunks` is the stream's length, or None for a whole answer."""

    chunks: int | None = None
    delay_ms: int = 0
    model: str = MODEL

    def body(self) -> bytes:
        """The request's JSON: a prompt of about 150 tokens, and for the upstream how to stream."""
        knobs = "" if self.chunks is None else f" [[sim: chunks={self.chunks} delay_ms={self.delay_ms}]]"
        request: dict[str, object] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": _QUESTION + knobs},
            ],
            "temperature": 0.2,
        }
        if self.chunks is not None:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()

    def check(self, answer: Answer) -> None:
        """Raises BadAnswer where the answer is not the one asked for."""
        if answer.status != 200 or b'"choices"' not in answer.body:
            raise BadAnswer(f"{answer.status}: {answer.body[:500].decode(errors='replace')}")
        if self.chunks is not None and (answer.events < self.chunks or b"data: [DONE]" not in answer.body):
            raise BadAnswer(f"{answer.events} events of {self.chunks}")


WHOLE = Ask()
FIRST_TOKEN = Ask(chunks=5, delay_ms=5)
AT_ONCE = Ask(chunks=AT_ONCE_CHUNKS)
CROSSED_AT_ONCE = Ask(chunks=AT_ONCE_CHUNKS, model=CROSSED_MODEL)


def paced(chunks: int, model: str = MODEL) -> Ask:
    """A stream of single chunks at the pace of a fast model."""
    return Ask(chunks=chunks, delay_ms=PACE_MS, model=model)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How often. Each round measures every target once; the figures are medians over rounds."""

    rounds: int = 7
    whole: int = 100
    """Sequential requests in a round."""
    streams: int = 40
    """Streams in a round, for the first token."""
    at_once: int = 5
    """Streams of 2,000 chunks in a round."""
    paced_rounds: int = 3
    paced_chunks: int = 2_000
    concurrent: int = 160
    """Requests in a round with eight at once."""
    cold_starts: int = 5
    imports: int = 7
    memory: int = 2_000
    """Requests of one process before its memory is read again."""


DEFAULT = Sizes()
FULL = replace(DEFAULT, memory=10_000)
QUICK = Sizes(
    rounds=2,
    whole=20,
    streams=5,
    at_once=1,
    paced_rounds=1,
    paced_chunks=200,
    concurrent=16,
    cold_starts=1,
    imports=1,
    memory=60,
)
