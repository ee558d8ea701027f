"""A client's request without its dialect: what is said, with what tools, under which wishes.

Every client dialect reads into this, every provider's API is written from it. What one dialect has and no other could
mean stays out: it is named in `others`, and the rules for it are `drops`'.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

_NOTHING: Mapping[str, Any] = {}


class Role(StrEnum):
    """Who speaks. What stands before the first turn is `Conversation.system`; SYSTEM turns stand in between."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


# ── What is said ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CacheMark:
    """The prompt up to and with this part is to be cached."""

    ttl: Literal["5m", "1h"] = "5m"


@dataclass(frozen=True, slots=True)
class Inline:
    """Data in the request itself."""

    media_type: str
    """`image/png`, `application/pdf`, …"""
    data: str
    """Base64, standard alphabet, padded."""


@dataclass(frozen=True, slots=True)
class Link:
    """Data that the provider fetches."""

    url: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class FileId:
    """A file that the client has stored at one provider: only that one's dialect can mean it."""

    id: str


Source = Inline | Link | FileId


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a stretch of an answer's text is from."""

    kind: Literal["url", "document"]
    url: str | None = None
    title: str | None = None
    quote: str | None = None
    """The cited words of the source."""
    start: int | None = None
    """Of the stretch within the answer's text part, in characters; `end` is exclusive."""
    end: int | None = None
    document_index: int | None = None
    """Which of the request's documents, from 0."""
    place: Mapping[str, Any] = field(default_factory=dict)
    """As the provider has it: pages, characters, an opaque index."""


@dataclass(frozen=True, slots=True)
class Logprob:
    """One token of the answer with its log probability, and the likeliest others in its place."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str = ""
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture."""

    source: Source
    detail: str | None = None
    """OpenAI's `low`, `high`, `auto`: how closely it is looked at."""
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file to be read: a PDF or plain text."""

    source: Source
    """Plain text is `Inline` too, with its own media type and base64."""
    name: str | None = None
    """File name or title."""
    context: str | None = None
    citations: bool = False
    """The answer is to cite it."""
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound."""

    source: Source


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought, as its provider lets it be seen, and its proof that the words are its own."""

    text: str = ""
    signature: str | None = None
    """To be given back with the words; means nothing to another format."""
    format: str | None = None
    """Whose signature it is, one of `Format`'s. None: nobody's, it is text alone."""
    id: str | None = None
    """The item's id, where its dialect has one."""


@dataclass(frozen=True, slots=True)
class RedactedThinking:
    """Thought that nobody may read, to be given back as it is."""

    data: str
    format: str
    """One of `Format`'s."""
    id: str | None = None
    tool_use_id: str | None = None
    """The call it belongs to, where it is the signature of one."""


class Format(StrEnum):
    """Whose thinking it is: only an API of the same one takes it back. The values are OpenRouter's, but for Bedrock's:
    Converse does not say whose model signed.
    """

    ANTHROPIC = "anthropic-claude-v1"
    OPENAI = "openai-responses-v1"
    GEMINI = "google-gemini-v1"
    BEDROCK = "amazon-bedrock-v1"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The model calls a tool."""

    id: str
    name: str
    arguments: str = ""
    """JSON text of an object; of a free-form tool the text itself. May be empty: no arguments."""
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave."""

    tool_use_id: str
    name: str | None
    """The tool's, where an earlier turn tells it."""
    content: tuple[Text | Image | Document, ...] = ()
    failed: bool = False
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's words for not answering."""

    text: str = ""


Part = Text | Image | Document | Audio | Thinking | RedactedThinking | ToolUse | ToolResult | Refusal


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says before the other does. Two turns of one role may follow each other: writers join them where
    their dialect needs it. Tool results are parts of USER turns, each before any other part of its turn.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# ── With what, and how ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client's that the model may call."""

    name: str
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    """JSON Schema of its arguments. None: it takes none."""
    strict: bool | None = None
    """Whether the arguments must fit the schema exactly."""
    free_form: bool = False
    """Takes one text instead of arguments. A dialect without such tools is given `FREE_FORM_SCHEMA`."""
    grammar: Mapping[str, Any] | None = None
    """What the text of a free-form tool must be, as OpenAI states it. Left out it is `tools.grammar` to `Drops`."""
    cache: CacheMark | None = None


FREE_FORM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""A free-form tool's arguments where only JSON can be: the text stands under `input`."""


def as_arguments(text: str) -> str:
    """A free-form tool's text as `FREE_FORM_SCHEMA` has it: of calls in a conversation that has the tool no longer."""
    return json.dumps({"input": text}, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the provider runs itself. Writers take the kinds their API has and refuse the others."""

    kind: str
    """`web_search`, `code_execution`, …: the client's `type` without its date."""
    values: Mapping[str, Any]
    """As the client gave it."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools may or must be called."""

    mode: Literal["auto", "none", "required", "named"]
    names: tuple[str, ...] = ()
    """`named`: exactly one. `auto` and `required`: those to choose from, all where empty."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The answer's text is to be JSON."""

    schema: Mapping[str, Any] | None = None
    """None: any object."""
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Of reasoning, rising. A dialect without one of them takes its nearest, the lower one where two are as near."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much is to be thought, by effort or by tokens, and whether it is to be seen."""

    effort: str | None = None
    """One of `EFFORTS`."""
    budget_tokens: int | None = None
    adaptive: bool = False
    """The model decides itself how much."""
    visible: bool | None = None
    """Whether the answer is to have the thoughts, or their summary. None: as the provider does by itself."""
    summary: str | None = None
    """OpenAI's `auto`, `concise`, `detailed`."""

    @property
    def off(self) -> bool:
        """Nothing is to be thought."""
        return self.effort == "none" or self.budget_tokens == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One request. None and empty: the client said nothing of it. Names of its fields are `drops`' names."""

    system: tuple[Text, ...] = ()
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, Any] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    choices: int | None = None
    """How many answers; only 1 can cross."""
    verbosity: str | None = None
    service_tier: str | None = None
    user: str | None = None
    """The end user, as the client names one."""
    metadata: Mapping[str, Any] | None = None
    cache_key: str | None = None
    """OpenAI's `prompt_cache_key`."""
    cache: CacheMark | None = None
    """The whole prompt is to be cached, wherever that is best."""
    stream: bool = False
    include_usage: bool = True
    """Whether a stream is to tell its usage: OpenAI's chat asks first."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Members that no field above stands for, by the client's own name."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Field → the client's name for it (`stop` → `stop_sequences`), where it is another."""

    def tool(self, name: str) -> Tool | None:
        """The client's tool of this name."""
        return next((each for each in self.tools if isinstance(each, Tool) and each.name == name), None)


def free_form_names(tools: Iterable[Tool | HostedTool]) -> frozenset[str]:
    """The names of those that take one text."""
    return frozenset(each.name for each in tools if isinstance(each, Tool) and each.free_form)
