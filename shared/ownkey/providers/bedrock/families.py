"""What some makers' models want otherwise than Converse has it for all: data, by the model's id.

Facts from AWS's guides (Nova: reasoning, tool choice, `topK`; structured outputs and prompt caching: the supported
models; ToolChoice of the API reference) and from what clients met: aws-samples/bedrock-access-gateway 92 (tool choice),
ren8k/aws-gpt-oss-samples (`reasoning_effort`), BerriAI/litellm 39210 and anomalyco/opencode 47660 (a cache point where
there is no cache is a 403), and what litellm 1.109 sends to OpenAI's, xAI's and Moonshot's models. Of a model that no
row fits, an ARN of one's own say, everything is written as Converse has it; Bedrock then refuses what the model behind
it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of a family depart."""

    schema: bool = True
    """Whether the answer can be held to a JSON schema, and arguments of tools to theirs."""
    forced: frozenset[str] = frozenset({"any", "tool"})
    """Of Converse's tool choices that demand a call, those it has."""
    caches: bool = True
    """Whether it takes cache points."""
    caches_tools: bool = True
    """Whether it takes them among the tools."""
    caches_for_an_hour: bool = True
    """Whether it takes them with a lifetime of an hour; else they have the five minutes of all."""
    samples: bool = True
    """Whether it takes a temperature and `topP`."""
    stops: bool = True
    """Whether it takes stop sequences; else the answer is cut at them here."""
    least_output: int = 1
    """The smallest limit on output."""
    efforts: tuple[str, ...] = ()
    """Of reasoning. None: it cannot be asked for."""
    effort_in: tuple[str, ...] = ()
    """Where the effort stands in `additionalModelRequestFields`, from the outside in."""
    beside_effort: Mapping[str, Any] = field(default_factory=dict)
    """What stands beside it."""
    bare_effort: str | None = None
    """The effort beside which neither a limit on output nor sampling can be set."""
    top_k_in: tuple[str, ...] = ()
    """Where `top_k` stands there. Empty: it has none."""


_NOVA = {"schema": False, "caches_tools": False, "caches_for_an_hour": False, "top_k_in": ("inferenceConfig", "topK")}
_PREFIX = r"(?:arn:aws[a-z-]*:bedrock:[^/]*/)?(?:[a-z-]{2,6}\.)?"
_FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(_PREFIX + models), family)
    for models, family in (
        (
            r"amazon\.nova-2.*",
            Family(
                efforts=_EFFORTS,
                effort_in=("reasoningConfig", "maxReasoningEffort"),
                beside_effort={"type": "enabled"},
                bare_effort="high",
                **_NOVA,  # type: ignore[arg-type]
            ),
        ),
        (r"amazon\.nova.*", Family(**_NOVA)),  # type: ignore[arg-type]
        (r"amazon\.titan.*", Family(schema=False, forced=frozenset(), caches=False)),
        (r"ai21\..*", Family(schema=False, forced=frozenset(), caches=False)),
        (r"cohere\..*", Family(schema=False, forced=frozenset(), caches=False, top_k_in=("k",))),
        (r"deepseek\.r1.*", Family(schema=False, forced=frozenset(), caches=False)),
        (r"meta\..*", Family(schema=False, forced=frozenset(), caches=False)),
        (
            r"mistral\.(?:mistral-(?:7b|large-24|small-24)|mixtral|pixtral).*",
            Family(schema=False, forced=frozenset({"any"}), caches=False, top_k_in=("top_k",)),
        ),
        (r"moonshotai\.kimi-k3.*", Family(caches=False, least_output=16)),
        (r"openai\.gpt-oss.*", Family(caches=False, efforts=_EFFORTS, effort_in=("reasoning_effort",))),
        (
            r"openai\.gpt-\d.*",
            Family(
                caches=False,
                efforts=(*_EFFORTS, "xhigh"),
                effort_in=("reasoning", "effort"),
                samples=False,
                stops=False,
                least_output=16,
            ),
        ),
        (r"xai\..*", Family(caches=False, stops=False, least_output=16)),
        (r"[a-z0-9]+\..*", Family(caches=False)),  # cache points are for Anthropic's models and Nova
    )
)
_ANY = Family()


def family_of(model_id: str) -> Family:
    """The family of a model: by its id, with or without an inference profile's region before it, or by its ARN."""
    return next((family for models, family in _FAMILIES if models.fullmatch(model_id)), _ANY)


def placed(fields: dict[str, Any], at: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The object that `value` stands in, put into `fields` at the path."""
    inside = fields
    for name in at[:-1]:
        inside = inside.setdefault(name, {})
    inside[at[-1]] = value
    return inside
