"""A stack of fixture functions, shared by the tests of the local stack's engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from local.stack import Stack, StackOptions

DEPLOYMENT = Path(__file__).parent / "fixtures" / "deployment"


@dataclass(frozen=True)
class Running:
    """A stack, a client of its API, and the folder in which its functions write down what they saw."""

    stack: Stack
    client: httpx.AsyncClient
    journal: Path

    def notes(self, name: str) -> list[Any]:
        """What a function has written down."""
        path = self.journal / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def options(folder: Path, **more: Any) -> StackOptions:
    """Options for a stack of the fixture functions."""
    given: dict[str, Any] = {
        "template": DEPLOYMENT / "template.yaml",
        "parameters": {"Operator": "operator@example.com"},
        "environment": {"JOURNAL": str(folder)},
        "log_directory": folder / "logs",
        "bootstrap": ("-m", "fixture_bootstrap"),
        "schedules": False,
    }
    return StackOptions(**(given | more))


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Waits until the condition holds.

    Raises:
        TimeoutError: it does not within the time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One stack for all tests that do not break it."""
    folder = tmp_path_factory.mktemp("stack")
    started = options(folder, timeouts_s={"EchoFunction": 1.5}, stream_idle_s=1.2, warm={"StreamingFunction": 2})
    async with Stack(started) as stack, httpx.AsyncClient(base_url=stack.base_url, timeout=20) as client:
        yield Running(stack, client, folder)
