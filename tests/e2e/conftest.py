"""One running stack for all end-to-end tests that do not break it, and fresh accounts in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.accounts import Account
from tests.e2e.fleet import Fleet
from tests.e2e.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack, started with the first test that asks for it."""
    running = World(tmp_path_factory.mktemp("logs"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Another stack, with eight warm environments."""
    running = Fleet(tmp_path_factory.mktemp("fleet"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def account(world: World) -> Account:
    """An account without provider keys and without credits."""
    return world.account()
