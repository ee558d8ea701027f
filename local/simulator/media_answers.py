"""Vectors, pictures, sound, verdicts and ranks, all made from what was asked: the same answer to the same question.

Usage is as the vendors have it: tokens for vectors, pictures and ranks, tokens or seconds for recordings, none for
moderations and for sound that is no event.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
import wave
from io import BytesIO
from math import ceil, sqrt
from typing import Any

from local.simulator.media_requests import (
    EMBEDDINGS,
    IMAGES,
    MODERATIONS,
    RERANK,
    SOUNDS,
    SPEECH,
    TRANSLATIONS,
    File,
)
from local.simulator.replies import Frame, Reply, Stream, Whole
from local.simulator.text import compact, count_tokens

USUAL_DIMENSIONS = 1536
BYTES_A_S = 8_000
IMAGE_TOKENS = 1056  # of a medium 1024 x 1024, which is what comes whatever is asked for
CHUNKS = 4
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
Json = dict[str, Any]
PNG = base64.b64decode(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")


def answer(endpoint: str, body: Json, headers: dict[str, str], request_id: str) -> tuple[Reply, dict[str, int]]:
    """The reply, and what it used for the journal."""
    if endpoint == EMBEDDINGS:
        return _embeddings(body, headers)
    if endpoint == IMAGES:
        return _images(body, headers)
    if endpoint == SPEECH:
        return _speech(body, headers)
    if endpoint == MODERATIONS:
        return _moderation(body, headers, request_id)
    if endpoint == RERANK:
        return _rerank(body, headers, request_id)
    return _transcript(body, headers, translated=endpoint == TRANSLATIONS)


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that only this text has."""
    seed = hashlib.shake_128(text.encode()).digest(dimensions)
    raw = [byte - 127.5 for byte in seed]
    length = sqrt(sum(each * each for each in raw))
    return [each / length for each in raw]


def sound(text: str, kind: str) -> bytes:
    """A file that only this text has."""
    return kind.encode() + b"\x00\xff\r\n\r\n--" + hashlib.shake_128(text.encode()).digest(4_000)


def heard(file: bytes) -> str:
    """What a recording says: how long it is, and its digest."""
    return f"Heard {len(file)} bytes {hashlib.sha256(file).hexdigest()[:16]}"


def seconds(file: bytes) -> float:
    """How long a recording is: told by the head of a WAV, else by its size."""
    if file.startswith(b"RIFF"):
        with wave.open(BytesIO(file)) as opened:
            return opened.getnframes() / opened.getframerate()
    return len(file) / BYTES_A_S


def _json(value: Json, headers: dict[str, str]) -> Whole:
    return Whole(json.dumps(value, indent=2).encode(), headers)


def _event(value: Json, *, chunk: bool = True) -> Frame:
    return Frame(f"data: {compact(value)}\n\n".encode(), chunk=chunk)


def _embeddings(body: Json, headers: dict[str, str]) -> tuple[Reply, dict[str, int]]:
    given = body["input"]
    one = isinstance(given, str) or isinstance(given[0], int)
    inputs = [given] if one else given
    vectors = [vector(str(each), body.get("dimensions") or USUAL_DIMENSIONS) for each in inputs]
    coded: list[Any] = list(vectors)
    if body.get("encoding_format") == "base64":
        coded = [base64.b64encode(struct.pack(f"<{len(each)}f", *each)).decode() for each in vectors]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(coded)]
    tokens = sum(count_tokens(each) if isinstance(each, str) else len(each) for each in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"object": "list", "data": data, "model": body["model"], "usage": usage}
    return _json(whole, headers), {"input": tokens}


def _images(body: Json, headers: dict[str, str]) -> tuple[Reply, dict[str, int]]:
    count, tokens = body.get("n") or 1, count_tokens(body["prompt"])
    picture = base64.b64encode(PNG + body["prompt"].encode()).decode()
    made = count * IMAGE_TOKENS
    usage = {
        "input_tokens": tokens,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": tokens},
        "output_tokens": made,
        "total_tokens": tokens + made,
    }
    used = {"input": tokens, "output": made}
    facts = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
    if body.get("stream"):
        about = {**facts, "b64_json": picture, "created_at": int(time.time())}
        partial = [
            _event({"type": "image_generation.partial_image", "partial_image_index": index, **about})
            for index in range(body.get("partial_images") or 0)
        ]
        done = _event({"type": "image_generation.completed", **about, "usage": usage}, chunk=not partial)
        return Stream((*partial, done), headers), used
    by_url = body.get("response_format") == "url"
    one = {"url": "https://images.example/1.png"} if by_url else {"b64_json": picture}
    whole: Json = {"created": int(time.time()), "data": [one] * count}
    if body["model"].startswith(("gpt-image", "chatgpt-image")):
        whole |= {**facts, "usage": usage}
    return _json(whole, headers), used


def _speech(body: Json, headers: dict[str, str]) -> tuple[Reply, dict[str, int]]:
    kind = body.get("response_format") or "mp3"
    file = sound(body["input"], kind)
    size = ceil(len(file) / CHUNKS)
    pieces = [file[at : at + size] for at in range(0, len(file), size)]
    used = {"input": count_tokens(body["input"]), "output": len(body["input"])}
    if body.get("stream_format") != "sse":
        frames = tuple(Frame(piece, chunk=True) for piece in pieces)
        return Stream(frames, headers, content_type=SOUNDS[kind]), used
    events = [_event({"type": "speech.audio.delta", "audio": base64.b64encode(each).decode()}) for each in pieces]
    usage = {"input_tokens": used["input"], "output_tokens": used["output"], "total_tokens": sum(used.values())}
    return Stream((*events, _event({"type": "speech.audio.done", "usage": usage}, chunk=False)), headers), used


def _transcript(body: Json, headers: dict[str, str], *, translated: bool) -> tuple[Reply, dict[str, int]]:
    file: File = body["file"]
    text, length = heard(file.content) + (" in English" if translated else ""), seconds(file.content)
    by_seconds = "whisper" in body["model"] or "transcribe" not in body["model"]
    tokens = {"audio": ceil(length * 10), "text": count_tokens(body.get("prompt") or "")}
    out = count_tokens(text)
    usage: Json = {"type": "duration", "seconds": ceil(length)}
    if not by_seconds:
        into = sum(tokens.values())
        usage = {
            "type": "tokens",
            "input_tokens": into,
            "input_token_details": {"audio_tokens": tokens["audio"], "text_tokens": tokens["text"]},
            "output_tokens": out,
            "total_tokens": into + out,
        }
    used = {"input": sum(tokens.values()), "output": out}
    kind = body.get("response_format") or "json"
    if body.get("stream") and not by_seconds:
        deltas = [_event({"type": "transcript.text.delta", "delta": f"{word} "}) for word in text.split()]
        done = _event({"type": "transcript.text.done", "text": text, "usage": usage}, chunk=False)
        return Stream((*deltas, done), headers), used
    if kind in ("text", "srt", "vtt"):
        plain = {
            "text": f"{text}\n",
            "srt": f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n",
            "vtt": f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n",
        }
        return Whole(plain[kind].encode(), headers, content_type="text/plain; charset=utf-8"), used
    whole: Json = {"text": text, "usage": usage}
    if kind == "verbose_json":
        whole = {"task": "transcribe", "language": "english", "duration": length, "segments": [], **whole}
    if kind == "diarized_json":
        whole = {"task": "transcribe", "duration": length, "segments": [], **whole}
    return _json(whole, headers), used


def _moderation(body: Json, headers: dict[str, str], request_id: str) -> tuple[Reply, dict[str, int]]:
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    results = []
    for each in given:
        bad = "violence" in str(each)
        flags = {name: bad and name == "violence" for name in CATEGORIES}
        results.append(
            {
                "flagged": bad,
                "categories": flags,
                "category_scores": {name: 0.99 if flag else 0.01 for name, flag in flags.items()},
                "category_applied_input_types": {name: ["text"] for name in flags},
            }
        )
    whole = {"id": f"modr-{request_id[-20:]}", "model": body["model"], "results": results}
    return _json(whole, headers), {}


def _rerank(body: Json, headers: dict[str, str], request_id: str) -> tuple[Reply, dict[str, int]]:
    wanted = set(body["query"].lower().split())
    scores = [len(wanted & set(str(each).lower().split())) / max(1, len(wanted)) for each in body["documents"]]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.get("top_n") or body.get("top_k")]
    results = [{"index": index, "relevance_score": scores[index]} for index in order]
    tokens = count_tokens(body["query"]) * len(scores) + sum(count_tokens(str(each)) for each in body["documents"])
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    whole = {"id": request_id, "model": body["model"], "results": results, "usage": usage}
    return _json(whole, headers), {"input": tokens}
