"""Requests that are no conversation, the way in: what the vendor refuses of them, and how a form is read.

Forms are read by the standard library's e-mail parser, which has nothing in common with the gateway's own reader.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.simulator.openai_requests import refused

EMBEDDINGS, IMAGES, SPEECH = "media/embeddings", "media/images", "media/speech"
MODERATIONS, RERANK = "media/moderations", "media/rerank"
TRANSCRIPTIONS, TRANSLATIONS = "media/transcriptions", "media/translations"

PATHS: Mapping[str, tuple[str, str]] = {
    "embeddings": ("POST", EMBEDDINGS),
    "images/generations": ("POST", IMAGES),
    "audio/speech": ("POST", SPEECH),
    "audio/transcriptions": ("POST", TRANSCRIPTIONS),
    "audio/translations": ("POST", TRANSLATIONS),
    "moderations": ("POST", MODERATIONS),
    "rerank": ("POST", RERANK),
}
ENDPOINTS = frozenset(endpoint for _, endpoint in PATHS.values())
FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
SOUNDS = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
MAX_SPOKEN = 4096

# fmt: off
_FIELDS: Mapping[str, tuple[frozenset[str], tuple[str, ...]]] = {
    EMBEDDINGS: (frozenset({"input", "model", "dimensions", "encoding_format", "user"}), ("input",)),
    IMAGES: (
        frozenset({
            "prompt", "model", "background", "complexity", "frame_count", "frame_duration_ms", "moderation", "n",
            "output_compression", "output_format", "partial_images", "quality", "response_format", "safety_identifier",
            "size", "style", "svg", "user", "stream",
        }),
        ("prompt",),
    ),
    SPEECH: (
        frozenset({"input", "model", "voice", "instructions", "response_format", "speed", "stream_format"}),
        ("input", "voice"),
    ),
    MODERATIONS: (frozenset({"input", "model"}), ("input",)),
    RERANK: (
        frozenset({"model", "query", "documents", "top_n", "max_tokens_per_doc", "return_documents"}),
        ("query", "documents"),
    ),
    TRANSCRIPTIONS: (
        frozenset({
            "file", "model", "chunking_strategy", "include[]", "keywords[]", "known_speaker_names[]",
            "known_speaker_references[]", "language", "languages[]", "prompt", "response_format", "temperature",
            "timestamp_granularities[]", "stream",
        }),
        ("file",),
    ),
    TRANSLATIONS: (frozenset({"file", "model", "prompt", "response_format", "temperature"}), ("file",)),
}
# fmt: on
"""endpoint → every parameter there is, those that must be there."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form."""

    name: str | None
    content_type: str
    content: bytes


def read_form(raw: bytes, content_type: str) -> dict[str, Any] | None:
    """A form's fields: text, lists of it where the name ends in `[]`, files; None where it is no form."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1")
    message = email.message_from_bytes(head + raw, policy=email.policy.HTTP)
    if not message.is_multipart() or message.defects:
        return None
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            return None
        file_name = part.get_filename()
        value: Any = content.decode() if file_name is None else File(file_name, part.get_content_type(), content)
        if name.endswith("[]"):
            fields.setdefault(name, []).append(value)
        elif name == "stream":
            fields[name] = value == "true"
        else:
            fields[name] = value
    return fields


def check(endpoint: str, body: Any, *, strict: bool) -> None:
    """Raise Refused for a body that is not as the endpoint wants it; compatible providers let strange fields pass."""
    known, needed = _FIELDS[endpoint]
    if not isinstance(body, dict):
        raise refused("We could not parse the body of your request.", None, None)
    for name in (*needed, "model"):
        if body.get(name) in (None, "", []):
            raise refused(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    for name in body if strict else ():
        if name not in known:
            raise refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if endpoint == SPEECH:
        _check_speech(body)
    elif endpoint in (TRANSCRIPTIONS, TRANSLATIONS):
        _check_recording(body)
    elif endpoint == IMAGES and not 1 <= (body.get("n") or 1) <= 10:
        raise refused("Invalid 'n': expected a value from 1 to 10.", "n", "integer_out_of_range")


def _check_speech(body: dict[str, Any]) -> None:
    if len(body["input"]) > MAX_SPOKEN:
        raise refused(f"Invalid 'input': at most {MAX_SPOKEN} characters.", "input", "string_above_max_length")
    if body.get("response_format", "mp3") not in SOUNDS:
        raise refused("Invalid 'response_format'.", "response_format", "invalid_value")
    if body.get("stream_format") == "sse" and body["model"].startswith("tts-1"):
        raise refused("'sse' is not supported with this model.", "stream_format", "unsupported_value")


def _check_recording(body: dict[str, Any]) -> None:
    if not isinstance(body["file"], File) or not body["file"].content:
        raise refused("The file is empty or no file.", "file", None)
    if body.get("response_format", "json") not in FORMATS:
        raise refused("Invalid 'response_format'.", "response_format", "invalid_value")
