"""A conversation as a request of Anthropic's messages.

anthropic-sdk-python 2.11: `types/message_create_params.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ownkey.catalog import Model
from ownkey.providers.anthropic.blocks_out import MAX_MARKS, Block, Blocks, Marks, mark_of
from ownkey.providers.anthropic.claude import Abilities
from ownkey.providers.anthropic.thinking_out import Thought, thought_for
from ownkey.providers.anthropic.tools_out import choice_for, output_for, tools_for
from ownkey.providers.crossing import Conversation, Drops, Role, Turn

DEFAULT_MAX_TOKENS = 4_096
"""The API demands a limit. Where the client has none it is the model's own; this, where the catalog has none either."""
_SERVICE_TIERS: Mapping[str, str] = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
"""The client's word, OpenAI's or Anthropic's → Anthropic's. Other tiers it sells by other means, or not at all."""
_MAX_USER_CHARS = 256
_A_PERSON = re.compile(r"@|^\+?[\d\s().-]{7,}$")
"""What Anthropic takes, or may take, for an e-mail address or a telephone number."""


class Written(NamedTuple):
    """A request's members, all but the model."""

    members: dict[str, Any]
    emulated: str | None
    """The tool whose call is the answer's text."""


def write_request(conversation: Conversation, abilities: Abilities, model: Model | None, drops: Drops) -> Written:
    """The request.

    Raises:
        UnsupportedParameter: something cannot be said, and may not be left out.
    """
    _refuse_and_drop(conversation, drops)
    max_tokens = max_tokens_for(conversation, model)
    output = output_for(conversation, abilities, drops)
    choice = choice_for(conversation, abilities, drops)
    forced = output.tool is not None or (choice is not None and choice["type"] in ("any", "tool"))
    thought = thought_for(conversation, abilities, max_tokens, forced, drops)

    marks = Marks(drops, MAX_MARKS - (conversation.cache is not None))
    tools = tools_for(conversation, abilities, marks, drops)
    system = Blocks(drops, marks).of(conversation.system)
    messages = _messages(conversation.turns, abilities, Blocks(drops, marks), drops)
    if not messages:  # the API wants a word from the user
        messages, system = [{"role": "user", "content": system}], []

    members: dict[str, Any] = {"max_tokens": max_tokens, "messages": [_shortened(each) for each in messages]}
    if system:
        members["system"] = _plain_or(system)
    if output.tool is not None:
        members |= {"tools": [output.tool], "tool_choice": {"type": "tool", "name": output.tool["name"]}}
    elif tools:
        members["tools"] = tools
        if choice is not None:
            members["tool_choice"] = choice
    members |= _output_config(output.format, thought)
    members |= _sampling(conversation, abilities, thought, drops)
    members |= _rest(conversation, drops)
    if conversation.stream:
        members["stream"] = True
    return Written(members, output.tool["name"] if output.tool else None)


def max_tokens_for(conversation: Conversation, model: Model | None) -> int:
    """The client's limit, within the model's; else the model's own."""
    most = model.max_output if model is not None else None
    asked = conversation.max_output_tokens
    if asked is None:
        return most or DEFAULT_MAX_TOKENS
    return min(asked, most) if most else asked


def _refuse_and_drop(conversation: Conversation, drops: Drops) -> None:
    if (conversation.choices or 1) > 1:
        raise drops.refusal("choices", "it gives one answer")
    if conversation.logprobs:
        raise drops.refusal("logprobs", "it tells none")
    drops.drop_given(
        {
            "top_logprobs": conversation.top_logprobs,
            "seed": conversation.seed,
            "presence_penalty": conversation.presence_penalty or None,
            "frequency_penalty": conversation.frequency_penalty or None,
            "logit_bias": conversation.logit_bias,
            "verbosity": conversation.verbosity,
            "metadata": conversation.metadata,
            "cache_key": conversation.cache_key,
        }
    )
    for name in conversation.others:
        drops.drop(name)


def _messages(turns: tuple[Turn, ...], abilities: Abilities, blocks: Blocks, drops: Drops) -> list[dict[str, Any]]:
    """Turns that alternate: neighbours of one role are one, and in it the results of tools come first."""
    if any(turn.name for turn in turns):
        drops.drop("messages.name")
    written = [(turn.role, blocks.of(turn.parts)) for turn in turns]
    written = [(role, content) for role, content in written if content]
    joined: list[tuple[Role, list[Block]]] = []
    for at, (role, content) in enumerate(written):
        if role is Role.SYSTEM and not (abilities.system_turns and _stands_well(joined, written[at + 1 :])):
            # Where it cannot stand as what it is, its words still must stand in their place.
            role, content = Role.USER, [_as_user(block) for block in content]
        if joined and joined[-1][0] is role:
            joined[-1][1].extend(content)
        else:
            joined.append((role, content))
    if joined and joined[-1][0] is Role.ASSISTANT:
        if not abilities.prefill:
            raise drops.refusal("messages", "this model does not go on from an assistant's turn")
        _trim_end(joined[-1][1])
    return [{"role": role.value, "content": _results_first(content)} for role, content in joined]


def _stands_well(before: list[tuple[Role, list[Block]]], after: list[tuple[Role, list[Block]]]) -> bool:
    """Whether a turn of the system's is where the API lets one be: after the user's, before the assistant's."""
    return bool(before) and before[-1][0] is Role.USER and (not after or after[0][0] is Role.ASSISTANT)


def _as_user(block: Block) -> Block:
    return {**block, "text": f"<system>\n{block['text']}\n</system>"} if block["type"] == "text" else block


def _results_first(content: list[Block]) -> list[Block]:
    return sorted(content, key=lambda block: block["type"] != "tool_result")


def _trim_end(content: list[Block]) -> None:
    """White space at the end of a text to go on from is refused."""
    if content[-1]["type"] == "text":
        content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "content": _plain_or(message["content"])}


def _plain_or(content: list[Block]) -> str | list[Block]:
    plain = len(content) == 1 and content[0].keys() == {"type", "text"}
    return str(content[0]["text"]) if plain else content


def _output_config(format: dict[str, Any] | None, thought: Thought) -> dict[str, Any]:
    members: dict[str, Any] = {"thinking": thought.thinking} if thought.thinking else {}
    config = {"format": format, "effort": thought.effort}
    config = {name: value for name, value in config.items() if value is not None}
    return members | ({"output_config": config} if config else {})


def _sampling(conversation: Conversation, abilities: Abilities, thought: Thought, drops: Drops) -> dict[str, Any]:
    given: dict[str, Any] = {
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "top_k": conversation.top_k,
    }
    if not abilities.sampling or thought.thinks:
        drops.drop_given({name: value for name, value in given.items() if not (name != "top_k" and value == 1)})
        return {}
    if given["temperature"] is not None and given["top_p"] is not None and not abilities.temperature_and_top_p:
        if given["top_p"] != 1:
            drops.drop("top_p")
        given["top_p"] = None
    if given["temperature"] is not None:
        given["temperature"] = min(1, max(0, given["temperature"]))
    if given["top_p"] is not None:
        given["top_p"] = min(1, max(0, given["top_p"]))
    return {name: value for name, value in given.items() if value is not None}


def _rest(conversation: Conversation, drops: Drops) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if conversation.stop:
        if not all(stop.strip() for stop in conversation.stop):
            raise drops.refusal("stop", "it does not stop at white space alone")
        members["stop_sequences"] = list(conversation.stop)
    tier = _SERVICE_TIERS.get(conversation.service_tier or "")
    if tier:
        members["service_tier"] = tier
    elif conversation.service_tier:
        drops.drop("service_tier")
    if conversation.user:
        members["metadata"] = {"user_id": _user_id(conversation.user)}
    if conversation.cache is not None:
        members["cache_control"] = mark_of(conversation.cache)
    return members


def _user_id(user: str) -> str:
    """The API refuses an e-mail address or a telephone number, and is to be told a hash instead."""
    if len(user) <= _MAX_USER_CHARS and not _A_PERSON.search(user):
        return user
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
