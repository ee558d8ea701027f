"""Anthropic's dialect, the way in: what the blocks of a conversation must be, each by itself and one after the other.

anthropic-sdk-python 2.11: `types/content_block_param.py`; the rules between blocks are those of the guides on tool use,
thinking, prompt caching and mid-conversation system messages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any

from local.simulator.refusals import Refusal, Refused

MAX_MARKS = 4
_SIGNING = b"the simulated vendor's own"
_AN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MARK = "cache_control"
FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "text": (frozenset({"text"}), frozenset({_MARK, "citations"})),
    "image": (frozenset({"source"}), frozenset({_MARK, "transformations"})),
    "document": (frozenset({"source"}), frozenset({_MARK, "citations", "context", "title"})),
    "search_result": (frozenset({"content", "source", "title"}), frozenset({_MARK, "citations"})),
    "thinking": (frozenset({"thinking", "signature"}), frozenset()),
    "redacted_thinking": (frozenset({"data"}), frozenset()),
    "tool_use": (frozenset({"id", "name", "input"}), frozenset({_MARK, "caller", "toolset_name"})),
    "tool_result": (frozenset({"tool_use_id"}), frozenset({_MARK, "content", "is_error", "toolset_name"})),
}
"""Block → the fields it must have, and those it may have. Those of hosted tools are not looked into."""
ASSISTANTS = frozenset({"thinking", "redacted_thinking", "tool_use"})
USERS = frozenset({"image", "document", "search_result", "tool_result"})
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
SOURCES = {"image": ("base64", "url", "file"), "document": ("base64", "text", "content", "url", "file")}


def refused(message: str) -> Refused:
    """A 400 in the dialect's form."""
    return Refused(Refusal(400, "invalid_request_error", message))


def signature_of(thought: str) -> str:
    """What proves a thought to be the model's own: 172 characters."""
    digest = hashlib.sha512(thought.encode()).digest()
    return base64.b64encode(digest + hmac.digest(_SIGNING, digest, "sha512")).decode()


def is_signature(value: Any, thought: str | None = None) -> bool:
    """Whether it was made here; of this thought, where one is given."""
    try:
        signed = base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return False
    digest, proof = signed[:64], signed[64:]
    genuine = hmac.compare_digest(hmac.digest(_SIGNING, digest, "sha512"), proof)
    return genuine and (not thought or hashlib.sha512(thought.encode()).digest() == digest)


def check_content(where: str, role: str, content: Any) -> None:
    """Raise Refused for the content of a message that the vendor would refuse."""
    if content is None:
        raise refused(f"{where}: Field required")
    if not isinstance(content, str | list):
        raise refused(f"{where}: Input should be a valid list")
    for index, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise refused(f"{where}.{index}: Unable to extract tag using discriminator 'type'")
        _check_block(f"{where}.{index}", role, block)


def _check_block(where: str, role: str, block: dict[str, Any]) -> None:
    kind = block["type"]
    if kind not in FIELDS:
        return
    needed, further = FIELDS[kind]
    for name in sorted(needed - block.keys()):
        raise refused(f"{where}.{kind}.{name}: Field required")
    for name in sorted(block.keys() - needed - further - {"type"}):
        raise refused(f"{where}.{kind}.{name}: Extra inputs are not permitted")
    if (kind in ASSISTANTS and role != "assistant") or (kind in USERS and role != "user"):
        raise refused(f"{where}: `{kind}` blocks are not allowed in `{role}` messages")
    if role == "system" and kind != "text":
        raise refused(f"{where}: system messages take text blocks alone")
    match kind:
        case "text":
            if not isinstance(block["text"], str) or not block["text"].strip():
                raise refused("messages: text content blocks must be non-empty")
        case "image" | "document":
            _check_source(f"{where}.{kind}.source", kind, block["source"])
        case "thinking":
            if not is_signature(block["signature"], block["thinking"]):
                raise refused(f"{where}: Invalid `signature` in `thinking` block")
        case "redacted_thinking":
            if not is_signature(block["data"]):
                raise refused(f"{where}: Invalid `data` in `redacted_thinking` block")
        case "tool_use":
            if not isinstance(block["id"], str) or not _AN_ID.fullmatch(block["id"]):
                raise refused(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            if not isinstance(block["input"], dict):
                raise refused(f"{where}.tool_use.input: Input should be a valid dictionary")
        case "tool_result":
            if block.get("content") is not None:
                check_content(f"{where}.tool_result.content", "user", block["content"])


def _check_source(where: str, kind: str, source: Any) -> None:
    if not isinstance(source, dict) or source.get("type") not in SOURCES[kind]:
        raise refused(f"{where}: Input tag found does not match any of the expected tags: {', '.join(SOURCES[kind])}")
    if source["type"] != "base64":
        return
    allowed = IMAGES if kind == "image" else ("application/pdf",)
    if source.get("media_type") not in allowed:
        raise refused(f"{where}.base64.media_type: Input should be {', '.join(repr(each) for each in allowed)}")
    try:
        base64.b64decode(source.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise refused(f"{where}.base64.data: The data is not valid base64") from None


def check_order(messages: list[dict[str, Any]]) -> None:
    """Raise Refused where calls and results do not answer each other, or a turn of the system's stands wrong."""
    joined = _joined(messages)
    ids = [block["id"] for _, _, blocks in joined for block in blocks if block["type"] == "tool_use"]
    if len(ids) != len(set(ids)):
        raise refused("messages: `tool_use` ids must be unique")
    for place, (index, role, blocks) in enumerate(joined):
        after = joined[place + 1] if place + 1 < len(joined) else None
        before = joined[place - 1] if place else None
        if role == "system":
            if before is None or before[1] != "user" or (after is not None and after[1] != "assistant"):
                raise refused(f"messages.{index}: a system message must follow a user's, and precede an assistant's")
            continue
        called = {block["id"] for block in blocks if block["type"] == "tool_use"}
        given = {block["tool_use_id"] for block in (after[2] if after else ()) if block["type"] == "tool_result"}
        if after is not None and called - given:
            raise refused(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(sorted(called - given))}."
            )
        _check_results(index, blocks, before[2] if before else [])


def _check_results(index: int, blocks: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    asked = {block["id"] for block in before if block["type"] == "tool_use"}
    others = False
    for at, block in enumerate(blocks):
        if block["type"] != "tool_result":
            others = True
            continue
        if block["tool_use_id"] not in asked:
            raise refused(
                f"messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{block['tool_use_id']}."
            )
        if others:
            raise refused(f"messages.{index}.content.{at}: `tool_result` blocks must come first in a user's message")


def check_marks(body: dict[str, Any]) -> None:
    """Raise Refused for more breakpoints than the cache has."""
    found = int(body.get(_MARK) is not None) + sum(1 for block in _all_blocks(body) if block.get(_MARK) is not None)
    if found > MAX_MARKS:
        raise refused(f"A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {found}.")


def begins_with_thought(messages: list[dict[str, Any]]) -> bool:
    """Whether a turn that still waits for its results begins with a thought, as thinking with a budget wants it."""
    joined = [each for each in _joined(messages) if each[1] == "assistant"]
    last = _joined(messages)[-1]
    if not joined or not any(block["type"] == "tool_result" for block in last[2]):
        return True
    return joined[-1][2][0]["type"] in ("thinking", "redacted_thinking")


def _joined(messages: list[dict[str, Any]]) -> list[tuple[int, str, list[dict[str, Any]]]]:
    """Neighbours of one role as the one turn they are to the model: (index of the first, role, blocks)."""
    joined: list[tuple[int, str, list[dict[str, Any]]]] = []
    for index, message in enumerate(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if joined and joined[-1][1] == message["role"]:
            joined[-1][2].extend(blocks)
        else:
            joined.append((index, message["role"], list(blocks)))
    return joined


def _all_blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from body.get("tools") or ()
    for holder in ({"content": body.get("system") or ()}, *body["messages"]):
        for block in holder["content"] if isinstance(holder["content"], list) else ():
            yield block
            inner = block.get("content")
            yield from (each for each in inner if isinstance(each, dict)) if isinstance(inner, list) else ()
