"""Converse's answer, whole, and what it shares with a stream: why it ended, what was used.

Shapes from botocore 1.44, `bedrock-runtime`: ConverseResponse, StopReason, TokenUsage, CitationsContentBlock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ownkey.domain.errors import ProviderInvalidResponse
from ownkey.domain.usage import Terms, Usage
from ownkey.providers.bedrock.names import own_name
from ownkey.providers.bedrock.tools import answer_tool
from ownkey.providers.counts import count, member, string, tells
from ownkey.providers.crossing import (
    Answer,
    AnswerPart,
    Citation,
    Finish,
    Format,
    RedactedThinking,
    Text,
    Thinking,
    ToolUse,
)
from ownkey.providers.failures import came_to_nothing
from ownkey.providers.passthrough import parsed_answer
from ownkey.providers.translator import Call

FINISHES: Mapping[str, Finish] = {
    "end_turn": Finish.END,
    "tool_use": Finish.TOOL_USE,
    "max_tokens": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "model_context_window_exceeded": Finish.CONTEXT_WINDOW,
}
"""`stopReason` → why. A word that is not here is `Finish.OTHER`."""
_FAILED = ("malformed_model_output", "malformed_tool_use")


def read(call: Call, body: bytes) -> Answer:
    """A whole answer.

    Raises:
        ProviderFailure: it is none.
    """
    values = parsed_answer(body).values
    content = member(member(values, "output"), "message").get("content")
    stop = string(values.get("stopReason"))
    if not isinstance(content, list) or stop is None:
        raise ProviderInvalidResponse("The provider's answer is no message: it has no content, or no end.")
    tool = answer_tool(call)
    parts = [_named(part, call) for block in content if isinstance(block, dict) for part in _parts(block, tool)]
    return Answer(
        parts=tuple(parts),
        finish=finish_of(stop, tool),
        id=answer_id(call),
        model=call.model_id,
        native_finish=stop,
        usage=read_usage(member(values, "usage")),
        terms=read_terms(values),
    )


def finish_of(stop: str, tool: str | None) -> Finish:
    """Why an answer ended. Where a tool stands for the answer, its call is the answer's end.

    Raises:
        ProviderInvalidResponse: the model went wrong.
    """
    if stop in _FAILED:
        raise came_to_nothing(stop)
    finish = FINISHES.get(stop, Finish.OTHER)
    return Finish.END if tool is not None and finish is Finish.TOOL_USE else finish


def answer_id(call: Call) -> str:
    """Converse gives its answers no id: one made of the request, so that a stream's is its whole twin's."""
    about = f"{call.provider.id} {call.model_id} {call.asked_at_s} ".encode()
    return f"converse-{hashlib.sha256(about + call.body.raw).hexdigest()[:24]}"


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """What the cache was read and written for comes on top of `inputTokens` (AWS's guide on prompt caching), unless
    `totalTokens` says that it is part of it. Reasoning is not told apart from output. None: it tells nothing that can
    be leaned on.
    """
    if not tells(usage, "inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"):
        return None
    given, output = count(usage, "inputTokens"), count(usage, "outputTokens")
    read_from, written = count(usage, "cacheReadInputTokens"), count(usage, "cacheWriteInputTokens")
    cached = read_from + written
    if cached <= given and count(usage, "totalTokens") == given + output:
        given -= cached
    details = usage.get("cacheDetails")
    listed = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    for_an_hour = min(sum(count(each, "inputTokens") for each in listed if each.get("ttl") == "1h"), written)
    return Usage(
        input=given,
        cache_read=read_from,
        cache_write_5m=written - for_an_hour,
        cache_write_1h=for_an_hour,
        output=output,
    )


def read_terms(values: Mapping[str, Any]) -> Terms:
    """The tier that served."""
    return Terms(service_tier=string(member(values, "serviceTier").get("type")))


def read_citation(values: Mapping[str, Any]) -> Citation:
    """A citation, of an answer's block or of a delta."""
    location = member(values, "location")
    web = member(location, "web")
    place = next((dict(each) for each in location.values() if isinstance(each, dict)), {}) if not web else {}
    source = values.get("sourceContent")
    quotes = (
        [string(each.get("text")) or "" for each in source if isinstance(each, dict)]
        if isinstance(source, list)
        else []
    )
    index = place.get("documentIndex")
    return Citation(
        kind="url" if web else "document",
        url=string(web.get("url")),
        title=string(values.get("title")),
        quote="".join(quotes) or None,
        document_index=index if isinstance(index, int) else None,
        place=place,
    )


def _parts(block: Mapping[str, Any], tool: str | None) -> list[AnswerPart]:
    """The parts of a content block: one, or none where it has nothing that a conversation here can have."""
    text = string(block.get("text"))
    if text is not None:
        return [Text(text)]
    if called := member(block, "toolUse"):
        return [_tool_use(called, tool)]
    if cited := member(block, "citationsContent"):
        return [_cited(cited)]
    thought = member(block, "reasoningContent")
    if told := member(thought, "reasoningText"):
        signature = string(told.get("signature")) or None
        return [Thinking(string(told.get("text")) or "", signature, Format.BEDROCK if signature else None)]
    redacted = string(thought.get("redactedContent"))
    return [RedactedThinking(redacted, Format.BEDROCK)] if redacted else []


def _named(part: AnswerPart, call: Call) -> AnswerPart:
    return replace(part, name=own_name(call, part.name)) if isinstance(part, ToolUse) else part


def _tool_use(called: Mapping[str, Any], tool: str | None) -> AnswerPart:
    name, id_ = string(called.get("name")), string(called.get("toolUseId"))
    if not name or not id_:
        raise ProviderInvalidResponse("The provider's answer calls a tool without a name or an id.")
    arguments = json.dumps(called.get("input", {}), separators=(",", ":"), ensure_ascii=False)
    return Text(arguments) if name == tool else ToolUse(id_, name, arguments)


def _cited(block: Mapping[str, Any]) -> Text:
    content, citations = block.get("content"), block.get("citations")
    said = (
        [string(each.get("text")) or "" for each in content if isinstance(each, dict)]
        if isinstance(content, list)
        else []
    )
    told = [read_citation(each) for each in citations if isinstance(each, dict)] if isinstance(citations, list) else []
    return Text("".join(said), citations=tuple(told))
