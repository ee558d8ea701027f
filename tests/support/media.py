"""Requests that are no conversation, for tests: recordings, forms, one request of each surface."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

EMBEDDINGS = {"model": "text-embedding-3-small", "input": "Hello there"}
IMAGES = {"model": "gpt-image-2", "prompt": "A red fox"}
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Hello there"}
MODERATIONS = {"input": "Hello there"}
RERANK: dict[str, Any] = {
    "model": "rerank-2.5",
    "query": "red fox",
    "documents": ["a red fox", "a blue whale"],
    "top_n": 1,
}
BOUNDARY = "d41d8cd98f00b204"


def recording(seconds: int) -> bytes:
    """A WAV of silence, at 8,000 bytes a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(1)
        opened.setframerate(8_000)
        opened.writeframes(b"\x80" * 8_000 * seconds)
    return file.getvalue()


def form(fields: Mapping[str, Any], file: bytes | None = None, *, boundary: str = BOUNDARY) -> bytes:
    """A form as SDKs write it; the file, if there is one, is `a.wav`."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        parts.append(f"--{boundary}\r\n{head}".encode() + file + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def form_type(boundary: str = BOUNDARY) -> str:
    """Its content type."""
    return f"multipart/form-data; boundary={boundary}"
