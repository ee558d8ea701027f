"""How a provider's requests and answers depart from its dialect, as data: what it refuses, what it names otherwise.

Names are those of OpenAI's chat completions, which all families of compatible providers start from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ReasoningField(StrEnum):
    """Where an answer has the model's reasoning, where it does not stand beside the content under OpenAI's names."""

    REASONING_CONTENT = "reasoning_content"
    """A string of this name in the message, or in the deltas of a stream."""
    REASONING = "reasoning"
    """The same under another name."""
    THINK_TAGS = "think_tags"
    """At the head of the content, between `<think>` and `</think>`."""
    CONTENT_PARTS = "content_parts"
    """In parts of the type `thinking` of a content that is then a list: `{type, thinking: [{type: text, text}]}`."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Departures of a provider, or of some of its models. Empty: it is as its dialect says, as far as is known."""

    unsupported: frozenset[str] = frozenset()
    """Members of a request that it answers with an error. Each is

    - a name: `logit_bias`; `n` where more than one answer cannot be had (`n: 1` asks for nothing special);
    - `messages.<name>`: of any message; `messages.content.<name>`: of any part of one's content;
      `messages.tool_calls.<name>`: of any call in one;
    - `tools.<name>`: of any tool or its function (`tools.strict`);
    - `<name>=<value>`: where the member is this string, or an object of this `type`: `response_format=json_schema`,
      `tool_choice=required`."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's name of a member → the provider's, with the same meaning and values."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """A message's role that it refuses → the one to send instead: `developer` → `system`."""
    text_content: bool = False
    """A message's content is to be a string: a list of texts is put together."""
    reasoning: ReasoningField | None = None
    """Where its answers have the model's reasoning. None: nowhere, or not known."""
    usage: str = "usage"
    """Where a stream has its usage: a member of a chunk, or a dotted path; `choices.usage` is of the first choice."""

    def joined(self, narrower: Parameters) -> Parameters:
        """These, and those of some models: what is unsupported adds up, the rest of theirs overrides."""
        return Parameters(
            unsupported=self.unsupported | narrower.unsupported,
            renamed={**self.renamed, **narrower.renamed},
            roles={**self.roles, **narrower.roles},
            text_content=self.text_content or narrower.text_content,
            reasoning=narrower.reasoning or self.reasoning,
            usage=narrower.usage if narrower.usage != "usage" else self.usage,
        )


AS_ITS_DIALECT = Parameters()


@dataclass(frozen=True, slots=True)
class ResponsesSubset:
    """What a compatible provider has of OpenAI's Responses. A request for more is asked of its other API."""

    tools: frozenset[str]
    """Types of tools it takes."""
    items: frozenset[str]
    """Types of items it takes in the input; messages may be without one."""
    refused_of_tools: frozenset[str] = frozenset()
    """Members of tools that it answers with an error, and that only tune: they are left out and told."""


ModelParameters = tuple[tuple[re.Pattern[str], Parameters], ...]
"""(what the whole id of a model matches, the departures of such models); more than one may match."""


def decode_patterns(rows: Iterable[Mapping[str, Any]], of: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """(what the whole id of a model matches, the value of `of`), of rows `{ models, <of> }`.

    Raises:
        KeyError, ValueError: a row lacks one of the two, or its pattern is none.
    """
    return tuple((_pattern(row["models"]), row[of]) for row in rows)


def decode_parameters(row: Mapping[str, Any]) -> tuple[Parameters, ModelParameters]:
    """The `parameters` of a row: the provider's, and those of some models.

    Raises:
        KeyError, TypeError, ValueError: it has a field or a value that is not known, or lacks one.
    """
    of_models = tuple((_pattern(each["models"]), _decode(each)) for each in row.get("models", ()))
    return _decode(row), of_models


def decode_responses(row: Mapping[str, Any]) -> ResponsesSubset:
    """The `responses` of a row.

    Raises:
        TypeError: it has a field that is not known, or lacks one.
    """
    return ResponsesSubset(**{name: frozenset(value) for name, value in row.items()})


def _decode(row: Mapping[str, Any]) -> Parameters:
    facts = {name: value for name, value in row.items() if name != "models"}
    facts["unsupported"] = frozenset(row.get("unsupported", ()))
    facts["reasoning"] = ReasoningField(row["reasoning"]) if "reasoning" in row else None
    return Parameters(**facts)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as e:
        raise ValueError(f"{text!r} is no regular expression: {e}") from e
