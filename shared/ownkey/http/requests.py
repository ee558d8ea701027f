"""Reading an inference request: its body, what it asks for, what it says about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import BadRequest, InvalidJson, InvalidParameter, RequestTooLarge
from ownkey.domain.surfaces import Surface
from ownkey.providers import Document, Form, InvalidDocument

MAX_MODEL_CHARS = 256
_MAX_TEXT_CHARS = 200
_MAX_TAG_CHARS = 100
_MAX_TAGS = 10

_MESSAGES = ("messages", (list,), "a list of messages")
_RECORDING = ("file", (dict,), "a file of the form")
_DEMANDED: Mapping[Surface, tuple[str, tuple[type, ...], str]] = {
    Surface.CHAT: _MESSAGES,
    Surface.MESSAGES: _MESSAGES,
    Surface.COUNT_TOKENS: _MESSAGES,
    # A stored prompt or conversation may take its place: whether one does is its provider's to judge.
    Surface.RESPONSES: ("input", (str, list, type(None)), "a text or a list of items"),
    Surface.EMBEDDINGS: ("input", (str, list), "a text, or a list of texts or of tokens"),
    Surface.RERANK: ("documents", (list,), "a list of documents"),
    Surface.IMAGES: ("prompt", (str,), "a text"),
    Surface.SPEECH: ("input", (str,), "a text"),
    Surface.TRANSCRIPTIONS: _RECORDING,
    Surface.TRANSLATIONS: _RECORDING,
    Surface.MODERATIONS: ("input", (str, list), "a text, or a list of texts or of parts"),
}
"""What each surface's request is about, beside `model`: its name, what it may be, and that in words."""
_UNSTREAMED: Mapping[Surface, str] = {
    Surface.COUNT_TOKENS: "A count of tokens is not streamed.",
    Surface.EMBEDDINGS: "Embeddings are not streamed.",
    Surface.RERANK: "A ranking is not streamed.",
    Surface.MODERATIONS: "A moderation is not streamed.",
}
"""Surfaces that answer in one piece alone."""
_USUAL_MODELS: Mapping[Surface, str] = {Surface.MODERATIONS: "omni-moderation-latest"}
"""Where a request need not name its model: the one that OpenAI takes."""

MAX_FORM_BYTES = 4_500_000
"""API Gateway hands a form on in base64, and the whole event has to stay below Lambda's 6 MB."""
FORMS = frozenset({Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS})
"""Surfaces whose requests are forms with files."""


def parse_body(raw: bytes, surface: Surface, content_type: str = "") -> Document:
    """The body's JSON or form, with what every inference request must have.

    Raises:
        InvalidJson: it is no JSON object. BadRequest: it is no form.
        RequestTooLarge: the form is larger than `MAX_FORM_BYTES`.
        InvalidParameter: `model`, `stream` or what the surface demands is missing or of the wrong kind, or a field is
            given twice.
    """
    document = _read(raw, surface, content_type)
    if surface in _USUAL_MODELS and document.values.get("model") is None:
        document = Document.parse(document.edited({"model": _USUAL_MODELS[surface]}))
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


def is_streamed(values: Mapping[str, Any]) -> bool:
    """Whether the client asked for events."""
    return values.get("stream") is True or values.get("stream_format") == "sse"


def _read(raw: bytes, surface: Surface, content_type: str) -> Document:
    form = surface in FORMS
    if form and len(raw) > MAX_FORM_BYTES:
        raise RequestTooLarge(
            f"The form is larger than {MAX_FORM_BYTES / 1e6} MB.",
            param="file",
            fix="Compress the recording, or cut it.",
        )
    try:
        return _form(raw, content_type) if form else Document.parse(raw, unique=True)
    except InvalidDocument as e:
        if e.param is not None:
            raise InvalidParameter(f"The request's body cannot be taken: {e.reason}.", param=e.param) from None
        said = f"The request's body cannot be read: {e.reason}."
        if form:
            raise BadRequest(said, fix="Send multipart/form-data with `file` and `model`, as SDKs do.") from None
        raise InvalidJson(said) from None


def _form(raw: bytes, content_type: str) -> Form:
    """A form; the gateway's own field is JSON in it."""
    form = Form.read(raw, content_type)
    if isinstance(provider := form.values.get("provider"), str):
        try:
            form.values["provider"] = json.loads(provider)
        except (ValueError, RecursionError):
            raise InvalidDocument("the field is not JSON", "provider") from None
    return form


def app_of(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The app's id (`HTTP-Referer`, else its title) and title (`X-Title`), as attribution headers name them."""
    title = _text(headers.get("x-title") or headers.get("x-openrouter-title"))
    return _text(headers.get("http-referer")) or title, title


def user_of(body: Mapping[str, Any]) -> str | None:
    """The end user: `user`, OpenAI's newer `safety_identifier`, or Anthropic's `metadata.user_id`."""
    metadata = body.get("metadata")
    named = _text(body.get("user")) or _text(body.get("safety_identifier"))
    return named or (_text(metadata.get("user_id")) if isinstance(metadata, dict) else None)


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
