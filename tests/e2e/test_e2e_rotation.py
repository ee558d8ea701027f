"""A rotation or a removal holds on the next request, in every warm environment."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.running import OPERATOR, Running, RunOptions, running
from local.seed import Seed

ENVIRONMENTS = 8
OWNER = "owner@example.com"
PLATFORM_KEY = "sk-sim-platform-000000000000000000000000"


@dataclass
class Team:
    """The account whose key is rotated, over HTTP."""

    up: Running
    api: httpx.AsyncClient
    app: httpx.AsyncClient

    async def save(self, key: str) -> str:
        answer = await self.api.post("/api/byok", json={"provider": "OpenAI", "key": key})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def rotate(self, credential_id: str, key: str) -> None:
        answer = await self.api.post(f"/api/byok/{credential_id}/rotate", json={"key": key})
        assert answer.status_code == 200, answer.text

    async def remove(self, credential_id: str) -> None:
        assert (await self.api.delete(f"/api/byok/{credential_id}")).is_success

    async def keys_used(self) -> list[str]:
        """Digests of the keys that reach the provider when every environment serves one request at once."""
        last = max((entry.id for entry in self.up.simulator.journal.entries("openai")), default=0)
        # The pause keeps all environments busy, so that no request waits for one that has answered already.
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "[[sim: header_ms=80]] hello"}],
        }
        answers = await asyncio.gather(*(self.app.post("/v1/chat/completions", json=body) for _ in range(ENVIRONMENTS)))
        assert [each.status_code for each in answers] == [200] * ENVIRONMENTS, answers[0].text
        entries = self.up.simulator.journal.entries("openai", last)
        return [entry.key_sha256 for entry in entries if entry.path.endswith("/chat/completions")]

    def environments_used(self) -> int:
        """How many environments have served."""
        return len(set(re.findall(r"(InferenceFunction-\d+)\W+START", self.up.stack.log("InferenceFunction"))))


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


async def next_requests(rounds: int, logs: Path) -> tuple[int, int]:
    """Rotates `rounds` times, every tenth time removing and saving anew; gives (requests, requests on another key)."""
    seed = Seed.model_validate(
        {
            "accounts": [
                {
                    "id": "team",
                    "credits_usd": "100",
                    "users": [{"email": OWNER, "role": "owner"}],
                    "gateway_keys": [{"alias": "app"}],
                }
            ],
            "platform_credentials": [{"provider": "openai", "secret": PLATFORM_KEY}],
        }
    )
    stack = {"warm": {"InferenceFunction": ENVIRONMENTS}, "concurrency": ENVIRONMENTS, "log_directory": logs}
    async with running(RunOptions(seed=seed, stack=stack)) as up:
        session = {"Authorization": f"Bearer {up.state.sessions[OWNER]}"}
        gateway_key = {"Authorization": f"Bearer {up.state.gateway_keys['team']['app']}"}
        assert OPERATOR in up.state.sessions
        async with (
            httpx.AsyncClient(base_url=up.state.management_url, headers=session, timeout=30) as api,
            httpx.AsyncClient(base_url=up.state.base_url, headers=gateway_key, timeout=30) as app,
        ):
            team = Team(up, api, app)
            requests = wrong = 0
            credential_id = await team.save("sk-sim-first-0000000000000000000000000000")
            for number in range(rounds):
                if number % 10 == 9:
                    await team.remove(credential_id)
                    used = await team.keys_used()
                    requests, wrong = requests + len(used), wrong + sum(u != digest(PLATFORM_KEY) for u in used)
                key = f"sk-sim-rotated-{number:024d}"
                if number % 10 == 9:
                    credential_id = await team.save(key)
                else:
                    await team.rotate(credential_id, key)
                used = await team.keys_used()
                requests, wrong = requests + len(used), wrong + sum(each != digest(key) for each in used)
            assert team.environments_used() == ENVIRONMENTS
            return requests, wrong


async def test_rotation_and_removal_hold_on_the_next_request_in_eight_warm_environments(tmp_path: Path) -> None:
    requests, wrong = await next_requests(rounds=10, logs=tmp_path)
    assert (requests, wrong) == (11 * ENVIRONMENTS, 0)


@pytest.mark.proof
@pytest.mark.timeout(3600)
async def test_a_thousand_rotations(record_property, tmp_path: Path) -> None:
    """Rotation and removal hold on the next request in 8 warm environments, 1,000 changes of 1,000."""
    requests, wrong = await next_requests(rounds=1_000, logs=tmp_path)
    record_property("changes", 1_100)
    record_property("requests", requests)
    record_property("on another key", wrong)
    assert wrong == 0
