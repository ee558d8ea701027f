"""A conversation as Converse has it.

Shapes from botocore 1.44, `bedrock-runtime`: ConverseRequest, ConverseStreamRequest, ConverseTokensRequest.

A system message between turns is said by the user, and marked: few models take the role `system` there. A request
without tools whose turns have calls of some names these anew: Converse refuses calls without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.catalog import Model
from ownkey.providers.bedrock.families import Family, family_of, placed
from ownkey.providers.bedrock.names import keep_names
from ownkey.providers.bedrock.parts import Block, PartWriter
from ownkey.providers.bedrock.tools import text_format, tool_config
from ownkey.providers.crossing import Conversation, Drops, Role
from ownkey.providers.crossing.effort import effort_of, room_of
from ownkey.providers.translator import Call

_TIERS: Mapping[str, str | None] = {
    "auto": None,
    "standard": "default",
    "standard_only": "default",
    "default": "default",
    "flex": "flex",
    "priority": "priority",
}
"""A client's word for the tier → Bedrock's; None: as it does by itself."""
_NOTHING_SAID = "(no message)"
"""The user's, before an assistant that speaks first, with a greeting or where a longer conversation was cut: "A
conversation must start with a user message" (deepgram-python-sdk 760, strands-agents/harness-sdk 2085)."""
CUT_AT = "bedrock.stops"
"""In `Call.kept`: the stop sequences that the model does not take."""
_TUNES = (
    *("seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_logprobs", "verbosity"),
    *("user", "metadata", "cache_key"),
)
"""Fields of a conversation that only tune it, and that Converse has no place for."""


def write(call: Call, conversation: Conversation, drops: Drops) -> dict[str, Any]:
    """The members of the request's body.

    Raises:
        InvalidParameter: what the client sent cannot be read as what it should be.
        UnsupportedParameter: something cannot be said, and may not be left out.
    """
    family = family_of(call.model_id)
    keep_names(call, conversation)
    body = write_prompt(call, conversation, family, drops)
    fields: dict[str, Any] = {}
    bare = _reasoning(call, conversation, family, fields, drops)
    inference = _inference(call, conversation, family, drops, bare=bare)
    _top_k(conversation, family, fields, drops)
    if held := text_format(conversation, family, drops):
        body["outputConfig"] = {"textFormat": held}
    if inference:
        body["inferenceConfig"] = inference
    if fields:
        body["additionalModelRequestFields"] = fields
    if tier := _tier(call, conversation, drops):
        body["serviceTier"] = {"type": tier}
    _leave_out(conversation, drops)
    return body


def write_prompt(call: Call, conversation: Conversation, family: Family, drops: Drops) -> dict[str, Any]:
    """What is read by the model: all that is counted."""
    parts = PartWriter(conversation, family, drops)
    system: list[Block] = [block for text in conversation.system for block in parts.blocks((text,))]
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        if turn.name is not None:
            drops.drop("messages.name")
        role, blocks = turn.role, parts.blocks(turn.parts)
        if role is Role.SYSTEM:
            role, blocks = Role.USER, [_as_user(block) for block in blocks]
        if messages and messages[-1]["role"] == role.value:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role.value, "content": blocks})
    for message in messages:  # neighbours were joined: the results of tools come first
        message["content"].sort(key=lambda block: "toolResult" not in block)
    if not messages and system:
        messages, system = [{"role": "user", "content": system}], []
    if messages and messages[0]["role"] != Role.USER.value:
        messages.insert(0, {"role": "user", "content": [{"text": _NOTHING_SAID}]})
    if messages and "cachePoint" not in messages[-1]["content"][-1]:
        messages[-1]["content"] += parts.cache_point(conversation.cache)
    tools = tool_config(call, conversation, family, parts, drops)
    return {
        "messages": messages,
        **({"system": system} if system else {}),
        **({"toolConfig": tools} if tools else {}),
    }


def _as_user(block: Block) -> Block:
    return {"text": f"<system>\n{block['text']}\n</system>"} if "text" in block else block


# ── Wishes


def _inference(call: Call, conversation: Conversation, family: Family, drops: Drops, *, bare: bool) -> dict[str, Any]:
    """`inferenceConfig`; sampling within Converse's 0 … 1, the limit within the model's.

    Args:
        bare: Nothing of it can be said beside the reasoning that is asked for.
    """
    samples = family.samples and not bare
    if not samples:
        drops.drop_given({"temperature": conversation.temperature, "top_p": conversation.top_p})
    sampling = {"temperature": conversation.temperature, "topP": conversation.top_p} if samples else {}
    stops = list(filter(None, conversation.stop))
    call.kept[CUT_AT] = [] if family.stops else stops
    stated = {
        "maxTokens": _limit(conversation.max_output_tokens, call.model, family.least_output),
        **{name: None if value is None else min(max(value, 0), 1) for name, value in sampling.items()},
        "stopSequences": (stops if family.stops else None) or None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _limit(asked: int | None, model: Model | None, least: int) -> int | None:
    if asked is None:
        return None
    most = model.max_output if model is not None else None
    return max(asked if most is None else min(asked, most), least)


def _reasoning(call: Call, conversation: Conversation, family: Family, fields: dict[str, Any], drops: Drops) -> bool:
    """Asks for reasoning as the family has it; whether sampling cannot be said beside it."""
    wish = conversation.reasoning
    if wish is None:
        return False
    if not family.efforts:
        if not wish.off:
            drops.drop("reasoning")
        return False
    if wish.off:
        if not family.beside_effort:
            drops.drop("reasoning")
        return False
    efforts = family.efforts
    if conversation.max_output_tokens is not None:
        efforts = tuple(effort for effort in efforts if effort != family.bare_effort)
    effort = effort_of(wish, room_of(conversation, call.model), efforts) or "medium"
    placed(fields, family.effort_in, effort).update(family.beside_effort)
    return effort == family.bare_effort


def _top_k(conversation: Conversation, family: Family, fields: dict[str, Any], drops: Drops) -> None:
    if conversation.top_k is None:
        return
    if family.top_k_in:
        placed(fields, family.top_k_in, conversation.top_k)
    else:
        drops.drop("top_k")


def _tier(call: Call, conversation: Conversation, drops: Drops) -> str | None:
    """Bedrock's name of the tier. One that the model's known prices do not have is not asked for: its cost would be
    told, and charged, wrongly."""
    stated = conversation.service_tier
    if stated is None:
        return None
    tier = _TIERS.get(stated)
    prices = call.model.prices if call.model else None
    unpriced = tier not in (None, "default") and prices is not None and tier not in prices.service_tiers
    if stated not in _TIERS or unpriced:
        drops.drop("service_tier")
        return None
    return tier


def _leave_out(conversation: Conversation, drops: Drops) -> None:
    """What Converse has no place for."""
    if conversation.choices not in (None, 1):
        raise drops.refusal("choices", "it gives one answer")
    if conversation.logprobs:
        raise drops.refusal("logprobs", "it tells no log probabilities")
    drops.drop_given({name: getattr(conversation, name) for name in _TUNES})
    for name in conversation.others:
        drops.drop(name)
