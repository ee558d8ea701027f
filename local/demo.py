"""The main job before the reader's eyes: a key saved, an answer streamed, a record billed.

Everything goes through the public HTTP surface, with the client an app would use.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from openai import OpenAI

from local.running import DEMO_ACCOUNT, DEMO_ALIAS, DEMO_USER, State
from ownkey.domain.money import NANOUSD_PER_USD, usd_string

_ROLLUP_WAIT_S = 30.0
_SHOWN_HEADERS = ("byok", "provider", "model", "credential", "credential-source", "attempts", "request-id")


@dataclass(frozen=True, slots=True)
class DemoProvider:
    """Whose key the demo saves, and which of its models it asks."""

    name: str
    model: str
    key: str


class DemoFailed(Exception):
    """A step did not do what it promises."""


async def show(state: State, provider: DemoProvider) -> None:
    """Runs the main job once and prints what happens.

    Raises:
        DemoFailed: at the first step that fails.
    """
    await asyncio.to_thread(_show, state, provider)


def _show(state: State, provider: DemoProvider) -> None:
    owner = {"Authorization": f"Bearer {state.sessions[DEMO_USER]}", "X-Ownkey-Account": DEMO_ACCOUNT}
    with httpx.Client(base_url=state.management_url, headers=owner, timeout=60, trust_env=False) as api:
        _say("1", f"Save a key for {provider.name}: POST /api/byok")
        saved = _expect(api.post("/api/byok", json={"provider": provider.name, "key": provider.key}), 201)
        _tell(f"validated live, stored as ciphertext; from now on it shows as {saved['mask']!r} ({saved['status']})")

        _say("2", f"Stream a chat completion from {provider.model} on that key")
        usage = _stream(state, provider)

        _say("3", "The stream function bills the record: GET /api/usage")
        row = _billed(api)
        _tell(
            f"today: {row['requests']} request, {row['byok_attempts']} on your own key; provider cost "
            f"${row['cost_byok_usd']}, charged ${row['charge_usd']}"
        )
        if row["byok_attempts"] < 1 or not usage.get("is_byok"):
            raise DemoFailed("the request was not recorded as served by the account's own key")


def _stream(state: State, provider: DemoProvider) -> dict[str, Any]:
    client = OpenAI(
        base_url=f"{state.base_url}/v1",
        api_key=state.gateway_keys[DEMO_ACCOUNT][DEMO_ALIAS],
        http_client=httpx.Client(trust_env=False),
    )
    answer = client.chat.completions.with_raw_response.create(
        model=provider.model,
        messages=[{"role": "user", "content": "Say in one sentence why a team would bring its own key."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for name in _SHOWN_HEADERS:
        _tell(f"X-Ownkey-{name.title()}: {answer.headers.get(f'x-ownkey-{name}', '(missing)')}")
    sys.stdout.write("   ▸ ")
    usage: dict[str, Any] = {}
    for chunk in answer.parse():
        if chunk.choices:
            sys.stdout.write(chunk.choices[0].delta.content or "")
            sys.stdout.flush()
        if chunk.usage:
            usage = chunk.usage.model_dump()
    sys.stdout.write("\n")
    if not usage:
        raise DemoFailed("the stream ended without usage")
    cost = usage["cost_details"]["upstream_inference_cost"]
    _tell(
        f"usage: {usage['prompt_tokens']} + {usage['completion_tokens']} tokens, is_byok {usage['is_byok']}, "
        f"provider cost {_dollars(cost)}, charged here {_dollars(usage['cost'])}"
    )
    return usage


def _billed(api: httpx.Client) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    query = {"dimension": "total", "from": today, "to": today}
    end = datetime.now(UTC).timestamp() + _ROLLUP_WAIT_S
    while datetime.now(UTC).timestamp() < end:
        rows = _expect(api.get("/api/usage", params=query), 200)["data"]
        if rows:
            return dict(rows[0])
    raise DemoFailed(f"no aggregate showed the request within {_ROLLUP_WAIT_S:.0f} s")


def _dollars(number: float) -> str:
    """A cost as `usage` has it, written as everywhere else: exact, without an exponent."""
    return f"${usd_string(round(Decimal(str(number)) * NANOUSD_PER_USD))}"


def _expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise DemoFailed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    return dict(answer.json())


def _say(number: str, text: str) -> None:
    sys.stdout.write(f"\n{number}. {text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stdout.write(f"   {text}\n")
    sys.stdout.flush()
