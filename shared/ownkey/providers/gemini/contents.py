"""Turns as `contents` of two roles, each thought signature on the part that it came with.

A signature proves the part it stands on (ai.google.dev/gemini-api/docs/thought-signatures). On a call it comes back as
`RedactedThinking` before it, with its id where the client's dialect can say so; on text, as one behind it, or, where a
dialect has thoughts apart, before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise, zip_longest
from typing import Any

from ownkey.domain.errors import InvalidParameter
from ownkey.providers.crossing import (
    Audio,
    Conversation,
    Document,
    Drops,
    FileId,
    Format,
    Image,
    Inline,
    Link,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from ownkey.providers.crossing.arguments import object_of
from ownkey.providers.gemini.names import sent_name
from ownkey.providers.gemini.thinking import of_third_generation

Json = dict[str, Any]

UNSIGNED = "skip_thought_signature_validator"
"""In a signature's place: the call is another model's, or its signature was lost (the same page, its FAQ)."""
_UNREADABLE = frozenset({"image/gif"})
_MEDIA_TYPES: Mapping[str, str] = {"image/jpg": "image/jpeg"}
"""What clients call them → what Google does."""
_ENDINGS: Mapping[str, str] = {
    **{each: f"image/{each}" for each in ("png", "jpeg", "webp", "heic", "heif", "gif")},
    **{each: f"audio/{each}" for each in ("wav", "flac", "ogg", "aac", "aiff")},
    **{each: f"video/{each}" for each in ("mp4", "webm", "mpeg")},
    "csv": "text/csv",
    "html": "text/html",
    "jpg": "image/jpeg",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "pdf": "application/pdf",
    "txt": "text/plain",
}
"""A linked file's ending → its media type, which Vertex AI has to be told."""
_VIDEO = re.compile(r"https?://(?:(?:www|m)\.youtube\.com|youtube\.com|youtu\.be)/", re.IGNORECASE)
"""Google reads videos from there, whatever part of a client's dialect they are in."""
_UNTOLD: Mapping[type, str] = {Image: "image/jpeg", Document: "application/pdf"}
"""A linked file's where nothing tells it, as Google asks for one: what such files mostly are."""


def contents_of(conversation: Conversation, model_id: str, drops: Drops, *, with_ids: bool = True) -> list[Json]:
    """The turns, neighbours of one role joined, results in the order of their calls and apart from all else. Empty:
    they say nothing.

    Args:
        with_ids: Whether calls and results tell their ids; else the order alone says which result is whose.

    Raises:
        UnsupportedParameter: a part cannot be expressed.
        InvalidParameter: a result answers no call.
    """
    writer = _Writer(conversation, of_third_generation(model_id), drops)
    contents: list[Json] = []
    for turn in conversation.turns:
        role = "model" if turn.role is Role.ASSISTANT else "user"
        if turn.name is not None:
            drops.drop("messages.name")
        parts = writer.parts_of(turn)
        if turn.role is Role.SYSTEM:
            parts = [{"text": f"<system>\n{part['text']}\n</system>"} if "text" in part else part for part in parts]
        if parts and contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    for called, answered in pairwise(contents):
        _tell_apart(called["parts"], answered["parts"])
        _put_in_order(called["parts"], answered["parts"])
    apart = [content for joined in contents for content in _results_apart(joined)]
    if of_third_generation(model_id):
        _stand_in_for_signatures(apart)
    return apart if with_ids else _without_ids(apart)


def text_parts(texts: Iterable[Text], drops: Drops) -> list[Json]:
    """Texts as parts."""
    texts = tuple(texts)
    if any(each.cache for each in texts):
        drops.drop("cache_control")
    return [{"text": each.text} for each in texts if each.text]


class _Writer:
    """Parts of one request."""

    def __init__(self, conversation: Conversation, media_in_results: bool, drops: Drops) -> None:
        self._conversation = conversation
        self._media_in_results = media_in_results
        self._drops = drops
        self._called: dict[str, str] = {}
        """Tools by the ids of their calls so far."""

    def parts_of(self, turn: Turn) -> list[Json]:
        """What the turn says."""
        uses = {part.id for part in turn.parts if isinstance(part, ToolUse)}
        signatures: dict[str | None, str] = {}
        parts: list[Json] = []
        after: list[Json] = []
        for part, following in zip_longest(turn.parts, turn.parts[1:]):
            self._note_cache(part)
            match part:
                case RedactedThinking(data, Format.GEMINI):
                    of = part.tool_use_id if part.tool_use_id in uses else None
                    calls = of is not None or isinstance(following, ToolUse)
                    if not calls and parts and _can_be_signed(parts[-1]):
                        parts[-1]["thoughtSignature"] = data
                    else:
                        signatures[of] = data
                case RedactedThinking() | Thinking():
                    parts += _thought(part)
                case ToolUse():
                    signature = signatures.pop(part.id, None) or signatures.pop(None, None)
                    parts.append(_signed(self._call(part), signature))
                case ToolResult():
                    parts.append(self._result(part, after))
                case Text() | Refusal():
                    if part.text:
                        parts.append(_signed({"text": part.text}, signatures.pop(None, None)))
                case _:
                    parts += self._media(part)
        if rest := signatures.get(None):
            parts.append({"text": "", "thoughtSignature": rest})
        return parts + after

    def _note_cache(self, part: Part) -> None:
        if getattr(part, "cache", None) is not None:
            self._drops.drop("cache_control")

    def _call(self, use: ToolUse) -> Json:
        self._called[use.id] = use.name
        tool = self._conversation.tool(use.name)
        arguments = {"input": use.arguments} if tool and tool.free_form else object_of(use.arguments)
        return {"functionCall": {"id": use.id, "name": sent_name(use.name), "args": arguments}}

    def _result(self, result: ToolResult, after: list[Json]) -> Json:
        """`after`: where media go that the model does not take inside."""
        name = result.name or self._called.get(result.tool_use_id)
        if name is None:
            raise InvalidParameter(
                f"The tool result for `{result.tool_use_id[:64]}` answers no call of an earlier message.",
                param="messages",
            )
        words = "\n".join(each.text for each in result.content if isinstance(each, Text))
        response: Json = {
            "id": result.tool_use_id,
            "name": sent_name(name),
            "response": {"error" if result.failed else "output": words},
        }
        media = [part for each in result.content if not isinstance(each, Text) for part in self._media(each)]
        if media and self._media_in_results:
            response["parts"] = media
        else:
            after += media
        return {"functionResponse": response}

    def _media(self, part: Image | Document | Audio) -> list[Json]:
        """The part; of a document with the client's words on it before."""
        words = []
        match part:
            case Image(detail=detail) if detail not in (None, "auto"):
                self._drops.drop("detail")
            case Document(citations=cites, context=context):
                if cites:
                    self._drops.drop("document.citations")
                words = [{"text": context}] if context else []
        return [*words, self._data(part.source, _UNTOLD.get(type(part)))]

    def _data(self, source: Source, untold: str | None) -> Json:
        match source:
            case Inline(media_type, data):
                return {"inlineData": {"mimeType": self._media_type(media_type), "data": data}}
            case Link(url, media_type):
                media_type = media_type or _type_of(url) or untold
                named = {"mimeType": self._media_type(media_type)} if media_type else {}
                return {"fileData": {"fileUri": url, **named}}
            case FileId():
                raise self._drops.refusal("messages", "a file is stored at one provider, and it is not this one")

    def _media_type(self, media_type: str) -> str:
        if media_type in _UNREADABLE:
            raise self._drops.refusal("messages", f"it does not read {media_type}")
        return _MEDIA_TYPES.get(media_type, media_type)


def _type_of(url: str) -> str | None:
    if _VIDEO.match(url):
        return "video/mp4"
    return _ENDINGS.get(url.partition("?")[0].rpartition(".")[2].lower())


def _thought(part: Thinking | RedactedThinking) -> list[Json]:
    """A thought of its own that it has signed; what is another's, or nobody's, is left out."""
    if isinstance(part, RedactedThinking) or part.format != Format.GEMINI or not part.signature:
        return []
    return [{"text": part.text, "thought": True, "thoughtSignature": part.signature}]


def _can_be_signed(part: Json) -> bool:
    return "text" in part and not part.get("thought") and "thoughtSignature" not in part


def _signed(part: Json, signature: str | None) -> Json:
    return {**part, "thoughtSignature": signature} if signature else part


def _tell_apart(called: list[Json], answered: list[Json]) -> None:
    """Gives each call of a turn an id of its own, and its result the same: there are providers that use one twice, and
    Google refuses it ("Request contains an invalid argument", watt-mind/coach 280).
    """
    for parts, kind in ((called, "functionCall"), (answered, "functionResponse")):
        met: Counter[str] = Counter()
        for each in [part[kind] for part in parts if kind in part]:
            met[each["id"]] += 1
            if met[each["id"]] > 1:
                each["id"] = f"{each['id']}_{met[each['id']]}"


def _put_in_order(called: list[Json], answered: list[Json]) -> None:
    """Puts the results of the calls where their calls are among each other; what stands between them stays."""
    order = {part["functionCall"]["id"]: at for at, part in enumerate(called) if "functionCall" in part}
    places = [at for at, part in enumerate(answered) if "functionResponse" in part]
    results = sorted(
        (answered[at] for at in places), key=lambda part: order.get(part["functionResponse"]["id"], len(order))
    )
    for at, result in zip(places, results, strict=True):
        answered[at] = result


def _results_apart(content: Json) -> list[Json]:
    """All results of a turn in one content, what the user says beside them in the next: Vertex AI refuses the two in
    one, by words that mislead ("Requests ending with a model turn are not supported", Prism-Shadow/agenthub 189).
    """
    results = [part for part in content["parts"] if "functionResponse" in part]
    others = [part for part in content["parts"] if "functionResponse" not in part]
    return [{**content, "parts": parts} for parts in (results, others) if parts]


def _without_ids(contents: list[Json]) -> list[Json]:
    for content in contents:
        for part in content["parts"]:
            for name in ("functionCall", "functionResponse"):
                part.get(name, {}).pop("id", None)
    return contents


def _stand_in_for_signatures(contents: list[Json]) -> None:
    """Gives the calls since the user last spoke a signature where they have none: without one they are refused. Of
    parallel calls the first alone has one: a stand-in is the last resort, and costs answers (BerriAI/litellm 37541).
    """
    for content in reversed(contents):
        if content["role"] == "user":
            if not any("functionResponse" in part for part in content["parts"]):
                return
            continue
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not any("thoughtSignature" in call for call in calls):
            calls[0]["thoughtSignature"] = UNSIGNED
