"""A known key, in every form, through everything that may go wrong: found nowhere but in the vault's ciphertext."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.functions import Functions
from local.running import OPERATOR, Running, RunOptions, running
from local.seed import Seed
from tests.support.aws import boto

OWNER = "owner@example.com"
FRAGMENT_CHARS = 8
# A character that JSON escapes, three that URLs escape, and no run of eight characters that occurs elsewhere.
HEAD, BODY = "sk-sim-", 'Zq7"xW3/kP9+vT5=mB1rJ8dN4hL6cF2gY0sQuXeA'
CANARY = HEAD + BODY
ROTATED_BODY = 'Hy4=tR8"bV2/nC6+wK0pM3jZ7sD1fG9qL5xEaUoI'
ROTATED = HEAD + ROTATED_BODY
REJECTED_BODY = 'Pd6/uN0"gS3+cX7=eB5yV9kW1mT4zH8rJ2qFoLaC'
REJECTED = "sk-unknown-" + REJECTED_BODY


def forms(body: str) -> Iterator[bytes]:
    """Everything a leak of the key could look like; eight characters of it are enough."""
    for start in range(len(body) - FRAGMENT_CHARS + 1):
        fragment = body[start : start + FRAGMENT_CHARS]
        yield fragment.encode()
        yield json.dumps(fragment)[1:-1].encode()
        yield json.dumps(json.dumps(fragment)[1:-1])[1:-1].encode()
        yield urllib.parse.quote(fragment, safe="").encode()
        yield urllib.parse.quote_plus(fragment).encode()
        yield fragment.encode().hex().encode()
    for lead in range(3):
        # Base64 of the whole at each alignment, without the characters that neighbours could change.
        encoded = base64.b64encode(b"\0" * lead + body.encode())
        inner = encoded[4 if lead else 0 : -4]
        yield from (inner[at : at + 16] for at in range(0, len(inner) - 16, 4))
        yield from (inner.translate(bytes.maketrans(b"+/", b"-_"))[at : at + 16] for at in range(0, len(inner) - 16, 4))


SECRETS = {
    name: tuple(set(forms(body)))
    for name, body in {"saved": BODY, "rotated": ROTATED_BODY, "rejected": REJECTED_BODY}.items()
}


def leaks(place: str, data: bytes, *also: str) -> list[str]:
    """Which secrets show in the data, and as what."""
    found = [f"{place}: {name} key as {form!r}" for name, each in SECRETS.items() for form in each if form in data]
    return found + [f"{place}: a gateway key" for key in also if key.encode() in data]


def test_the_search_itself_finds_a_leak_in_every_form() -> None:
    for leak in (
        CANARY,
        BODY[3:11],
        json.dumps({"m": json.dumps(CANARY)}),
        urllib.parse.quote(CANARY),
        base64.b64encode(f"Bearer {CANARY}".encode()).decode(),
        base64.b64encode(f"x{CANARY}".encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
        CANARY.encode().hex(),
    ):
        assert leaks("planted", leak.encode()), leak
    assert not leaks("a mask", "sk-…QuXeA"[:3].encode() + b"\xe2\x80\xa6" + BODY[-4:].encode())


class Recorder:
    """Everything that left the gateway, as a client sees it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    async def __call__(self, response: httpx.Response) -> None:
        await response.aread()
        headers = "\n".join(f"{name}: {value}" for name, value in response.headers.multi_items())
        place = f"{response.request.method} {response.request.url.path} -> {response.status_code}"
        self.seen.append((place, headers.encode() + b"\n" + response.content))


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What functions hand to one another, and what schedules and streams hand to functions."""
    payloads: list[bytes] = []
    start = Functions.start_invocation

    def recording(self: Functions, name: str, payload: bytes, *args: Any, **kwargs: Any) -> Any:
        if "Inference" not in name and "Keys" not in name:  # those get the client's own HTTP requests
            payloads.append(payload)
        return start(self, name, payload, *args, **kwargs)

    monkeypatch.setattr(Functions, "start_invocation", recording)
    return payloads


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


async def exercise(up: Running, seen: Recorder) -> None:
    """Saves, uses, breaks, rotates, removes; everything that could make somebody print a key."""
    up.simulator.keys.set("openai", CANARY)
    up.simulator.keys.set("openai", ROTATED)
    owner = {"Authorization": f"Bearer {up.state.sessions[OWNER]}"}
    app_key = {"Authorization": f"Bearer {up.state.gateway_keys['team']['app']}"}
    hooks = {"response": [seen]}
    async with (
        httpx.AsyncClient(base_url=up.state.management_url, headers=owner, timeout=60, event_hooks=hooks) as api,
        httpx.AsyncClient(base_url=up.state.base_url, headers=app_key, timeout=60, event_hooks=hooks) as app,
    ):
        # Saving: rejected with the key echoed, malformed in ways that tempt a framework to repeat its input.
        assert (await api.post("/api/byok", json={"provider": "OpenAI", "key": REJECTED})).status_code == 422
        for body in (
            {"provider": "OpenAI", "key": [CANARY]},
            {"provider": "OpenAI", "key": {"secret": CANARY}},
            {"provider": "OpenAI", "key": CANARY, "unknown": CANARY},
            {"provider": CANARY, "key": CANARY},
            {"provider": "OpenAI", "key": f"{CANARY} {CANARY}"},
            {"provider": "OpenAI", "key": CANARY, "base_url": f"https://{BODY[:12]}.example/#"},
            {"provider": "OpenAI", "key": CANARY, "priority": CANARY},
        ):
            assert (await api.post("/api/byok", json=body)).status_code in (400, 404)
        raw = f'{{"provider": "OpenAI", "key": {json.dumps(CANARY)}'.encode()
        assert (await api.post("/api/byok", content=raw)).status_code == 400
        saved = await api.post("/api/byok", json={"provider": "OpenAI", "key": CANARY, "alias": "canary"})
        assert saved.status_code == 201
        credential_id = saved.json()["id"]

        # Using: whole, streamed, and every failure with the key echoed by the provider.
        assert (await app.post("/v1/chat/completions", json=chat("hello"))).status_code == 200
        assert (await app.post("/v1/chat/completions", json=chat("hello", stream=True))).status_code == 200
        for knobs in ("fail=400", "fail=401", "fail=403", "fail=429", "fail=500", "fail=529", "html", "invalid_json"):
            for stream in (False, True):
                up.simulator.scripts.clear()
                name, _, value = knobs.partition("=")
                fault = {name: int(value) if value else True}
                up.simulator.scripts.add("openai", echo_key=True, **fault)
                await app.post("/v1/chat/completions", json=chat("hello", stream=stream))
        up.simulator.scripts.clear()
        up.simulator.scripts.add("openai", error_after=2, fail=500, echo_key=True)
        await app.post("/v1/chat/completions", json=chat("[[sim: chunks=5]] hello", stream=True))
        up.simulator.scripts.clear()
        up.simulator.scripts.add("openai", redirect=f"http://127.0.0.1:9/{BODY[:20]}")
        await app.post("/v1/chat/completions", json=chat("hello"))
        up.simulator.scripts.clear()

        # A provider key where a gateway key belongs.
        for header in ({"Authorization": f"Bearer {CANARY}"}, {"x-api-key": CANARY}):
            assert (await app.post("/v1/chat/completions", json=chat("hi"), headers=header)).status_code == 401

        # Rotating, revalidating, reading back, clearing by the other door.
        assert (await api.post(f"/api/byok/{credential_id}/rotate", json={"key": REJECTED})).status_code == 422
        assert (await api.post(f"/api/byok/{credential_id}/rotate", json={"key": ROTATED})).status_code == 200
        assert (await api.post(f"/api/byok/{credential_id}/validate")).status_code == 200
        assert (await app.post("/v1/chat/completions", json=chat("hello"))).status_code == 200
        key_id = (await api.get("/api/gateway-keys")).json()["data"][0]["id"]
        patched = {"providerKeys": {"OpenAI": CANARY}}
        assert (await api.patch(f"/api/auth?keyId={key_id}", json=patched)).status_code == 200
        for path in ("/api/byok", f"/api/byok/{credential_id}", "/api/gateway-keys", "/api/activity", "/api/usage"):
            assert (await api.get(path)).status_code == 200
        assert (await api.patch(f"/api/auth?keyId={key_id}", json={"providerKeys": None})).status_code == 200
        assert (await api.delete(f"/api/byok/{credential_id}")).is_success
        assert OPERATOR in up.state.sessions
    for schedule in up.stack.deployment.schedules:
        await up.stack.fire(schedule.id)
    await up.stack.drain_stream()


def stored(up: Running) -> Iterator[tuple[str, bytes]]:
    """Every item of every table, every record of the stream, every object of every bucket."""
    dynamodb = boto("dynamodb", up.state.aws_endpoint)
    for name in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=name):
            for item in page["Items"]:
                yield f"table {name}", as_bytes(item)
    streams = boto("dynamodbstreams", up.state.aws_endpoint)
    for stream in streams.list_streams()["Streams"]:
        shards = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
        for shard in shards:
            iterator = streams.get_shard_iterator(
                StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                page = streams.get_records(ShardIterator=iterator)
                yield from (("stream", as_bytes(record)) for record in page["Records"])
                iterator = page.get("NextShardIterator") if page["Records"] else None
    s3 = boto("s3", up.state.aws_endpoint)
    for bucket in s3.list_buckets()["Buckets"]:
        for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            body = s3.get_object(Bucket=bucket["Name"], Key=each["Key"])["Body"].read()
            yield f"bucket {bucket['Name']}", each["Key"].encode() + body


def as_bytes(value: Any) -> bytes:
    """All that a value holds, bytes as bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return b"\n".join(as_bytes(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set):
        return b"\n".join(map(as_bytes, value))
    return str(value).encode()


async def test_a_key_is_found_nowhere_at_debug(handed_over: list[bytes], tmp_path: Path) -> None:
    seed = Seed.model_validate(
        {"accounts": [{"id": "team", "users": [{"email": OWNER}], "gateway_keys": [{"alias": "app"}]}]}
    )
    seen = Recorder()
    options = {"log_level": "DEBUG", "log_directory": tmp_path, "schedules": False}
    async with running(RunOptions(seed=seed, stack=options)) as up:
        await exercise(up, seen)
        gateway_key = up.state.gateway_keys["team"]["app"]
        items = list(stored(up))
        found = [leak for place, data in items for leak in leaks(place, data, gateway_key)]
    found += [leak for place, data in seen.seen for leak in leaks(place, data, gateway_key)]
    found += [leak for payload in handed_over for leak in leaks("event", payload, gateway_key)]
    logs = sorted(tmp_path.glob("*.log"))
    for path in logs:
        found += leaks(f"log {path.name}", path.read_bytes(), gateway_key)

    assert found == []
    assert len(items) > 30
    assert len(seen.seen) > 35
    assert len(handed_over) > 5
    assert sum(path.stat().st_size for path in logs) > 10_000, "the functions did log"
