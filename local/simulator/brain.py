"""The simulated model: from what a request asks, read by either dialect, to what it answers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from local.simulator.behaviour import Behaviour
from local.simulator.text import (
    answer_to,
    compact,
    count_tokens,
    example_of,
    fragments,
    numbered_words,
    tokenize,
)

IMAGE_TOKENS = 85
MESSAGE_TOKENS = 4  # what a message costs beyond its content
FREE_FORM_INPUT = "sample"
REFUSAL_TEXT = "I can't help with that."
TOOL_PREAMBLE = "Let me look that up."
_IMAGE_TYPES = frozenset({"image", "image_url"})
_NOT_READ_BY_THE_MODEL = frozenset({"cache_control", "prompt_cache_breakpoint"})


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer. `schema` is its JSON schema, or None for one that takes free-form text."""

    name: str
    schema: Any = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the prompt in the order the model reads it. `ttl` (`5m`, `1h`) marks the end of a cached prefix."""

    content: str
    tokens: int
    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of the prompt read from the cache and written to it."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request asks of the model.

    `tool_mode`: `auto` (call the tools that the text names), `none`, `required` or `named` (one given tool).
    `reasoning_tokens` is how long it may think before it answers; `max_tokens` bounds thinking and answer together.
    `speaks_before_tools`: a model of this dialect says a word before the tools it chose itself to call.
    """

    text: str
    segments: tuple[Segment, ...]
    knobs: dict[str, str] = field(default_factory=dict)
    tool_results: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_mode: str = "auto"
    parallel: bool = True
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    schema: Any = None
    reasoning_tokens: int = 0
    choices: int = 1
    speaks_before_tools: bool = False

    @property
    def tokens(self) -> int:
        """The length of the whole prompt."""
        return sum(segment.tokens for segment in self.segments)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. `argument_pieces` joined are its arguments as JSON, or its free-form input."""

    name: str
    argument_pieces: tuple[str, ...]
    free_form: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `ending`: stop, length, stop_sequence, tools, forced_tool or refusal."""

    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    ending: str = "stop"
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """The length of the answer, calls included, reasoning not."""
        called = sum(count_tokens(call.name + "".join(call.argument_pieces)) for call in self.calls)
        return called + (count_tokens(self.text) if self.pieces else 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the request cost. `input_tokens` counts all that was read; `output_tokens` all that was generated."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache: CacheUse


def content_tokens(content: Any) -> int:
    """The length of a message's content in either dialect: text, or a list of blocks."""
    if isinstance(content, list):
        return sum(_block_tokens(block) for block in content)
    return count_tokens(content) if isinstance(content, str) else 0


def _block_tokens(block: Any) -> int:
    if not isinstance(block, dict):
        return count_tokens(str(block))
    if block.get("type") in _IMAGE_TYPES:
        return IMAGE_TOKENS
    if isinstance(block.get("text"), str):
        return count_tokens(block["text"])
    return count_tokens(compact({name: value for name, value in block.items() if name not in _NOT_READ_BY_THE_MODEL}))


def complete(prompt: Prompt, behaviour: Behaviour, choice: int = 0) -> Completion:
    """The model's answer, the same for the same request. Further choices (`n`) say which one they are."""
    if behaviour.refusal:
        return Completion(pieces=tokenize(REFUSAL_TEXT), ending="refusal")
    called = _calls(prompt, behaviour)
    if called:
        spoken = tokenize(TOOL_PREAMBLE) if prompt.speaks_before_tools and prompt.tool_mode == "auto" else ()
        return Completion(spoken, called, ending="forced_tool" if prompt.tool_mode == "named" else "tools")
    pieces = _pieces(prompt, behaviour)
    if choice:
        pieces = (*pieces, *tokenize(f" (choice {choice})"))
    return _bounded(Completion(pieces=pieces), prompt)


def usage_of(prompt: Prompt, completions: list[Completion], cache: CacheUse, behaviour: Behaviour) -> Usage:
    """The counted usage of all choices, with what the behaviour overrides put in its place."""
    reasoning = _or(behaviour.reasoning_tokens, reasoning_of(prompt))
    output = reasoning + sum(completion.tokens for completion in completions)
    return Usage(
        input_tokens=_or(behaviour.input_tokens, prompt.tokens),
        output_tokens=_or(behaviour.output_tokens, output),
        reasoning_tokens=reasoning,
        cache=replace(
            cache,
            read=_or(behaviour.cached_tokens, cache.read),
            written_5m=_or(behaviour.cache_write_tokens, cache.written_5m),
            written_1h=_or(behaviour.cache_write_1h_tokens, cache.written_1h),
        ),
    )


def reasoning_of(prompt: Prompt) -> int:
    """How many tokens the model thinks: what it was allowed to, within the limit of the whole answer."""
    limit = prompt.max_tokens
    return prompt.reasoning_tokens if limit is None else min(prompt.reasoning_tokens, limit)


def _calls(prompt: Prompt, behaviour: Behaviour) -> tuple[ToolCall, ...]:
    wanted = _wanted_tools(prompt, behaviour)
    if behaviour.tools is None and not prompt.parallel:
        wanted = wanted[:1]
    return tuple(_call(tool) for tool in wanted)


def _wanted_tools(prompt: Prompt, behaviour: Behaviour) -> tuple[Tool, ...]:
    if not prompt.tools or prompt.tool_mode == "none":
        return ()
    if behaviour.tools is not None:
        return tuple(prompt.tools[index % len(prompt.tools)] for index in range(behaviour.tools))
    if prompt.tool_mode == "named":
        return prompt.tools[:1]
    named = tuple(tool for tool in prompt.tools if re.search(rf"\b{re.escape(tool.name)}\b", prompt.text))
    if prompt.tool_mode == "required":
        return named or prompt.tools[:1]
    return () if prompt.tool_results else named


def _call(tool: Tool) -> ToolCall:
    if tool.schema is None:
        return ToolCall(tool.name, fragments(FREE_FORM_INPUT), free_form=True)
    return ToolCall(tool.name, fragments(compact(example_of(tool.schema))))


def _pieces(prompt: Prompt, behaviour: Behaviour) -> tuple[str, ...]:
    if behaviour.huge is not None:
        return ("x" * behaviour.huge,)
    if behaviour.chunks is not None:
        return numbered_words(behaviour.chunks)
    if prompt.schema is not None:
        return tokenize(compact(example_of(prompt.schema)))
    return tokenize(answer_to(prompt.text, prompt.tool_results))


def _bounded(completion: Completion, prompt: Prompt) -> Completion:
    """The completion up to the first stop sequence or to the limit of tokens, whichever comes first."""
    text = completion.text
    found = [(text.index(stop), stop) for stop in prompt.stops if stop and stop in text]
    if found:
        at, stop = min(found)
        completion = replace(
            completion, pieces=_first_characters(completion.pieces, at), ending="stop_sequence", stop_sequence=stop
        )
    if prompt.max_tokens is None:
        return completion
    budget = max(0, prompt.max_tokens - reasoning_of(prompt))
    if len(completion.pieces) <= budget:
        return completion
    return Completion(pieces=completion.pieces[:budget], ending="length")


def _first_characters(pieces: tuple[str, ...], count: int) -> tuple[str, ...]:
    kept: list[str] = []
    for piece in pieces:
        if count <= 0:
            break
        kept.append(piece[:count])
        count -= len(piece)
    return tuple(kept)


def _or(override: int | None, counted: int) -> int:
    return counted if override is None else override
