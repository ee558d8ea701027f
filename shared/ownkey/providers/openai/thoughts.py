"""Thinking in chat completions, which OpenAI's own do not show: `reasoning_details`, as OpenRouter has them.

```
{"type": "reasoning.text", "text": "…", "signature": "…" | null, "format": "anthropic-claude-v1", "index": 0}
{"type": "reasoning.encrypted", "data": "…", "format": "google-gemini-v1", "id": "call_1", "index": 1}
{"type": "reasoning.summary", "summary": "…", "format": "openai-responses-v1", "index": 0}
```

From OpenRouter's documentation of reasoning tokens. In a stream the items of one `index` are pieces of one; `id` of an
encrypted item is the call whose signature it is, or the item's own.

A call's signature stands on the call, too, as Google's own chat completions have it (its page on thought signatures):
some clients give back that alone.

```
{"id": "call_1", "type": "function", "function": {…}, "extra_content": {"google": {"thought_signature": "…"}}}
```
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ownkey.providers.counts import member, string
from ownkey.providers.crossing.conversation import Format, RedactedThinking, Thinking

DETAILS = "reasoning_details"
TEXT, SUMMARY, ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"
_EXTRA, _SIGNATURE = "extra_content", "thought_signature"
_OF_GOOGLE = ("google", "vertex")
_UNKNOWN = "unknown"
"""OpenRouter's word where it does not know whose it is."""


def detail_of(thought: Thinking | RedactedThinking, index: int) -> dict[str, Any]:
    """A whole thought as an item of `reasoning_details`."""
    if isinstance(thought, RedactedThinking):
        id_ = thought.tool_use_id or thought.id
        item = {"type": ENCRYPTED, "data": thought.data, "format": thought.format, "index": index}
        return item | ({"id": id_} if id_ else {})
    return text_detail(index, thought.text, thought.signature, thought.format, thought.id)


def text_detail(
    index: int, text: str, signature: str | None = None, format: str | None = None, id_: str | None = None
) -> dict[str, Any]:
    """An item with words, or with a further piece of them."""
    item: dict[str, Any] = {"type": TEXT, "text": text, "index": index}
    given = {"signature": signature, "format": format, "id": id_}
    return item | {name: value for name, value in given.items() if value is not None}


def on_call(thought: RedactedThinking | None) -> dict[str, Any]:
    """The members of a call that this is the signature of; none where it is not Google's."""
    if thought is None or thought.format != Format.GEMINI:
        return {}
    return {_EXTRA: {_OF_GOOGLE[0]: {_SIGNATURE: thought.data}}}


def on_read_call(call: Mapping[str, Any], id_: str) -> RedactedThinking | None:
    """The signature that a call has on it."""
    extra = member(call, _EXTRA)
    found = next(filter(None, (string(member(extra, each).get(_SIGNATURE)) for each in _OF_GOOGLE)), None)
    return RedactedThinking(found, Format.GEMINI, tool_use_id=id_) if found else None


def thoughts_of(items: Iterable[Any], call_ids: Collection[str] = ()) -> list[Thinking | RedactedThinking]:
    """The thoughts that the items make, whether pieces of a stream were put together or not. What is none is left out.

    Args:
        call_ids: The calls of the same message.
    """
    thoughts: list[Thinking | RedactedThinking] = []
    last: Any = None
    for item in items:
        if not isinstance(item, dict):
            continue
        thought, index = thought_of(item, call_ids), item.get("index")
        if thought is None:
            continue
        before = thoughts[-1] if thoughts and index is not None and index == last else None
        if isinstance(before, Thinking) and isinstance(thought, Thinking):
            thoughts[-1] = replace(
                before,
                text=before.text + thought.text,
                signature=thought.signature or before.signature,
                format=thought.format or before.format,
                id=before.id or thought.id,
            )
        else:
            thoughts.append(thought)
        last = index
    return thoughts


def thought_of(item: Mapping[str, Any], call_ids: Collection[str] = ()) -> Thinking | RedactedThinking | None:
    """What one item says; None: nothing that is known here."""
    kind, id_ = item.get("type"), string(item.get("id"))
    format = string(item.get("format"))
    format = None if format == _UNKNOWN else format
    if kind == ENCRYPTED:
        data = string(item.get("data"))
        of_call = id_ if id_ in call_ids else None
        return RedactedThinking(data, format or _UNKNOWN, None if of_call else id_, of_call) if data else None
    if kind not in (TEXT, SUMMARY):
        return None
    text = string(item.get("text" if kind == TEXT else "summary"))
    signature = string(item.get("signature"))
    return Thinking(text or "", signature, format, id_) if text or signature else None
