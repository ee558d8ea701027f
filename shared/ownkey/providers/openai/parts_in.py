"""The parts of a message's content, as chat completions have them, read to the neutral form.

Facts from openai-python 3.52, `types/chat/chat_completion_content_part_*.py`; `cache_control` as OpenRouter and
Anthropic have it; a file by its URL as OpenRouter has it; thoughts as Mistral has them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Literal
from urllib.parse import unquote_to_bytes

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.crossing.conversation import (
    Audio,
    CacheMark,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
)
from ownkey.providers.crossing.strict import Fields, wrong

_LONGER_TTLS = frozenset({"1h", "12h"})
_DOCUMENT_TYPE = "application/pdf"
_SCHEMES = ("https://", "http://", "gs://")
"""The last is Google's storage, from which its models read."""
_MISNAMED: Mapping[str, str] = {"image/jpg": "image/jpeg"}
"""What clients write and OpenAI takes → what it is called, and others demand."""
_DETAILS = ("auto", "low", "high", "original")
_AUDIO_TYPES: Mapping[str, str] = {"mp3": "audio/mpeg"}
"""Where it is not `audio/` and the format's name."""


def read_content(message: Fields, kinds: frozenset[str]) -> list[Part]:
    """A message's content: one text, or a list of parts of these types; nothing where there is none.

    Raises:
        InvalidParameter: it is neither, or a part is none of these.
    """
    content = message.values.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content, cache=read_cache(message))]
    if not isinstance(content, list):
        raise message.wrong("content", "is neither a text nor a list of parts")
    parts = [_read_part(each, kinds) for each in message.members("content")]
    mark = read_cache(message)
    if mark and parts and isinstance(parts[-1], Text) and parts[-1].cache is None:
        parts[-1] = Text(parts[-1].text, cache=mark)
    return parts


TEXT = frozenset({"text"})
USER = frozenset({"text", "image_url", "input_audio", "file"})
ASSISTANT = frozenset({"text", "refusal", "thinking"})
TOOL = frozenset({"text", "image_url", "file"})


def read_cache(fields: Fields) -> CacheMark | None:
    """`cache_control`, or OpenAI's own `prompt_cache_breakpoint`."""
    mark = fields.member("cache_control") or fields.member("prompt_cache_breakpoint")
    if mark is None:
        return None
    ttl: Literal["5m", "1h"] = "1h" if mark.text("ttl") in _LONGER_TTLS else "5m"
    return CacheMark(ttl)


def _read_part(part: Fields, kinds: frozenset[str]) -> Part:
    kind = part.needed_text("type")
    if kind not in kinds:
        raise part.wrong("type", f"is none of {', '.join(sorted(kinds))}")
    if kind == "text":
        return Text(part.needed_text("text"), cache=read_cache(part))
    if kind == "refusal":
        return Refusal(part.needed_text("refusal"))
    if kind == "thinking":
        return Thinking("".join(_thought(each) for each in part.members("thinking")))
    if kind == "image_url":
        return _read_image(part)
    return _read_audio(part) if kind == "input_audio" else _read_file(part)


def _thought(item: Fields) -> str:
    return item.text("text") or ""


def _read_image(part: Fields) -> Image:
    if isinstance(part.values.get("image_url"), str):  # as several compatible providers take it
        return Image(read_url(part.needed_text("image_url"), part.at("image_url")), cache=read_cache(part))
    image = part.needed_member("image_url")
    source = read_url(image.needed_text("url"), image.at("url"))
    return Image(source, image.word("detail", _DETAILS), read_cache(part))


def _read_audio(part: Fields) -> Audio:
    audio = part.needed_member("input_audio")
    data, form = audio.needed_text("data"), audio.needed_text("format")
    return Audio(Inline(_AUDIO_TYPES.get(form, f"audio/{form}"), data))


def _read_file(part: Fields) -> Document | Image | Audio:
    file = part.needed_member("file")
    name, cache = file.text("filename"), read_cache(part)
    id_, data = file.text("file_id"), file.text("file_data")
    source: Source
    if data is not None and (data.startswith("data:") or "://" in data[:16]):
        source = read_url(data, file.at("file_data"))
    elif data is not None:
        source = Inline((guess_type(name)[0] if name else None) or _DOCUMENT_TYPE, data)
    elif id_ is not None:
        source = FileId(id_)
    else:
        raise file.wrong("file_data", "is missing")
    kind = source.media_type if isinstance(source, Inline) else ""
    if kind.startswith("image/"):
        return Image(source, cache=cache)
    return Audio(source) if kind.startswith("audio/") else Document(source, name, cache=cache)


def read_url(url: str, path: str) -> Inline | Link:
    """What a URL points to, or has in it.

    Args:
        path: Where it stands.

    Raises:
        InvalidParameter: it is neither of the web nor a data URL.
    """
    if url[:5].lower() != "data:":
        if url[:8].lower().startswith(_SCHEMES):
            return Link(url)
        raise wrong(path, "is neither a data URL nor one of the web")
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma:
        raise wrong(path, "is no data URL: it has no data")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data.encode("utf-8", "replace"))).decode()
    media_type = media_type.strip().lower() or "text/plain"
    return Inline(_MISNAMED.get(media_type, media_type), data)


def plain_text(source: Inline) -> str | None:
    """The words of an inline text; None: it is none, or not in UTF-8."""
    if not source.media_type.startswith("text/"):
        return None
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def no_audio(param: str) -> UnsupportedParameter:
    """The refusal of a sound that is to come, or has come, out of a model."""
    return UnsupportedParameter(
        f"`{param}` cannot be served by another API than OpenAI's chat completions: no other has sound in an answer.",
        param=param,
        details={"unsupported": [param]},
    )
