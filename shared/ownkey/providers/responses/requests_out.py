"""A conversation as a request of OpenAI's Responses: the whole of it, nothing stored.

openai-python 3.52: `types/responses/response_create_params.py`, `tool_param.py`, `response_text_config_param.py`.
"""

from __future__ import annotations

from typing import Any

from ownkey.catalog import Model
from ownkey.providers.crossing import Conversation, Drops, Reasoning
from ownkey.providers.crossing.effort import room_of
from ownkey.providers.openai.identifiers import sent_user
from ownkey.providers.openai.schemas import fits_strict
from ownkey.providers.responses.efforts import effort_for
from ownkey.providers.responses.items_out import Items
from ownkey.providers.responses.passthrough import ENCRYPTED
from ownkey.providers.responses.tools_out import tools_for
from ownkey.providers.responses.words import LOGPROBS

Members = dict[str, Any]

_LEAST_OUTPUT = 16
_MAX_METADATA = 16
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_VERBOSITIES = frozenset({"low", "medium", "high"})


def write_request(conversation: Conversation, model_id: str, model: Model | None, drops: Drops) -> Members:
    """The request's members, all but the model.

    Raises:
        UnsupportedParameter: something cannot be said, and may not be left out.
    """
    reasons = model is None or "reasoning" in model.capabilities
    _refuse_and_drop(conversation, drops)
    members: Members = {"input": Items(conversation, drops).all(), "store": False}
    instructions = "\n\n".join(text.text for text in conversation.system)
    if any(text.cache is not None for text in conversation.system) or conversation.cache is not None:
        drops.drop("cache")
    if not members["input"]:  # the API wants a word
        members["input"] = [{"role": "developer", "content": instructions}]
    elif instructions:
        members["instructions"] = instructions
    reasoning = conversation.reasoning if reasons else None
    if conversation.reasoning is not None and not reasons and not conversation.reasoning.off:
        drops.drop("reasoning")
    members |= _reasoning(reasoning, model_id, room_of(conversation, model))
    include = [ENCRYPTED] if reasons and (model is not None or reasoning is not None) else []
    if conversation.logprobs:
        include.append(LOGPROBS)
        members["top_logprobs"] = conversation.top_logprobs or 0
    if include:
        members["include"] = include
    members |= tools_for(conversation, drops)
    members |= _text(conversation, drops)
    members |= _sampling(conversation, model, drops)
    members |= _rest(conversation, drops)
    return members


def _refuse_and_drop(conversation: Conversation, drops: Drops) -> None:
    if (conversation.choices or 1) > 1:
        raise drops.refusal("choices", "it gives one answer")
    drops.drop_given(
        {
            "top_k": conversation.top_k,
            "seed": conversation.seed,
            "presence_penalty": conversation.presence_penalty or None,
            "frequency_penalty": conversation.frequency_penalty or None,
            "logit_bias": conversation.logit_bias,
        }
    )
    if conversation.top_logprobs is not None and not conversation.logprobs:
        drops.drop("top_logprobs")
    for name in conversation.others:
        drops.drop(name)


def _reasoning(reasoning: Reasoning | None, model_id: str, room: int) -> Members:
    if reasoning is None:
        return {}
    effort = effort_for(reasoning, model_id, room)
    # Who asks for thinking itself, not for an effort alone, is shown it by the APIs that have such a wish.
    thinking = reasoning.adaptive or reasoning.budget_tokens is not None
    shown = reasoning.summary or ("auto" if reasoning.visible or (reasoning.visible is None and thinking) else None)
    wanted = {"effort": effort, "summary": None if reasoning.off else shown}
    said = {name: value for name, value in wanted.items() if value is not None}
    return {"reasoning": said} if said else {}


def _text(conversation: Conversation, drops: Drops) -> Members:
    output, text = conversation.output, dict[str, Any]()
    if output is not None and output.schema is None:
        text["format"] = {"type": "json_object"}
    elif output is not None:
        strict = output.strict
        if strict and not fits_strict(output.schema):  # refused as a strict one, followed as any other
            drops.drop("output.strict")
            strict = False
        described = {"description": output.description} if output.description else {}
        held = {"strict": strict} if strict is not None else {}
        text["format"] = {"type": "json_schema", "name": output.name, **described, "schema": output.schema, **held}
    if conversation.verbosity in _VERBOSITIES:
        text["verbosity"] = conversation.verbosity
    elif conversation.verbosity is not None:
        drops.drop("verbosity")
    return {"text": text} if text else {}


def _sampling(conversation: Conversation, model: Model | None, drops: Drops) -> Members:
    """Models that reason refuse to be tuned so."""
    given = {"temperature": conversation.temperature, "top_p": conversation.top_p}
    if model is not None and "reasoning" in model.capabilities:
        drops.drop_given({name: value for name, value in given.items() if value != 1})
        return {}
    most = {"temperature": 2, "top_p": 1}
    return {name: min(most[name], max(0, value)) for name, value in given.items() if value is not None}


def _rest(conversation: Conversation, drops: Drops) -> Members:
    members: Members = {}
    if conversation.max_output_tokens is not None:
        members["max_output_tokens"] = max(_LEAST_OUTPUT, conversation.max_output_tokens)
    if conversation.service_tier in _TIERS:
        members["service_tier"] = conversation.service_tier
    elif conversation.service_tier is not None:
        drops.drop("service_tier")
    if conversation.metadata:
        texts = all(isinstance(value, str) for value in conversation.metadata.values())
        if texts and len(conversation.metadata) <= _MAX_METADATA:
            members["metadata"] = dict(conversation.metadata)
        else:
            drops.drop("metadata")
    if conversation.cache_key is not None:
        members["prompt_cache_key"] = conversation.cache_key
    if conversation.user is not None:
        members["safety_identifier"] = sent_user(conversation.user)
    if conversation.stream:
        members["stream"] = True
    return members
