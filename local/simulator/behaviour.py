"""What a request may be made to suffer: the knobs, and the two ways of turning them.

In the request: `[[sim: fail=429 retry_after=2]]` anywhere in the last user message (the answer does not repeat it).
From outside: scripts posted to `/_sim/behaviour`, matched by provider, key, model and path, for a number of times or
until cleared; a script's knobs win over the message's.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from local.simulator.refusals import is_known

DIRECTIVE = re.compile(r"\[\[sim:([^\]]*)\]\]")
CUT_MODES = ("reset", "eof", "half_event", "end")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The knobs of one request. Times in the unit their name ends with; positions count content chunks sent before."""

    # In place of an answer.
    fail: str | None = None  # a status or a kind of refusal (refusals.py): 429, no_quota, context_length, …
    retry_after: float | None = None  # header in seconds
    retry_after_ms: int | None = None  # header `retry-after-ms`
    retry_after_date: float | None = None  # header as an HTTP date, that many seconds from now
    echo_key: bool = False  # the error's message repeats the whole key presented
    redirect: str | None = None  # 302 to this URL
    hang: bool = False  # no byte at all until the client gives up

    # Pace.
    header_ms: int = 0  # before the response's headers
    first_token_ms: int = 0  # after the headers, before the first content (a whole answer: before its headers)
    delay_ms: int = 0  # between content chunks
    at_once: bool = False  # the whole stream in one write
    pings: int = 0  # further keep-alives (ping events, comments) before the first content

    # A stream that goes wrong.
    cut_after: int | None = None  # chunks before the connection is cut
    cut_mode: str = "reset"  # reset (RST), eof (FIN), half_event (FIN inside an event), end (orderly, but early)
    error_after: int | None = None  # chunks before an error event; `fail` says which error
    hang_after: int | None = None  # chunks before silence

    # A body that goes wrong.
    invalid_json: bool = False
    content_type: str | None = None  # instead of the right one
    html: bool = False  # a 200 with a web page

    # The answer.
    chunks: int | None = None  # that many pieces of one token each
    huge: int | None = None  # a single piece of that many characters
    tools: int | None = None  # that many tool calls, whatever `tool_choice` says (0: none)
    finish: str | None = None  # this finish or stop reason, as the dialect spells it
    refusal: bool = False  # the model declines
    redacted: bool = False  # thoughts come encrypted
    thoughts: str = "reasoning_content"  # where a compatible provider shows them: reasoning, details, think_tags, none
    gzip: bool = False  # a whole answer is compressed
    no_usage: bool = False  # leave usage out

    # The usage reported, where it shall not be what was counted.
    input_tokens: int | None = None  # everything read, cached or not
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None  # everything generated, reasoning included
    reasoning_tokens: int | None = None

    @property
    def in_place_of_answer(self) -> bool:
        """Whether the request never reaches the model."""
        fails = self.fail is not None and self.error_after is None
        return fails or self.hang or self.html or self.redirect is not None

    @classmethod
    def of(cls, knobs: Mapping[str, Any]) -> Behaviour:
        """The behaviour that `knobs` spell, values as text or as JSON gives them.

        Raises ValueError for an unknown knob or a value that is not of its kind.
        """
        unknown = sorted(set(knobs) - set(_READERS))
        if unknown:
            raise ValueError(f"unknown knob {unknown[0]!r}; known: {', '.join(_READERS)}")
        behaviour = cls(**{name: _READERS[name](value) for name, value in knobs.items()})
        if behaviour.cut_mode not in CUT_MODES:
            raise ValueError(f"cut_mode is one of {', '.join(CUT_MODES)}")
        if behaviour.fail is not None and not is_known(behaviour.fail):
            raise ValueError("fail is a status from 400 to 599 or a kind of refusal")
        return behaviour


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise ValueError(f"{value!r} is neither true nor false")
    return text in ("true", "1")


_READER_OF: dict[str, Callable[[Any], Any]] = {"bool": _flag, "int": int, "float": float, "str": str}
_READERS = {each.name: _READER_OF[str(each.type).removesuffix(" | None")] for each in fields(Behaviour)}


def split_directives(text: str) -> tuple[str, dict[str, str]]:
    """The text without its directives, and the knobs they turn; a bare word is a flag that is set."""
    knobs: dict[str, str] = {}
    for directive in DIRECTIVE.findall(text):
        for word in shlex.split(directive):
            name, equals, value = word.partition("=")
            knobs[name] = value if equals else "true"
    return (DIRECTIVE.sub("", text).strip(), knobs) if knobs else (text, {})


def digest_of(key: str | None) -> str | None:
    """The SHA-256 of a key in hexadecimal: all that is kept of one."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()


@dataclass(slots=True)
class Script:
    """A behaviour waiting for the requests it matches. `provider` is an id or `*`; None matches everything."""

    id: int
    knobs: dict[str, Any]
    provider: str = "*"
    key_sha256: str | None = None
    model: str | None = None
    path: str | None = None
    times: int | None = None

    def matches(self, provider: str, key_sha256: str | None, model: str | None, path: str) -> bool:
        """Whether the request is one this script is for."""
        return (
            self.times != 0
            and self.provider in ("*", provider)
            and self.key_sha256 in (None, key_sha256)
            and self.model in (None, model)
            and self.path in (None, path)
        )


class Scripts:
    """The scripts in force, the oldest first: a request takes the first that matches, and uses up one of its times."""

    def __init__(self) -> None:
        self._scripts: list[Script] = []
        self._last_id = 0

    def add(
        self,
        provider: str = "*",
        *,
        key: str | None = None,
        model: str | None = None,
        path: str | None = None,
        times: int | None = None,
        **knobs: Any,
    ) -> int:
        """Put a script in force and return its id. `path` is what follows `/v1/`. Raises ValueError for a bad knob."""
        Behaviour.of(knobs)
        self._last_id += 1
        self._scripts.append(Script(self._last_id, knobs, provider, digest_of(key), model, path, times))
        return self._last_id

    def take(self, provider: str, key: str | None, model: str | None, path: str) -> dict[str, Any]:
        """The knobs for this request: none where no script matches."""
        key_sha256 = digest_of(key)
        for script in self._scripts:
            if script.matches(provider, key_sha256, model, path):
                if script.times is not None:
                    script.times -= 1
                return script.knobs
        return {}

    def clear(self, provider: str | None = None, script_id: int | None = None) -> None:
        """End the scripts of one provider, or the one with this id, or all."""
        self._scripts = [
            script
            for script in self._scripts
            if (provider is not None and script.provider != provider)
            or (script_id is not None and script.id != script_id)
        ]

    def waiting(self) -> list[Script]:
        """The scripts that can still match."""
        return [script for script in self._scripts if script.times != 0]
