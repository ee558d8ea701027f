"""What each of Anthropic's models takes and refuses, as their migration guides say. Kept apart from the gateway's own
table of it, which these refusals are to check.
"""

from __future__ import annotations

from typing import Any

from local.simulator.anthropic_blocks import begins_with_thought, refused

_4_5 = ("claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-5")
_4_6 = ("claude-opus-4-6", "claude-sonnet-4-6")
_NEVER_OFF = ("claude-fable-5", "claude-mythos-5", "claude-mythos-preview", "claude-opus-5-5")
_NO_FORCING = ("claude-fable-5-", "claude-mythos-5-", "claude-opus-5-5", "claude-sonnet-5-5")
_NO_SYSTEM_TURNS = (*_4_5, *_4_6, "claude-opus-4-7", "claude-mythos-preview")
EFFORTS = ("low", "medium", "high", "xhigh", "max")


def _plain(model: str) -> str:
    """The id as Anthropic has it: `us.anthropic.claude-…` at Bedrock."""
    return model[max(0, model.find("claude-")) :]


def thinking_types(model: str) -> dict[str, bool]:
    """`thinking.type` → whether the model takes it."""
    model = _plain(model)
    between = model == "claude-sonnet-5-5"
    return {
        "adaptive": not model.startswith(_4_5),
        "between_tools": between,
        "disabled": not between and not model.startswith(_NEVER_OFF),
        "enabled": model.startswith((*_4_5, *_4_6)),
    }


def efforts(model: str) -> dict[str, bool]:
    """Effort → whether the model takes it."""
    model = _plain(model)
    known = not model.startswith(_4_5) or model.startswith("claude-opus-4-5")
    newest = not model.startswith((*_4_5, *_4_6, "claude-mythos-preview"))
    most = not model.startswith(_4_5)
    return {"low": known, "medium": known, "high": known, "xhigh": known and newest, "max": known and most}


def shows_thoughts(thinking: dict[str, Any], model: str) -> bool:
    """Whether thoughts come with their words: since 4.7 only where that is asked for."""
    by_itself = "summarized" if _plain(model).startswith((*_4_5, *_4_6)) else "omitted"
    return bool((thinking.get("display") or by_itself) == "summarized")


def check(body: dict[str, Any], model: str) -> None:
    """Raise Refused for what this model does not take."""
    model = _plain(model)
    thinking = body.get("thinking") or {}
    kind, choice = thinking.get("type"), (body.get("tool_choice") or {}).get("type")
    if kind == "adaptive" and not thinking_types(model)["adaptive"]:
        raise refused("adaptive thinking is not supported on this model")
    if kind is not None and not thinking_types(model).get(kind):
        raise refused(
            f'"thinking.type.{kind}" is not supported for this model. '
            'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
    effort = (body.get("output_config") or {}).get("effort")
    if effort is not None and not efforts(model).get(effort):
        raise refused(f"output_config.effort: {effort!r} is not supported by this model")
    if not model.startswith((*_4_5, *_4_6)):
        _check_sampling(body, "is deprecated for this model.")
    elif body.get("temperature") is not None and body.get("top_p") is not None:
        raise refused("`temperature` and `top_p` cannot both be specified for this model.")
    thinks = kind in ("enabled", "adaptive")
    if thinks:
        _check_sampling(body, "may only be set to its default when thinking is enabled.")
    if choice in ("any", "tool"):
        if model.startswith(_NO_FORCING):
            raise refused("tool_choice forces tool use is not compatible with this model.")
        if thinks:
            raise refused("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "enabled" and not begins_with_thought(body["messages"]):
        raise refused("messages: Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
    if kind == "enabled" and body["messages"][-1]["role"] == "assistant":
        raise refused("messages: Expected `thinking` or `redacted_thinking`, but found `text`.")
    _check_turns(body["messages"], model)


def _check_sampling(body: dict[str, Any], why: str) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if body.get(name) not in ((None,) if name == "top_k" else (None, 1)):
            raise refused(f"`{name}` {why}")


def _check_turns(messages: list[dict[str, Any]], model: str) -> None:
    no_system = model.startswith(_NO_SYSTEM_TURNS) or model == "claude-sonnet-5"
    if no_system and any(message["role"] == "system" for message in messages):
        raise refused("messages: role 'system' is not supported on this model")
    last = messages[-1]
    if last["role"] != "assistant":
        return
    if not model.startswith(_4_5):
        raise refused("This model does not support assistant message prefill. The conversation must end with a user's.")
    text = last["content"] if isinstance(last["content"], str) else last["content"][-1].get("text", "")
    if text != text.rstrip():
        raise refused("messages: final assistant content cannot end with trailing whitespace")
