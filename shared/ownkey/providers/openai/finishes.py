"""Why a completion is over: OpenAI's words, and those that compatible providers use instead.

OpenAI's from openai-python 3.52, `types/chat/chat_completion.py`; the others from the providers' own references:
Mistral (`model_length`, `error`), Z.ai (`sensitive`, `model_context_window_exceeded`, `network_error`), DeepSeek
(`insufficient_system_resource`), vLLM and TGI (`eos_token`, `stop_sequence`, `abort`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ownkey.providers.crossing.answer import Finish

FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Native words for an answer that the provider could not go on with: a failure, not an end."""

_FINISHES: Mapping[str, Finish] = {
    "stop": Finish.END,
    "eos": Finish.END,
    "eos_token": Finish.END,
    "end_turn": Finish.END,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.CONTEXT_WINDOW,
    "model_context_window_exceeded": Finish.CONTEXT_WINDOW,
    "tool_calls": Finish.TOOL_USE,
    "tool_use": Finish.TOOL_USE,
    "function_call": Finish.TOOL_USE,
    "content_filter": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER,
    "refusal": Finish.REFUSAL,
}

_WORDS: Mapping[Finish, str] = {
    Finish.END: "stop",
    Finish.LENGTH: "length",
    Finish.STOP_SEQUENCE: "stop",
    Finish.TOOL_USE: "tool_calls",
    Finish.REFUSAL: "content_filter",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.CONTEXT_WINDOW: "length",
    Finish.PAUSE: "stop",
    Finish.OTHER: "stop",
}


def read_finish(native: str | None, *, called: bool, refused: bool) -> Finish:
    """What a `finish_reason` means.

    Args:
        called: The answer calls tools. OpenAI ends a call of the one tool that had to be called with `stop`, and some
            compatible providers any call; others say of a plain text that it calls.
        refused: It has a refusal, which OpenAI ends with `stop`.
    """
    finish = _FINISHES.get(native, Finish.OTHER) if native else Finish.END
    if called and finish in (Finish.END, Finish.OTHER):
        return Finish.TOOL_USE
    if not called and finish is Finish.TOOL_USE:
        finish = Finish.END
    return Finish.REFUSAL if refused and finish is Finish.END else finish


def write_finish(finish: Finish, *, refused: bool = False) -> str:
    """The `finish_reason` of an answer, one of OpenAI's five words.

    Args:
        refused: The answer has the refusal's words: OpenAI then says `stop`.
    """
    return "stop" if refused and finish is Finish.REFUSAL else _WORDS[finish]
