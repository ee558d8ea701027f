"""Reading an inference request: its body, what it asks for, what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import InvalidJson, InvalidParameter
from ownkey.domain.surfaces import Surface
from ownkey.providers import Document, InvalidDocument

MAX_MODEL_CHARS = 256
_MAX_TEXT_CHARS = 200
_MAX_TAG_CHARS = 100
_MAX_TAGS = 10

_MESSAGES = ("messages", (list,), "a list of messages")
_DEMANDED: Mapping[Surface, tuple[str, tuple[type, ...], str]] = {
    Surface.CHAT: _MESSAGES,
    Surface.MESSAGES: _MESSAGES,
    Surface.COUNT_TOKENS: _MESSAGES,
    # A stored prompt or conversation may take its place: whether one does is its provider's to judge.
    Surface.RESPONSES: ("input", (str, list, type(None)), "a text or a list of items"),
}
"""What each surface's request is about, beside `model`: its name, what it may be, and that in words."""
_UNSTREAMED: Mapping[Surface, str] = {Surface.COUNT_TOKENS: "A count of tokens is not streamed."}
"""Surfaces that answer in one piece alone."""


def parse_body(raw: bytes, surface: Surface) -> Document:
    """The body's JSON, with what every inference request must have.

    Raises:
        InvalidJson: it is no JSON object.
        InvalidParameter: `model`, `stream` or what the surface demands is missing or of the wrong kind, or a field is
            given twice.
    """
    try:
        document = Document.parse(raw, unique=True)
    except InvalidDocument as e:
        if e.param is not None:
            raise InvalidParameter(f"The request's body cannot be taken: {e.reason}.", param=e.param) from None
        raise InvalidJson(f"The request's body cannot be read: {e.reason}.") from None
    values = document.values
    model = values.get("model")
    if not isinstance(model, str) or not model.strip() or len(model) > MAX_MODEL_CHARS or not model.isprintable():
        raise InvalidParameter(f"`model` is not a model's name of 1 to {MAX_MODEL_CHARS} characters.", param="model")
    name, kinds, said = _DEMANDED[surface]
    if not isinstance(values.get(name), kinds):
        raise InvalidParameter(f"`{name}` is not {said}.", param=name)
    if not isinstance(values.get("stream"), bool | None):
        raise InvalidParameter("`stream` is not a boolean.", param="stream")
    if values.get("stream") and surface in _UNSTREAMED:
        raise InvalidParameter(_UNSTREAMED[surface], param="stream")
    return document


def app_of(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The app's id (`HTTP-Referer`, else its title) and title (`X-Title`), as attribution headers name them."""
    title = _text(headers.get("x-title") or headers.get("x-openrouter-title"))
    return _text(headers.get("http-referer")) or title, title


def user_of(body: Mapping[str, Any]) -> str | None:
    """The end user: `user`, or Anthropic's `metadata.user_id`."""
    metadata = body.get("metadata")
    return _text(body.get("user")) or (_text(metadata.get("user_id")) if isinstance(metadata, dict) else None)


def tags_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> tuple[str, ...]:
    """What cost is to be told apart by: `X-Ownkey-Tags: a, b`, and `metadata` as `name=value`; the first ten."""
    metadata = body.get("metadata")
    named = metadata.items() if isinstance(metadata, dict) else ()
    given = [
        *headers.get("x-ownkey-tags", "").split(","),
        *(f"{name}={value}" for name, value in named if isinstance(value, str) and name != "user_id"),
    ]
    tags = (_text(tag, _MAX_TAG_CHARS) for tag in given)
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:_MAX_TAGS]


def _text(value: Any, max_chars: int = _MAX_TEXT_CHARS) -> str | None:
    """Short printable text that any store takes, or None."""
    if not isinstance(value, str):
        return None
    printable = "".join(char for char in value[: 4 * max_chars] if char.isprintable())
    return printable.strip()[:max_chars] or None
